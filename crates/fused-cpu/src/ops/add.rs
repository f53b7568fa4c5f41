//! The sum of two values.

use std::sync::Arc;

use super::{
    Describe, Halo, Kernel, Packed, SizeRule, Span,
    pixelwise::{OnChannels, Row, each_pixel, row_start},
};
use crate::{
    CompileError, Isa,
    execution::StepRun,
    simd::{dispatch, lanes::Lanes},
    view::View,
};

/// The sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Add;

impl Describe for Add {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        match inputs {
            [left, right] if left == right && *left > 0 => Ok(*left),
            _ => Err(CompileError::Channels { operation: "a sum", found: inputs.to_vec() }),
        }
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

impl Kernel for Add {
    fn weight_bytes(&self) -> usize {
        0
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn run(&self, step: &StepRun<'_>) {
        // Safety: one task per row, which writes nothing else.
        step.rows(|y| unsafe { add(step.isa, &Row { kernel: self, step, y }) });
    }
}

#[derive(Clone, Copy)]
struct Summand(*const f32);

impl OnChannels for Summand {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, channel: usize) -> V {
        unsafe { value.add(V::load(self.0.add(channel))) }
    }
}

dispatch! {
    /// # Safety
    /// The processor must have the instruction set; the row must be the caller's alone.
    unsafe fn add(row: &Row<'_, Add>) = add_row
}

#[inline(always)]
unsafe fn add_row<V: Lanes>(row: &Row<'_, Add>) {
    // A sum of a value with itself has one input for both.
    let (source, view) = row.step.other.unwrap_or((row.step.source, row.step.input));
    let other = row_start(source, &view, row.y);
    unsafe {
        let alike = view.pixel == view.channels;
        each_pixel::<V, _>(row.step, row.y, alike, |x, _| Summand(other.add(x * view.pixel)));
    }
}
