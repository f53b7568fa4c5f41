//! Metrics of classifiers, as scikit-learn defines them. Knows no network and no pictures.
//!
//! ```
//! use mask_metrics::Confusion;
//!
//! let confusion = Confusion::count(3, [(0, 0), (0, 1), (1, 1), (2, 2)]);
//! assert_eq!(confusion.accuracy(), 0.75);
//! let report = confusion.report();
//! assert_eq!(report.classes[1].precision, 0.5);
//! ```

mod confusion;

pub use confusion::{Confusion, Report, Scores};
