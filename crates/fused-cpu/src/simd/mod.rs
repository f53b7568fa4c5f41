//! Vectors of floats on every instruction set.
#![allow(unsafe_code, reason = "vector instructions")]

mod isa;
pub(crate) mod lanes;
pub(crate) mod words;

pub use isa::Isa;
pub(crate) use isa::dispatch;

/// Lanes of the widest vector, for buffers that hold any.
pub(crate) const MAX_LANES: usize = 16;

/// The exponential function, to about one unit in the last place, in arithmetic that compilers
/// turn into vectors.
///
/// Range reduction and polynomial of Cephes's `expf` (S. Moshier).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Beyond these the result leaves the normal numbers of `f32`; NaN passes through both.
    let x = if x > 88.37 { 88.37 } else { x };
    let x = if x < -87.33 { -87.33 } else { x };
    // Adding and subtracting 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_2e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let p = p * r * r + r + 1.0;
    p * f32::from_bits((((n as i32) + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for step in -87_000..88_000 {
            let x = step as f32 / 1000.0;
            let (ours, theirs) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / theirs - 1.0).abs() < 3e-7, "{x}: {ours}, not {theirs}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e30) < 1e-37 && exp(1e30) > 1e38);
    }
}
