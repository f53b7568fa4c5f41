//! Convolutions: their description, and the choice of how one runs.

use std::sync::Arc;

use super::{
    Affine, Describe, Halo, Packed, SizeRule, check_length,
    dense::{Dense, PackedWeights},
    depthwise::Depthwise,
    one_input,
    winograd::{self, Winograd},
};
use crate::{CompileError, Isa, Window};

/// A convolution with its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// `[output channels, input channels / groups, kernel height, kernel width]`.
    pub weights: Vec<f32>,
    /// `[output channels]`.
    pub bias: Vec<f32>,
    /// Input channels.
    pub inputs: usize,
    /// Groups of channels that are convolved separately: 1 for a dense convolution, as many as
    /// there are channels for a depthwise one.
    pub groups: usize,
    /// How the kernel moves. [`Window::ceil`] is for pools alone.
    pub window: Window,
}

impl Convolution {
    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Whether every channel is convolved by itself.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.groups == self.outputs()
    }

    /// Whether its kernels add a residual.
    pub(crate) fn adds_residual(&self) -> bool {
        !self.is_depthwise()
    }

    /// Applies a factor and an offset to every output channel.
    pub(crate) fn scale(&mut self, by: &Affine) {
        let per_channel = self.weights.len() / self.bias.len();
        for (channel, weights) in self.weights.chunks_mut(per_channel).enumerate() {
            weights.iter_mut().for_each(|weight| *weight *= by.scale[channel]);
            let bias = &mut self.bias[channel];
            *bias = *bias * by.scale[channel] + by.shift[channel];
        }
    }
}

impl Describe for Convolution {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        self.window.validate()?;
        if self.window.ceil {
            // Such a window would read beyond the padding, where no zeros are.
            return Err(CompileError::Window(self.window));
        }
        let (channels, outputs, groups) =
            (one_input("a convolution", inputs)?, self.outputs(), self.groups);
        if channels != self.inputs {
            return Err(CompileError::Channels {
                operation: "a convolution",
                found: inputs.to_vec(),
            });
        }
        if groups == 0
            || outputs == 0
            || !channels.is_multiple_of(groups)
            || !outputs.is_multiple_of(groups)
        {
            return Err(CompileError::Unsupported(format!(
                "a convolution of {channels} to {outputs} channels in {groups} groups"
            )));
        }
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let weights = (channels / groups).checked_mul(taps).and_then(|n| n.checked_mul(outputs));
        check_length(
            "weights of a convolution",
            weights.unwrap_or(usize::MAX),
            self.weights.len(),
        )?;
        Ok(outputs)
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Window(self.window)
    }

    fn halo(&self) -> Halo {
        Halo { begin: self.window.padding_begin, end: self.window.padding_end }
    }

    fn pack(&self, isa: Isa) -> Packed {
        if self.is_depthwise() {
            Packed::Kernel(Arc::new(Depthwise::pack(self)))
        } else if self.groups == 1 && winograd::pays(self) {
            Packed::Kernel(Arc::new(Winograd::pack(self, isa)))
        } else {
            Packed::Kernel(Arc::new(self.pack_dense(isa)))
        }
    }
}

impl Convolution {
    fn pack_dense(&self, isa: Isa) -> Dense {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let (inputs, outputs) = (self.inputs / self.groups, self.outputs() / self.groups);
        let values = taps * inputs;
        // Values run over the channels of a tap first, as the image's floats do.
        let start = |value: usize| value % inputs * taps + value / inputs;
        let groups = self.weights.chunks(values * outputs).zip(self.bias.chunks(outputs));
        let groups = groups.map(|(weights, bias)| {
            PackedWeights::pack(isa.lanes(), values, bias, weights, start, values)
        });
        Dense { groups: groups.collect(), inputs, outputs, window: self.window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convolution(weights: usize, bias: usize, groups: usize) -> Convolution {
        let window = Window { kernel: [3; 2], ..Window::POINT };
        let (weights, bias) = (vec![1.0; weights], vec![0.0; bias]);
        Convolution { weights, bias, inputs: 8, groups, window }
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        assert_eq!(convolution(8 * 9 * 4, 4, 1).output_channels(&[8]).ok(), Some(4));
        assert_eq!(convolution(8 * 9, 8, 8).output_channels(&[8]).ok(), Some(8));
        for (weights, bias, groups) in [
            (8 * 9 * 4 - 1, 4, 1),
            (8 * 9 * 4, 3, 1),
            (8 * 9 * 4, 5, 1),
            (8 * 9, 1, 8),
            (8 * 9 * 8, 8, 3),
            (0, 0, 1),
            (8 * 9 * 4, 4, 0),
        ] {
            let refused = convolution(weights, bias, groups).output_channels(&[8]);
            assert!(refused.is_err(), "{weights} {bias} {groups}");
        }
        assert!(convolution(8 * 9 * 4, 4, 1).output_channels(&[4]).is_err());
        let mut still = convolution(8 * 9 * 4, 4, 1);
        still.window.stride = [0, 1];
        assert!(matches!(still.output_channels(&[8]), Err(CompileError::Window(_))));
    }
}
