//! Copying, with nothing but the layer's activation.

use std::sync::Arc;

use super::{
    Describe, Halo, Kernel, Packed, SizeRule, Span, one_input,
    pixelwise::{Row, Scale, each_pixel},
};
use crate::{
    CompileError, Isa, Window,
    execution::StepRun,
    simd::{dispatch, lanes::Lanes},
    view::View,
};

/// The identity before an activation; a plan also uses it to copy values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Activate;

impl Describe for Activate {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        one_input("an activation", inputs)
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

impl Kernel for Activate {
    fn weight_bytes(&self) -> usize {
        0
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn reads_rows(&self) -> Option<Window> {
        Some(Window::POINT)
    }

    fn run(&self, step: &StepRun<'_>) {
        // Safety: one task per row, which writes nothing else.
        step.rows(|y| unsafe { activate(step.isa, &Row { kernel: self, step, y }) });
    }
}

dispatch! {
    /// # Safety
    /// The processor must have the instruction set; the row must be the caller's alone.
    unsafe fn activate(row: &Row<'_, Activate>) = activate_row
}

#[inline(always)]
unsafe fn activate_row<V: Lanes>(row: &Row<'_, Activate>) {
    unsafe { each_pixel::<V, _>(row.step, row.y, true, |_, _| Scale(1.0)) };
}
