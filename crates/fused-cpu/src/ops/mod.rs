//! The operations, one file each: description, checks, output size, packing, and how it runs.
//!
//! A new operation is a file with a description that implements `Describe` and a kernel that
//! implements `Kernel`, a variant of [`Operation`] and its arm in `Operation::describe`. The
//! compiler finds everything else that has to know it.
#![allow(
    unsafe_code,
    reason = "vector instructions on a shared arena; each kernel has its contract"
)]

mod activate;
mod add;
mod affine;
mod convolution;
mod dense;
mod depthwise;
mod division;
mod global_average;
mod join;
mod l2_norm;
mod pixelwise;
mod pool;
mod quantized;
mod softmax;
mod tile;
mod upsample;
mod winograd;

use std::{fmt::Debug, sync::Arc};

pub use affine::Affine;
pub use convolution::Convolution;
pub use join::Flatten;
pub(crate) use join::Join;
pub use l2_norm::L2Norm;
pub use pool::{Pool, Pooling};
pub(crate) use quantized::QuantizedDense;
pub use upsample::Upsample;

use crate::{CompileError, Isa, Window, execution::StepRun, graph::ValueId, view::View};

/// What a layer does.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A convolution of the input; a layer's residual is added to the result.
    Convolution(Convolution),
    /// A factor and an offset per channel.
    Affine(Affine),
    /// Nothing but the layer's activation.
    Activate,
    /// The sum of two values.
    Add,
    /// The largest or mean value of a window.
    Pool(Pool),
    /// The mean of all pixels.
    GlobalAverage,
    /// Division by the L2 norm over the channels.
    L2Norm(L2Norm),
    /// Softmax over the channels.
    Softmax,
    /// Every pixel repeated: nearest-neighbour upsampling by whole factors.
    Upsample(Upsample),
    /// The same floats, channels innermost, as one row of pixels with so many channels.
    Flatten(Flatten),
    /// Rows of pixels one after another.
    ConcatPixels,
    /// Channels of several values side by side.
    ConcatChannels,
}

impl Operation {
    pub(crate) fn describe(&self) -> &dyn Describe {
        match self {
            Self::Convolution(convolution) => convolution,
            Self::Affine(affine) => affine,
            Self::Activate => &activate::Activate,
            Self::Add => &add::Add,
            Self::Pool(pool) => pool,
            Self::GlobalAverage => &global_average::GlobalAverage,
            Self::L2Norm(norm) => norm,
            Self::Softmax => &softmax::Softmax,
            Self::Upsample(upsample) => upsample,
            Self::Flatten(flatten) => flatten,
            Self::ConcatPixels => &join::ConcatPixels,
            Self::ConcatChannels => &join::ConcatChannels,
        }
    }
}

/// What a plan must know of an operation before it runs.
pub(crate) trait Describe {
    /// Checks the operation against the channels of its inputs; the channels of its result.
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError>;
    /// How the result's height and width follow from the inputs'.
    fn size_rule(&self) -> SizeRule;
    /// Zeros that it reads around its first input.
    fn halo(&self) -> Halo;
    /// The operation, ready to run on an instruction set.
    fn pack(&self, isa: Isa) -> Packed;
}

/// An operation after packing.
pub(crate) enum Packed {
    /// Something to run.
    Kernel(Arc<dyn Kernel>),
    /// Nothing to run: the result consists of its inputs, which are placed accordingly.
    Join(Join),
}

/// An operation with packed weights.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// Bytes of the packed weights.
    fn weight_bytes(&self) -> usize;
    /// Floats that it needs for itself while so many threads make an output of a height and width;
    /// none if the number is beyond a machine's addresses.
    fn scratch_floats(&self, _output: [usize; 2], _threads: usize) -> Option<usize> {
        Some(0)
    }
    /// The spans of input floats that every output pixel reads, from the window's first pixel, for
    /// kernels that are told so.
    fn spans(&self, input: &View) -> Vec<dense::Span>;
    /// Its matrices, which a plan moves into one memory.
    fn matrices(&mut self) -> Vec<&mut PackedWeights> {
        Vec::new()
    }
    /// The window through which every row of the output reads the input, for kernels that can make
    /// some rows by themselves, without floats of their own.
    fn reads_rows(&self) -> Option<Window> {
        None
    }
    /// Makes the whole output.
    fn run(&self, step: &StepRun<'_>);
}

pub(crate) use dense::{PackedWeights, Span};

/// How the height and width of a result follow from those of the inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SizeRule {
    /// As the inputs, which must agree.
    Same,
    /// The positions of a window.
    Window(Window),
    /// A single pixel.
    Pixel,
    /// The input's, times these factors.
    Scaled([usize; 2]),
    /// One row that holds all floats, of so many channels.
    Row { channels: usize },
    /// One row of all pixels of all inputs.
    Pixels,
}

/// Zeros around an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Halo {
    /// Above and to the left.
    pub(crate) begin: [usize; 2],
    /// Below and to the right.
    pub(crate) end: [usize; 2],
}

impl Halo {
    pub(crate) const NONE: Self = Self { begin: [0; 2], end: [0; 2] };

    pub(crate) fn widen(&mut self, other: Self) {
        for axis in 0..2 {
            self.begin[axis] = self.begin[axis].max(other.begin[axis]);
            self.end[axis] = self.end[axis].max(other.end[axis]);
        }
    }
}

/// How a value lies in another one.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// All of it, seen as images again.
    Whole,
    /// Behind the pixels of these.
    PixelsAfter(Vec<ValueId>),
    /// Behind so many channels.
    Channels(usize),
}

/// The single input's channels.
fn one_input(operation: &'static str, inputs: &[usize]) -> Result<usize, CompileError> {
    match inputs {
        [channels] if *channels > 0 => Ok(*channels),
        _ => Err(CompileError::Channels { operation, found: inputs.to_vec() }),
    }
}

/// # Errors
/// If a parameter does not have so many values.
fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), CompileError> {
    if expected == found { Ok(()) } else { Err(CompileError::Weights { what, expected, found }) }
}
