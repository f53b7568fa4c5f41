//! An evaluation: all metrics of labelled faces and of found boxes.

use std::path::PathBuf;

use detection_schema::argmax;
use geometry::{BoundingBox, Crop};
use serde::Serialize;

use crate::{
    Calibration, ConfusionMatrix, ImageResult, Ranking, Report, SizeRecall, Threshold,
    average_precision, matches, recall_by_size,
};

/// Intervals of the reliability diagram.
const BINS: usize = 10;
/// Sizes, in pixels, at which intervals of recall begin.
const SIZES: [f64; 6] = [0.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// A face or image whose class is known, with what was predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct LabeledPrediction {
    /// The image.
    pub image: PathBuf,
    /// The part of it that was classified; all of it if absent.
    pub region: Option<BoundingBox>,
    /// Index of the true class.
    pub truth: usize,
    /// Probability of each class.
    pub probabilities: Vec<f64>,
}

impl LabeledPrediction {
    /// Index of the most probable class, the first of equals.
    pub fn label(&self) -> usize {
        argmax(&self.probabilities)
    }

    /// The probability of the label.
    pub fn label_probability(&self) -> f64 {
        self.probabilities.get(self.label()).copied().unwrap_or(0.0)
    }
}

/// Everything that is evaluated.
#[derive(Debug, Clone, Default)]
pub struct EvaluationInput {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What was labelled.
    pub labeled: Vec<LabeledPrediction>,
    /// Annotated images with what was found in them, of annotated data sets.
    pub images: Option<Vec<ImageResult>>,
    /// What is evaluated, in words.
    pub about: String,
}

impl EvaluationInput {
    /// Gives every list of probabilities an entry for every class, also for those that turned up
    /// late.
    pub fn with_classes(mut self, classes: &[String]) -> Self {
        let count = classes.len();
        self.labeled.iter_mut().for_each(|labeled| labeled.probabilities.resize(count, 0.0));
        for image in self.images.iter_mut().flatten() {
            image.detections.iter_mut().for_each(|found| found.probabilities.resize(count, 0.0));
        }
        self.classes = classes.to_vec();
        self
    }

    /// The annotated objects that were found, with their labels. `images[i]` is the file of image
    /// `i`, `crop` how boxes were grown before they were classified.
    pub fn labeled_matches(
        images: &[PathBuf],
        results: &[ImageResult],
        crop: Crop,
    ) -> Vec<LabeledPrediction> {
        let config = EvaluationConfig::default();
        let found = matches(results, config.iou_threshold, config.score_threshold).into_iter();
        found
            .map(|found| {
                let result = &results[found.image];
                let detection = &result.detections[found.detection];
                LabeledPrediction {
                    image: images.get(found.image).cloned().unwrap_or_default(),
                    region: Some(crop.grow(&detection.bbox)),
                    truth: result.truths[found.truth].class,
                    probabilities: detection.probabilities.clone(),
                }
            })
            .collect()
    }
}

/// What an evaluation is asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvaluationConfig {
    /// Index of the class that thresholds are for. Default: 0.
    pub positive: usize,
    /// Precision that a threshold is wanted for, in [0, 1]. Default: 0.95.
    pub target_precision: f64,
    /// Cost of a false positive, where a false negative costs 1. Default: 1.
    pub false_positive_cost: f64,
    /// A detection counts from this score on. Default: 0.6, as the detector's.
    pub score_threshold: f64,
    /// The IoU at which a detection has found an object. Default: 0.5.
    pub iou_threshold: f64,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            positive: 0,
            target_precision: 0.95,
            false_positive_cost: 1.0,
            score_threshold: 0.6,
            iou_threshold: 0.5,
        }
    }
}

/// All metrics: what `metrics.json` holds.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// What was evaluated.
    pub about: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Fraction of faces labelled correctly.
    pub accuracy: f64,
    /// Counts by true class and label.
    pub confusion: ConfusionMatrix,
    /// Precision, recall and F1.
    pub report: Report,
    /// Each class against all others.
    pub curves: Vec<ClassCurves>,
    /// Calibration of the labels' probabilities.
    pub calibration: Calibration,
    /// Thresholds for one class.
    pub thresholds: Thresholds,
    /// Metrics of boxes, of annotated data sets.
    pub detection: Option<DetectionMetrics>,
}

