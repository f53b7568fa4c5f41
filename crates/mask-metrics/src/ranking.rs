//! What follows from the order of scores: ROC and precision-recall curves, thresholds.

use serde::Serialize;

/// Scores of one class, with what is true, from the highest score down.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Score, true positives and false positives among all scores not lower; one entry per distinct
    /// score.
    steps: Vec<(f64, usize, usize)>,
    positives: usize,
    negatives: usize,
}

/// A threshold: what scores it or more counts as positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold {
    /// The least score that counts.
    pub score: f64,
    /// Precision: TP / (TP + FP).
    pub precision: f64,
    /// Recall: TP / (TP + FN).
    pub recall: f64,
}

impl Ranking {
    /// Ranks pairs of a score and whether it belongs to a positive.
    pub fn new(scores: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let mut scores: Vec<_> = scores.into_iter().collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut ranking = Self { steps: Vec::new(), positives: 0, negatives: 0 };
        for (score, positive) in scores {
            ranking.positives += usize::from(positive);
            ranking.negatives += usize::from(!positive);
            let step = (score, ranking.positives, ranking.negatives);
            match ranking.steps.last_mut() {
                Some(last) if last.0 == score => *last = step,
                _ => ranking.steps.push(step),
            }
        }
        ranking
    }

    /// The ROC curve: (false positive rate, true positive rate), from (0, 0) to (1, 1); none without
    /// both positives and negatives.
    pub fn roc_curve(&self) -> Option<Vec<(f64, f64)>> {
        if self.positives == 0 || self.negatives == 0 {
            return None;
        }
        let rate = |count: usize, of: usize| count as f64 / of as f64;
        let points = self.steps.iter();
        let points = points
            .map(|(_, right, wrong)| (rate(*wrong, self.negatives), rate(*right, self.positives)));
        Some(std::iter::once((0.0, 0.0)).chain(points).collect())
    }

    /// Area under the ROC curve, by trapezoids; none without both positives and negatives.
    pub fn roc_auc(&self) -> Option<f64> {
        let curve = self.roc_curve()?;
        Some(curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[1].1 + w[0].1) / 2.0).sum())
    }

    /// Every threshold with its precision and recall, from the highest score down.
    pub fn thresholds(&self) -> impl Iterator<Item = Threshold> + '_ {
        let positives = self.positives.max(1) as f64;
        self.steps.iter().map(move |(score, right, wrong)| Threshold {
            score: *score,
            precision: *right as f64 / (right + wrong) as f64,
            recall: *right as f64 / positives,
        })
    }

    /// Average precision: the mean of the precisions, weighted by the steps in recall; none without
    /// positives.
    pub fn average_precision(&self) -> Option<f64> {
        let mut recall = 0.0;
        let mut sum = 0.0;
        for threshold in self.thresholds() {
            sum += (threshold.recall - recall) * threshold.precision;
            recall = threshold.recall;
        }
        (self.positives > 0).then_some(sum)
    }

    /// The threshold of highest recall whose precision is at least `precision`, if there is one.
    pub fn for_precision(&self, precision: f64) -> Option<Threshold> {
        self.thresholds().filter(|threshold| threshold.precision >= precision).last()
    }

    /// The threshold of least cost, where a false positive costs `false_positive` and a missed
    /// positive `missed`; the highest of equals. None if calling nothing positive is cheapest.
    pub fn for_cost(&self, false_positive: f64, missed: f64) -> Option<Threshold> {
        let cost = |right: usize, wrong: usize| {
            wrong as f64 * false_positive + (self.positives - right) as f64 * missed
        };
        let mut best = (cost(0, 0), None);
        for ((_, right, wrong), threshold) in self.steps.iter().zip(self.thresholds()) {
            if cost(*right, *wrong) < best.0 {
                best = (cost(*right, *wrong), Some(threshold));
            }
        }
        best.1
    }
}
