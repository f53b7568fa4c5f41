//! Softmax over the channels.

use std::sync::Arc;

use super::{Describe, Halo, Kernel, Packed, SizeRule, Span, one_input, pixelwise::row_start};
use crate::{CompileError, Isa, execution::StepRun, view::View};

/// The softmax.
#[derive(Debug, Clone, Copy)]
pub(super) struct Softmax;

impl Describe for Softmax {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        one_input("a softmax", inputs)
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Same
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Kernel(Arc::new(*self))
    }
}

impl Kernel for Softmax {
    fn weight_bytes(&self) -> usize {
        0
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn run(&self, step: &StepRun<'_>) {
        step.rows(|y| {
            let (input, output) = (&step.input, &step.output);
            let from = row_start(step.source, input, y);
            for x in 0..output.width {
                // Safety: the input row was checked; the output pixel is this task's own.
                unsafe {
                    let from =
                        std::slice::from_raw_parts(from.add(x * input.pixel), input.channels);
                    softmax(from, step.arena.slice(output.at(y, x), output.channels));
                }
            }
            // Bounds are rare behind a softmax, so that they are not worth a kernel.
            for x in 0..output.width {
                // Safety: as above.
                let pixel = unsafe { step.arena.slice(output.at(y, x), output.channels) };
                pixel.iter_mut().for_each(|value| {
                    *value = value.max(step.clamp.min).min(step.clamp.max);
                });
            }
            // Safety: the row is this task's own.
            unsafe { step.finish_row(y) };
        });
    }
}

fn softmax(from: &[f32], to: &mut [f32]) {
    let largest = from.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (to, from) in to.iter_mut().zip(from) {
        *to = (from - largest).exp();
        sum += *to;
    }
    for to in to {
        *to /= sum;
    }
}
