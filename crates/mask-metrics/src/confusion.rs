//! Counts of true and given labels, and what follows from them.

use std::fmt::Write;

use serde::Serialize;

/// Counts of samples by true class and label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// `counts[truth][label]`.
    pub counts: Vec<Vec<usize>>,
}

/// Precision, recall and F1, in [0, 1]; 0 where nothing is there to divide by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// Precision: TP / (TP + FP), the fraction of predictions of this class that are correct.
    pub precision: f64,
    /// Recall: TP / (TP + FN), the fraction of samples of this class that are found.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Number of samples whose true class this is.
    pub support: usize,
}

/// Scores of every class, and their averages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// One entry per class.
    pub classes: Vec<Scores>,
    /// From all samples together; each of the three equals the accuracy.
    pub micro: Scores,
    /// Mean over the classes.
    pub macro_average: Scores,
    /// Mean over the classes, weighted by support.
    pub weighted: Scores,
}

impl ConfusionMatrix {
    /// Counts pairs of true class and label, both below `classes`; others are left out.
    pub fn count(classes: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for (truth, label) in pairs {
            if let Some(count) = counts.get_mut(truth).and_then(|row| row.get_mut(label)) {
                *count += 1;
            }
        }
        Self { counts }
    }

    /// Number of samples.
    pub fn total(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// Fraction of samples labelled correctly; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        let right: usize = self.counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        ratio(right, self.total())
    }

    /// Scores of every class and their averages.
    pub fn report(&self) -> Report {
        let classes: Vec<Scores> = (0..self.counts.len())
            .map(|class| {
                let right = self.counts[class][class];
                let support = self.counts[class].iter().sum();
                let labelled = self.counts.iter().map(|row| row[class]).sum();
                Scores::new(ratio(right, labelled), ratio(right, support), support)
            })
            .collect();
        let (total, accuracy) = (self.total(), self.accuracy());
        let mean = |weight: &dyn Fn(&Scores) -> f64| {
            let sum: f64 = classes.iter().map(weight).sum();
            let part = |value: fn(&Scores) -> f64| {
                let weighted = classes.iter().map(|scores| weight(scores) * value(scores));
                if sum > 0.0 { weighted.sum::<f64>() / sum } else { 0.0 }
            };
            let (precision, recall, f1) =
                (part(|s| s.precision), part(|s| s.recall), part(|s| s.f1));
            Scores { precision, recall, f1, support: total }
        };
        Report {
            micro: Scores { precision: accuracy, recall: accuracy, f1: accuracy, support: total },
            macro_average: mean(&|_| 1.0),
            weighted: mean(&|scores| scores.support as f64),
            classes,
        }
    }
}

impl Scores {
    fn new(precision: f64, recall: f64, support: usize) -> Self {
        let sum = precision + recall;
        let f1 = if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
        Self { precision, recall, f1, support }
    }
}

impl Report {
    /// The report as a table in text, laid out as scikit-learn's `classification_report`.
    pub fn to_text(&self, classes: &[String]) -> String {
        let width = classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(12);
        let mut text = format!(
            "{:>width$}  {:>9} {:>9} {:>9} {:>9}\n\n",
            "", "precision", "recall", "f1-score", "support"
        );
        let mut line = |name: &str, scores: &Scores| {
            let Scores { precision, recall, f1, support } = scores;
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{name:>width$}  {precision:>9.4} {recall:>9.4} {f1:>9.4} {support:>9}"
            );
        };
        for (name, scores) in classes.iter().zip(&self.classes) {
            line(name, scores);
        }
        line("micro avg", &self.micro);
        line("macro avg", &self.macro_average);
        line("weighted avg", &self.weighted);
        text
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
