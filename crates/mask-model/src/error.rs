//! What can go wrong in classification.

use fused_cpu::{CompileError, RunnerError};
use image_input::ViewError;
use weights_file::WeightsError;

/// An error of the classifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaskModelError {
    /// Weights of the backbone or the head cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A crop cannot be used.
    #[error(transparent)]
    Image(#[from] ViewError),
    /// The network could not be compiled for the CPU.
    #[error("cannot prepare the classifier for the CPU")]
    Compile(#[from] CompileError),
    /// The network could not run.
    #[error("the classifier cannot run")]
    Run(#[from] RunnerError),
}
