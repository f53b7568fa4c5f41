//! Metrics of classifiers, as scikit-learn defines them, and of detectors, as Pascal VOC does. Knows
//! no network and no pictures.
//!
//! ```
//! use mask_metrics::{Confusion, Ranking};
//!
//! let confusion = Confusion::count(3, [(0, 0), (0, 1), (1, 1), (2, 2)]);
//! assert_eq!(confusion.accuracy(), 0.75);
//! assert_eq!(confusion.report().classes[1].precision, 0.5);
//!
//! let ranking = Ranking::new([(0.9, true), (0.6, false), (0.4, true), (0.1, false)]);
//! assert_eq!(ranking.roc_auc(), Some(0.75));
//! ```

mod calibration;
mod confusion;
mod detection;
mod ranking;

pub use calibration::{Bin, Calibration};
pub use confusion::{Confusion, Report, Scores};
pub use detection::{
    Bounds, Prediction, Scene, SizeRecall, Truth, average_precision, matches, recall_by_size,
};
pub use ranking::{Ranking, Threshold};
