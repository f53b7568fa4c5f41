//! What can go wrong.

use burn::tensor::CaptureError;

/// Why a network cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Burn could not record the network's operations.
    #[error("the network's operations could not be recorded: {0:?}")]
    Capture(CaptureError),
    /// An output is not a tensor that the network made from its input.
    #[error("an output of the network does not come from its input")]
    Output,
    /// The network does something that a plan cannot.
    #[error("a plan cannot hold this operation: {0}")]
    Unsupported(String),
    /// The processor lacks the instruction set that was asked for.
    #[error("this processor has no {0}")]
    Isa(crate::Isa),
}

/// Why a plan could not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input has too few or too many values.
    #[error("{found} values are no input of shape {shape:?}, which has {}", shape.iter().product::<usize>())]
    Input {
        /// The shape named: pictures, height, width, channels.
        shape: [usize; 4],
        /// Number of values given.
        found: usize,
    },
    /// The network has another number of input channels.
    #[error("the network takes {expected} channels, not {found}")]
    Channels {
        /// What the network takes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// A window of the network does not fit a picture of this size.
    #[error("a picture of {width} x {height} pixels is too small for the network")]
    TooSmall {
        /// Width of the picture.
        width: usize,
        /// Height of the picture.
        height: usize,
    },
    /// Pictures that are added or joined within the network have different sizes at this input
    /// size.
    #[error("branches of the network differ in size on a picture of {width} x {height} pixels")]
    Branches {
        /// Width of the picture.
        width: usize,
        /// Height of the picture.
        height: usize,
    },
}
