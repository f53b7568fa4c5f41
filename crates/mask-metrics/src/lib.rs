//! Metrics of classifiers, as scikit-learn defines them, and of detectors, as Pascal VOC does, and
//! the evaluation that puts them together. Knows no network and no image.
//!
//! ```
//! use mask_metrics::{ConfusionMatrix, Ranking};
//!
//! let confusion = ConfusionMatrix::count(3, [(0, 0), (0, 1), (1, 1), (2, 2)]);
//! assert_eq!(confusion.accuracy(), 0.75);
//! assert_eq!(confusion.report().classes[1].precision, 0.5);
//!
//! let ranking = Ranking::new([(0.9, true), (0.6, false), (0.4, true), (0.1, false)]);
//! assert_eq!(ranking.roc_auc(), Some(0.75));
//! ```

mod calibration;
mod classes;
mod confusion;
mod detection;
mod evaluation;
mod predictions;
mod ranking;

pub use calibration::{Bin, Calibration};
pub use classes::ClassNames;
pub use confusion::{ConfusionMatrix, Report, Scores};
pub use detection::{
    Detection, GroundTruth, ImageResult, Match, SizeRecall, average_precision, matches,
    recall_by_size,
};
pub use evaluation::{
    ClassCurves, DetectionMetrics, Evaluation, EvaluationConfig, EvaluationInput,
    LabeledPrediction, Thresholds,
};
pub use predictions::{Predictions, PredictionsError};
pub use ranking::{Ranking, Threshold};
