//! The mean of all pixels.

use std::sync::Arc;

use super::{Describe, Halo, Kernel, Packed, Pool, Pooling, SizeRule, Span, one_input};
use crate::{CompileError, Isa, Window, execution::StepRun, view::View};

/// The mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct GlobalAverage;

impl Describe for GlobalAverage {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        one_input("a global mean", inputs)
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Pixel
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Kernel(Arc::new(*self))
    }
}

impl Kernel for GlobalAverage {
    fn weight_bytes(&self) -> usize {
        0
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn run(&self, step: &StepRun<'_>) {
        // An average pool whose window is the image.
        let window = Window { kernel: [step.input.height, step.input.width], ..Window::POINT };
        Pool { window, pooling: Pooling::Average { count_padding: false } }.run(step);
    }
}
