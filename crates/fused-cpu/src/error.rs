//! What can go wrong.

use crate::Window;

/// Why a network cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Burn could not record the network's operations.
    #[cfg(feature = "burn")]
    #[error("the network's operations could not be recorded: {0:?}")]
    Capture(burn::tensor::CaptureError),
    /// An output is not a tensor that the network computes from its input.
    #[error("an output of the network does not come from its input")]
    Output,
    /// The network does something that a plan cannot.
    #[error("unsupported operation: {0}")]
    Unsupported(String),
    /// Weights have another number of values than their operation needs.
    #[error("{what}: {found} values, expected {expected}")]
    Weights {
        /// The parameter.
        what: &'static str,
        /// Values needed.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// An operation cannot read these channels.
    #[error("{operation} cannot read values of {found:?} channels")]
    Channels {
        /// The operation.
        operation: &'static str,
        /// Channels of its inputs.
        found: Vec<usize>,
    },
    /// A window has a field that is zero or beyond any sensible size, or a convolution's has `ceil`.
    #[error("invalid window {0:?}")]
    Window(Window),
    /// A value is used that the graph does not have.
    #[error("the graph has no value {0}")]
    UnknownValue(usize),
    /// Ranges of values are not those of the network's convolutions.
    #[error(
        "{found} ranges of values, or one without an end, for {expected} convolutions: calibrate these weights \
         anew, or run them in floats"
    )]
    Ranges {
        /// Ranges needed.
        expected: usize,
        /// Ranges given.
        found: usize,
    },
    /// Eight bits are asked for, and the ranges of values are not known.
    #[error(
        "cannot run in eight bits: the weights were not calibrated; calibrate them, or run them in floats"
    )]
    NoRanges,
    /// Eight bits are asked for where no plan runs.
    #[error("cannot run in eight bits: they are for fused plans on the CPU")]
    Int8WithoutPlan,
    /// The processor lacks the requested instruction set.
    #[error("this processor does not support {0}")]
    Isa(crate::Isa),
}

/// Why a plan could not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input has too few or too many values.
    #[error("an input of shape {shape:?} does not have {found} values")]
    Input {
        /// The shape given: images, height, width, channels.
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
    /// A window of the network does not fit an image of this size.
    #[error("an image of {width} x {height} pixels is too small for the network")]
    TooSmall {
        /// Width of the image.
        width: usize,
        /// Height of the image.
        height: usize,
    },
    /// The shape is beyond what this machine can address or allocate.
    #[error("an input of shape {shape:?} needs more memory than there is")]
    TooLarge {
        /// The shape given: images, height, width, channels.
        shape: [usize; 4],
    },
    /// Values that are added or concatenated in the network have different sizes at this input
    /// size.
    #[error("branches of the network differ in size on an image of {width} x {height} pixels")]
    Branches {
        /// Width of the image.
        width: usize,
        /// Height of the image.
        height: usize,
    },
}
