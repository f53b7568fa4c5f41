//! What can go wrong in classification.

use fused_cpu::{CompileError, RunError};
use weights_file::WeightsError;

/// An error of the classifier.
#[derive(Debug, thiserror::Error)]
pub enum MaskModelError {
    /// Weights of the backbone or the head cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A crop could not be resized to the network's input.
    #[error("cannot resize a {width} x {height} crop: {reason}")]
    Resize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The resizer's reason.
        reason: String,
    },
    /// The network's output could not be read back from the device.
    #[error("cannot read the classifier's output: {0}")]
    Output(String),
    /// The network could not be compiled for the CPU.
    #[error("cannot prepare the classifier for the CPU: {0}")]
    Compile(#[from] CompileError),
    /// The compiled network could not run.
    #[error("the classifier cannot run: {0}")]
    Run(#[from] RunError),
}
