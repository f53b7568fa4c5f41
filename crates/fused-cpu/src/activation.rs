//! What is done to an operation's results before they are stored.
#![allow(unsafe_code, reason = "compiled for every instruction set")]

use crate::{
    CompileError, Isa,
    simd::{dispatch, exp, lanes::Lanes},
};

/// An activation function.
#[derive(Debug, Clone, PartialEq)]
pub enum Activation {
    /// Limits values to a range; ReLU and its bounded relatives.
    Clamp(Clamp),
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `x * clamp(x / 6 + 0.5, 0, 1)`.
    HardSwish,
    /// `x` where it is positive, else `slope * x`, with one slope per channel.
    Prelu(Vec<f32>),
}

/// A range that values are limited to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// Lower bound; minus infinity for none.
    pub min: f32,
    /// Upper bound; infinity for none.
    pub max: f32,
}

impl Clamp {
    /// No bounds.
    pub const NONE: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };

    /// # Safety
    /// As [`Lanes`]'.
    #[inline(always)]
    pub(crate) unsafe fn apply<V: Lanes>(&self, value: V) -> V {
        // The bound is the first operand, because x86's maximum of a number and NaN is the second.
        unsafe { V::splat(self.max).min(V::splat(self.min).max(value)) }
    }
}

impl Activation {
    /// The identity.
    pub const NONE: Self = Self::Clamp(Clamp::NONE);
    /// `max(x, 0)`.
    pub const RELU: Self = Self::Clamp(Clamp { min: 0.0, max: f32::INFINITY });

    /// # Errors
    /// If there is not one slope per channel.
    pub(crate) fn check(&self, channels: usize) -> Result<(), CompileError> {
        match self {
            Self::Prelu(slopes) if slopes.len() != channels => Err(CompileError::Weights {
                what: "slopes of a PReLU",
                expected: channels,
                found: slopes.len(),
            }),
            Self::Clamp(_) | Self::Sigmoid | Self::Silu | Self::HardSwish | Self::Prelu(_) => {
                Ok(())
            }
        }
    }

    /// The bounds that kernels apply in registers.
    pub(crate) fn clamp(&self) -> Clamp {
        match self {
            Self::Clamp(clamp) => *clamp,
            Self::Sigmoid | Self::Silu | Self::HardSwish | Self::Prelu(_) => Clamp::NONE,
        }
    }

    /// Applies what is not a clamp to values that a kernel has just stored, channels of one pixel
    /// from `channel` on. Clamps are already applied.
    pub(crate) fn finish(&self, isa: Isa, values: &mut [f32], channel: usize) {
        let mut curve = match self {
            Self::Clamp(_) => return,
            Self::Sigmoid => Curve { kind: CurveKind::Sigmoid, values },
            Self::Silu => Curve { kind: CurveKind::Silu, values },
            Self::HardSwish => Curve { kind: CurveKind::HardSwish, values },
            Self::Prelu(slopes) => {
                let slopes = &slopes[channel..channel + values.len()];
                Curve { kind: CurveKind::Prelu(slopes), values }
            }
        };
        // Safety: a plan's instruction set was found to be available when it was compiled.
        unsafe { apply(isa, &mut curve) };
    }
}

struct Curve<'a> {
    kind: CurveKind<'a>,
    values: &'a mut [f32],
}

enum CurveKind<'a> {
    Sigmoid,
    Silu,
    HardSwish,
    Prelu(&'a [f32]),
}

dispatch! {
    /// Applies a curve.
    ///
    /// # Safety
    /// The processor must have the instruction set.
    unsafe fn apply(curve: &mut Curve<'_>) = apply_curve
}

/// Plain loops, which the compiler turns into vectors of each instruction set.
#[inline(always)]
unsafe fn apply_curve<V: Lanes>(curve: &mut Curve<'_>) {
    let sigmoid = |x: f32| 1.0 / (1.0 + exp(-x));
    match curve.kind {
        CurveKind::Sigmoid => curve.values.iter_mut().for_each(|x| *x = sigmoid(*x)),
        CurveKind::Silu => curve.values.iter_mut().for_each(|x| *x *= sigmoid(*x)),
        CurveKind::HardSwish => {
            curve.values.iter_mut().for_each(|x| *x *= (*x / 6.0 + 0.5).clamp(0.0, 1.0));
        }
        CurveKind::Prelu(slopes) => {
            for (x, slope) in curve.values.iter_mut().zip(slopes) {
                *x *= if *x > 0.0 { 1.0 } else { *slope };
            }
        }
    }
}
