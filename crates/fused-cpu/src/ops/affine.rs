//! A factor and an offset per channel.

use std::sync::Arc;

use super::{
    Describe, Halo, Kernel, Packed, SizeRule, Span, check_length, one_input,
    pixelwise::{OnChannels, Row, each_pixel, for_several_pixels},
};
use crate::{
    CompileError, Isa, Window,
    execution::StepRun,
    simd::{dispatch, lanes::Lanes},
    view::View,
};

/// `scale * x + shift`, each with one value per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    /// The factors, `[channels]`.
    pub scale: Vec<f32>,
    /// The offsets, `[channels]`.
    pub shift: Vec<f32>,
}

impl Affine {
    /// Makes this what `self` followed by `next` is.
    pub(crate) fn then(&mut self, next: &Self) {
        for (channel, (scale, shift)) in self.scale.iter_mut().zip(&mut self.shift).enumerate() {
            *scale *= next.scale[channel];
            *shift = *shift * next.scale[channel] + next.shift[channel];
        }
    }
}

impl Describe for Affine {
    fn output_channels(&self, inputs: &[usize]) -> Result<usize, CompileError> {
        let channels = one_input("a factor and an offset", inputs)?;
        check_length("factors", channels, self.scale.len())?;
        check_length("offsets", channels, self.shift.len())?;
        Ok(channels)
    }

    fn size_rule(&self) -> SizeRule {
        SizeRule::Same
    }

    fn halo(&self) -> Halo {
        Halo::NONE
    }

    fn pack(&self, _isa: Isa) -> Packed {
        Packed::Kernel(Arc::new(PackedAffine {
            channels: self.scale.len(),
            scale: for_several_pixels(&self.scale),
            shift: for_several_pixels(&self.shift),
        }))
    }
}

/// Factors and offsets of one pixel or several.
#[derive(Debug)]
struct PackedAffine {
    channels: usize,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Kernel for PackedAffine {
    fn weight_bytes(&self) -> usize {
        4 * (self.scale.len() + self.shift.len())
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn reads_rows(&self) -> Option<Window> {
        Some(Window::POINT)
    }

    fn run(&self, step: &StepRun<'_>) {
        assert!(self.channels == step.output.channels);
        // Safety: one task per row, which writes nothing else.
        step.rows(|y| unsafe { affine(step.isa, &Row { kernel: self, step, y }) });
    }
}

#[derive(Clone, Copy)]
struct ScaleAndShift {
    scale: *const f32,
    shift: *const f32,
}

impl OnChannels for ScaleAndShift {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, value: V, channel: usize) -> V {
        unsafe { value.mul_add(V::load(self.scale.add(channel)), V::load(self.shift.add(channel))) }
    }
}

dispatch! {
    /// # Safety
    /// The processor must have the instruction set; the row must be the caller's alone.
    unsafe fn affine(row: &Row<'_, PackedAffine>) = affine_row
}

#[inline(always)]
unsafe fn affine_row<V: Lanes>(row: &Row<'_, PackedAffine>) {
    let on = ScaleAndShift { scale: row.kernel.scale.as_ptr(), shift: row.kernel.shift.as_ptr() };
    unsafe { each_pixel::<V, _>(row.step, row.y, true, |_, _| on) };
}
