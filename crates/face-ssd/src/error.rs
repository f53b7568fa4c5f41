//! What can go wrong in face detection.

use fused_cpu::{CompileError, RunError};
use weights_file::WeightsError;

/// An error of the face detector.
#[derive(Debug, thiserror::Error)]
pub enum FaceSsdError {
    /// The network's weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The input size is outside what the network takes.
    #[error("input size {0} is not between {min} and {max} pixels a side", min = crate::InputSize::MIN_SIDE, max = crate::InputSize::MAX_SIDE)]
    InputSize(u32),
    /// A text is no input size.
    #[error("`{0}` is no input size; give a side such as 300, WIDTHxHEIGHT, or long:N")]
    ParseInputSize(String),
    /// A text is no prior layout.
    #[error("`{0}` is no prior layout; give corrected or caffe")]
    ParsePriorLayout(String),
    /// A picture could not be resized to the network's input.
    #[error("cannot resize a {width} x {height} picture: {reason}")]
    Resize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The resizer's reason.
        reason: String,
    },
    /// The network's output could not be read back from the device.
    #[error("cannot read the face network's output: {0}")]
    Output(String),
    /// The network could not be compiled for the CPU.
    #[error("cannot prepare the face network for the CPU: {0}")]
    Compile(#[from] CompileError),
    /// The compiled network could not run.
    #[error("the face network cannot run: {0}")]
    Run(#[from] RunError),
}
