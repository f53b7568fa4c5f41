//! The figures of an evaluation.

use mask_metrics::{
    Calibration, Confusion, Ranking, Report, Scene, SizeRecall, Threshold, average_precision,
    recall_by_size,
};
use serde::Serialize;

use super::subject::{CONFIDENCE, IOU, Judged, Subject};

/// Intervals of the reliability diagram.
const BINS: usize = 10;
/// Sizes, in pixels, at which intervals of recall begin.
const SIZES: [f64; 6] = [0.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What metrics.json holds.
#[derive(Serialize)]
pub(super) struct Figures {
    pub(super) about: String,
    pub(super) classes: Vec<String>,
    pub(super) accuracy: f64,
    pub(super) confusion: Confusion,
    pub(super) report: Report,
    /// A class each: against all others.
    pub(super) curves: Vec<ClassCurves>,
    pub(super) calibration: Calibration,
    pub(super) thresholds: Thresholds,
    pub(super) detection: Option<Detection>,
}

#[derive(Serialize)]
pub(super) struct ClassCurves {
    pub(super) class: String,
    pub(super) roc_auc: Option<f64>,
    pub(super) average_precision: Option<f64>,
    #[serde(skip)]
    pub(super) roc: Vec<(f64, f64)>,
    #[serde(skip)]
    pub(super) precision_recall: Vec<(f64, f64)>,
}

/// Thresholds on the probability of one class.
#[derive(Serialize)]
pub(super) struct Thresholds {
    pub(super) class: String,
    pub(super) wanted_precision: f64,
    pub(super) for_precision: Option<Threshold>,
    pub(super) false_positive_cost: f64,
    pub(super) for_cost: Option<Threshold>,
}

/// Figures of boxes.
#[derive(Serialize)]
pub(super) struct Detection {
    pub(super) pictures: usize,
    pub(super) faces: usize,
    pub(super) face_ap50: Option<f64>,
    pub(super) face_ap50_95: Option<f64>,
    /// At IoU 0.5, a class each.
    pub(super) class_ap50: Vec<Option<f64>>,
    pub(super) map50: Option<f64>,
    pub(super) map50_95: Option<f64>,
    pub(super) recall_by_size: Vec<SizeRecall>,
}

/// Index of the largest probability, the first of equals.
pub(super) fn label(judged: &Judged) -> usize {
    let indexed = judged.probabilities.iter().enumerate().rev();
    indexed.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
}

/// Computes everything.
pub(super) fn compute(subject: &Subject, positive: usize, precision: f64, cost: f64) -> Figures {
    let Subject { classes, judged, scenes, about } = subject;
    let confusion =
        Confusion::count(classes.len(), judged.iter().map(|face| (face.truth, label(face))));
    let ranking = |class: usize| {
        Ranking::new(judged.iter().map(|face| (face.probabilities[class], face.truth == class)))
    };
    let curves = classes.iter().enumerate().map(|(class, name)| {
        let ranking = ranking(class);
        let points = ranking.thresholds().map(|at| (at.recall, at.precision));
        ClassCurves {
            class: name.clone(),
            roc_auc: ranking.roc_auc(),
            average_precision: ranking.average_precision(),
            roc: ranking.roc_curve().unwrap_or_default(),
            precision_recall: points.collect(),
        }
    });
    let sure = judged.iter().map(|face| {
        let label = label(face);
        (face.probabilities[label], label == face.truth)
    });
    let ranked = ranking(positive);
    Figures {
        about: about.clone(),
        classes: classes.clone(),
        accuracy: confusion.accuracy(),
        report: confusion.report(),
        confusion,
        curves: curves.collect(),
        calibration: Calibration::new(sure, BINS),
        thresholds: Thresholds {
            class: classes[positive].clone(),
            wanted_precision: precision,
            for_precision: ranked.for_precision(precision),
            false_positive_cost: cost,
            for_cost: ranked.for_cost(cost, 1.0),
        },
        detection: scenes.as_ref().map(|scenes| detection(scenes, classes.len())),
    }
}

fn detection(scenes: &[Scene], classes: usize) -> Detection {
    let thresholds = || (0..10).map(|step| IOU + 0.05 * f64::from(step));
    let mean = |values: Vec<Option<f64>>| {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let class_ap = |iou: f64| {
        (0..classes).map(|class| average_precision(scenes, Some(class), iou)).collect::<Vec<_>>()
    };
    let truths = scenes.iter().flat_map(|scene| &scene.truths);
    Detection {
        pictures: scenes.len(),
        faces: truths.filter(|truth| !truth.difficult).count(),
        face_ap50: average_precision(scenes, None, IOU),
        face_ap50_95: mean(thresholds().map(|iou| average_precision(scenes, None, iou)).collect()),
        class_ap50: class_ap(IOU),
        map50: mean(class_ap(IOU)),
        map50_95: mean(thresholds().map(|iou| mean(class_ap(iou))).collect()),
        recall_by_size: recall_by_size(scenes, IOU, CONFIDENCE, &SIZES),
    }
}
