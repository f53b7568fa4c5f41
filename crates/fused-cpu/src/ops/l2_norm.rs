//! Division by the L2 norm over the channels.

use std::sync::Arc;

use super::{
    Describe, Halo, Kernel, Packed, SizeRule, Span, one_input,
    pixelwise::{Row, Scale, each_pixel},
};
use crate::{
    CompileError, Isa,
    execution::StepRun,
    simd::{
        MAX_LANES, dispatch,
        lanes::{Lanes, split},
    },
    view::View,
};

/// `x / sqrt(sum of x squared + epsilon)` of every pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct L2Norm {
    /// Added to the sum of squares.
    pub epsilon: f32,
}

impl Describe for L2Norm {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        one_input("an L2 norm", inputs)
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

impl Kernel for L2Norm {
    fn weight_bytes(&self) -> usize {
        0
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn run(&self, step: &StepRun<'_>) {
        // Safety: one task per row, which writes nothing else.
        step.rows(|y| unsafe { l2_norm(step.isa, &Row { kernel: self, step, y }) });
    }
}

dispatch! {
    /// # Safety
    /// The processor must have the instruction set; the row must be the caller's alone.
    unsafe fn l2_norm(row: &Row<'_, L2Norm>) = l2_norm_row
}

#[inline(always)]
unsafe fn l2_norm_row<V: Lanes>(row: &Row<'_, L2Norm>) {
    let channels = row.step.output.channels;
    unsafe {
        each_pixel::<V, _>(row.step, row.y, false, |_, from| {
            let sum = sum_of_squares::<V>(from, channels) + row.kernel.epsilon;
            Scale(1.0 / sum.sqrt())
        });
    }
}

#[inline(always)]
unsafe fn sum_of_squares<V: Lanes>(from: *const f32, channels: usize) -> f32 {
    let (vectors, rest) = split::<V>(channels);
    unsafe {
        let mut sums = V::splat(0.0);
        for channel in vectors {
            let value = V::load(from.add(channel));
            sums = value.mul_add(value, sums);
        }
        let mut lanes = [0.0; MAX_LANES];
        sums.store(lanes.as_mut_ptr());
        let rest = rest.map(|channel| (*from.add(channel)).powi(2)).sum::<f32>();
        lanes.iter().sum::<f32>() + rest
    }
}
