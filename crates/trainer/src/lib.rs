//! Training of any Burn module, repeatable to the last bit.
//!
//! [`Trainer`] takes optimisation steps and writes checkpoints from which training goes on as if it
//! had never stopped: Adam's moments are kept by module path, and random numbers belong to steps
//! ([`generator`]). [`fit`] runs epochs of a [`Task`] and tells an [`Observer`].
//!
//! ```
//! use burn::{
//!     nn::{Linear, LinearConfig},
//!     tensor::{Device, Tensor},
//! };
//! use trainer::{OptimizerConfig, Trainer};
//!
//! let module = LinearConfig::new(1, 1).init(&Device::flex());
//! let config = OptimizerConfig { learning_rate: 0.1, ..OptimizerConfig::default() };
//! let mut trainer = Trainer::new(module, config, 100, &Device::flex())?;
//! let mut last = f32::INFINITY;
//! for _ in 0..100 {
//!     let input = Tensor::<2>::from_floats([[2.0]], trainer.device());
//!     let output = trainer.module().forward(input);
//!     // Twice the input is wanted.
//!     last = trainer.step(output.sub_scalar(4.0).powi_scalar(2).sum())?.loss;
//! }
//! assert!(last < 0.01);
//! # Ok::<(), trainer::TrainError>(())
//! ```

mod checkpoint;
mod error;
mod fit;
mod network_gradients;
mod optimizer;
mod schedule;
mod training;

pub use checkpoint::CheckpointKind;
pub use error::TrainError;
pub use fit::{
    BatchGradients, EpochMetrics, FitConfig, Fitted, Observer, Progress, SelectBest, Source, Task,
    Validation, fit, history_csv,
};
pub use network_gradients::NetworkGradients;
pub use optimizer::{Gradients, StepMetrics, Trainer, generator};
pub use schedule::{OptimizerConfig, Schedule};
pub use training::{Training, same};
