//! Operations that compute nothing: their inputs are made where the result will lie.

use super::{Describe, Halo, Packed, Part, SizeRule, one_input};
use crate::{CompileError, Isa, graph::ValueId};

/// How a value consists of others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Join {
    Whole,
    Pixels,
    Channels,
}

impl Join {
    /// Where the input `at` lies in the result; `channels` are those of all inputs.
    pub(crate) fn part(self, inputs: &[ValueId], channels: &[usize], at: usize) -> Part {
        match self {
            Self::Whole => Part::Whole,
            Self::Pixels => Part::PixelsAfter(inputs[..at].to_vec()),
            Self::Channels => Part::Channels(channels[..at].iter().sum()),
        }
    }
}

/// The same floats, channels innermost, as one row of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flatten {
    /// Channels of the result, a divisor of the input's.
    pub channels: usize,
}

impl Describe for Flatten {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        let channels = one_input("flatten", inputs)?;
        if self.channels == 0 || !channels.is_multiple_of(self.channels) {
            return Err(CompileError::Channels { operation: "flatten", found: inputs.to_vec() });
        }
        Ok(self.channels)
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Row { channels: self.channels }
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Join(Join::Whole)
    }
}

/// Rows of pixels one after another.
pub(super) struct ConcatPixels;

impl Describe for ConcatPixels {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        match inputs {
            [first, rest @ ..] if rest.iter().all(|channels| channels == first) => Ok(*first),
            _ => Err(CompileError::Channels { operation: "concatenation", found: inputs.to_vec() }),
        }
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Pixels
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Join(Join::Pixels)
    }
}

/// Channels of several values side by side.
pub(super) struct ConcatChannels;

impl Describe for ConcatChannels {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        let sum = inputs.iter().try_fold(0usize, |sum, channels| sum.checked_add(*channels));
        sum.filter(|sum| *sum > 0).ok_or_else(|| CompileError::Channels {
            operation: "concatenation",
            found: inputs.to_vec(),
        })
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Same
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Join(Join::Channels)
    }
}
