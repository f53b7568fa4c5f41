//! Nearest-neighbour upsampling.

use std::sync::Arc;

use super::{
    Describe, Halo, Kernel, Packed, SizeRule, Span, one_input,
    pixelwise::{Row, row_start},
};
use crate::{
    CompileError, Isa,
    execution::StepRun,
    simd::{
        dispatch,
        lanes::{Lanes, split},
    },
    view::View,
};

/// Every pixel repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upsample {
    /// How often, down and to the right.
    pub factors: [usize; 2],
}

/// Largest factor, so that sizes do not overflow on 32-bit targets.
const MAX_FACTOR: usize = 64;

impl Describe for Upsample {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        if !self.factors.iter().all(|factor| (1..=MAX_FACTOR).contains(factor)) {
            return Err(CompileError::Unsupported(format!("upsampling by {:?}", self.factors)));
        }
        one_input("upsampling", inputs)
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Scaled(self.factors)
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Kernel(Arc::new(*self))
    }
}

impl Kernel for Upsample {
    fn weight_bytes(&self) -> usize {
        0
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn run(&self, step: &StepRun<'_>) {
        // Safety: one task per row, which writes nothing else.
        step.rows(|y| unsafe { upsample(step.isa, &Row { kernel: self, step, y }) });
    }
}

dispatch! {
    /// # Safety
    /// The processor must have the instruction set; the row must be the caller's alone.
    unsafe fn upsample(row: &Row<'_, Upsample>) = upsample_row
}

#[inline(always)]
unsafe fn upsample_row<V: Lanes>(row: &Row<'_, Upsample>) {
    let &Row { kernel: Upsample { factors }, step, y } = row;
    let (input, output) = (&step.input, &step.output);
    let from = row_start(step.source, input, y / factors[0]);
    let to = step.arena.at(output.at(y, 0), output.row_span());
    unsafe {
        for x in 0..output.width {
            let (from, to) = (from.add(x / factors[1] * input.pixel), to.add(x * output.pixel));
            let (vectors, rest) = split::<V>(output.channels);
            for channel in vectors {
                step.clamp.apply(V::load(from.add(channel))).store(to.add(channel));
            }
            for channel in rest {
                *to.add(channel) = step.clamp.apply(*from.add(channel));
            }
        }
        step.finish_row(y);
    }
}