/// Curves of one class against all others.
#[derive(Debug, Clone, Serialize)]
pub struct ClassCurves {
    /// The class.
    pub class: String,
    /// Area under the ROC curve.
    pub roc_auc: Option<f64>,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// False and true positive rates.
    #[serde(skip)]
    pub roc: Vec<(f64, f64)>,
    /// Recall and precision.
    #[serde(skip)]
    pub precision_recall: Vec<(f64, f64)>,
}

/// Thresholds on the probability of one class.
#[derive(Debug, Clone, Serialize)]
pub struct Thresholds {
    /// The class.
    pub class: String,
    /// The precision asked for.
    pub target_precision: f64,
    /// The threshold that reaches it, if one does.
    pub for_precision: Option<Threshold>,
    /// The cost of a false positive.
    pub false_positive_cost: f64,
    /// The threshold of least cost, unless calling nothing positive is cheapest.
    pub for_cost: Option<Threshold>,
}

/// Metrics of boxes.
#[derive(Debug, Clone, Serialize)]
pub struct DetectionMetrics {
    /// Annotated images.
    pub images: usize,
    /// Annotated faces that count.
    pub faces: usize,
    /// Average precision of faces of any class, at IoU 0.5.
    pub face_ap50: Option<f64>,
    /// Its mean over IoU 0.5 to 0.95 in steps of 0.05.
    pub face_ap50_95: Option<f64>,
    /// Average precision of each class, at IoU 0.5.
    pub class_ap50: Vec<Option<f64>>,
    /// Their mean.
    pub map50: Option<f64>,
    /// Its mean over IoU 0.5 to 0.95 in steps of 0.05.
    pub map50_95: Option<f64>,
    /// Recall by size.
    pub recall_by_size: Vec<SizeRecall>,
}

impl Evaluation {
    /// Computes all metrics. A positive class that does not exist counts as the first.
    pub fn compute(input: &EvaluationInput, config: &EvaluationConfig) -> Self {
        let EvaluationInput { classes, labeled, images, about } = input;
        let pairs = labeled.iter().map(|face| (face.truth, face.label()));
        let confusion = ConfusionMatrix::count(classes.len(), pairs);
        let ranking = |class: usize| {
            Ranking::new(labeled.iter().map(|face| {
                let probability = face.probabilities.get(class).copied().unwrap_or(0.0);
                (probability, face.truth == class)
            }))
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
        let labels =
            labeled.iter().map(|face| (face.label_probability(), face.label() == face.truth));
        let ranked = ranking(config.positive);
        Self {
            about: about.clone(),
            classes: classes.clone(),
            accuracy: confusion.accuracy(),
            report: confusion.report(),
            confusion,
            curves: curves.collect(),
            calibration: Calibration::new(labels, BINS),
            thresholds: Thresholds {
                class: classes.get(config.positive).cloned().unwrap_or_default(),
                target_precision: config.target_precision,
                for_precision: ranked.for_precision(config.target_precision),
                false_positive_cost: config.false_positive_cost,
                for_cost: ranked.for_cost(config.false_positive_cost, 1.0),
            },
            detection: images.as_ref().map(|images| detection(images, classes.len(), config)),
        }
    }
}

fn detection(
    images: &[ImageResult],
    classes: usize,
    config: &EvaluationConfig,
) -> DetectionMetrics {
    let thresholds = || (0..10).map(|step| 0.5 + 0.05 * f64::from(step));
    let mean = |values: Vec<Option<f64>>| {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let class_ap = |iou: f64| {
        (0..classes).map(|class| average_precision(images, Some(class), iou)).collect::<Vec<_>>()
    };
    let truths = images.iter().flat_map(|image| &image.truths);
    DetectionMetrics {
        images: images.len(),
        faces: truths.filter(|truth| !truth.difficult).count(),
        face_ap50: average_precision(images, None, 0.5),
        face_ap50_95: mean(thresholds().map(|iou| average_precision(images, None, iou)).collect()),
        class_ap50: class_ap(0.5),
        map50: mean(class_ap(0.5)),
        map50_95: mean(thresholds().map(|iou| mean(class_ap(iou))).collect()),
        recall_by_size: recall_by_size(
            images,
            config.iou_threshold,
            config.score_threshold,
            &SIZES,
        ),
    }
}
