//! Which instruction set the kernels use.

use std::fmt;

use super::words::WordIsa;

/// An instruction set that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512F: 16 floats per vector.
    Avx512,
    /// x86-64 with AVX2 and FMA: 8 floats per vector.
    Avx2,
    /// AArch64: 4 floats per vector.
    Neon,
    /// WebAssembly with `simd128`: 4 floats per vector.
    Simd128,
    /// Plain Rust, for any processor.
    Portable,
}

impl Isa {
    /// The instruction sets of this processor, fastest first.
    pub fn available() -> Vec<Self> {
        [Self::Avx512, Self::Avx2, Self::Neon, Self::Simd128, Self::Portable]
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// The fastest instruction set of this processor.
    pub fn best() -> Self {
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    /// Whether this processor has the instruction set.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            // A module with other instructions would not be loaded.
            #[cfg(target_arch = "wasm32")]
            Self::Simd128 => cfg!(target_feature = "simd128"),
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "which sets remain depends on the target")]
            _ => false,
        }
    }

    /// Whether this processor, with this instruction set, multiplies bytes in fewer instructions than floats:
    /// networks then run faster in eight bits.
    pub fn multiplies_bytes(self) -> bool {
        WordIsa::of(self).layout().values == 4
    }

    /// Floats per vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 => 8,
            Self::Neon | Self::Simd128 | Self::Portable => 4,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Simd128 => "simd128",
            Self::Portable => "portable",
        })
    }
}

/// Compiles a generic kernel for every instruction set and picks one when called.
///
/// The generated function takes the [`Isa`] and then the kernel's own argument.
macro_rules! dispatch {
    ($(#[$doc:meta])* $visibility:vis unsafe fn $name:ident($argument:ident: $type:ty) = $generic:ident) => {
        $(#[$doc])*
        $visibility unsafe fn $name(isa: $crate::Isa, $argument: $type) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512($argument: $type) {
                unsafe { $generic::<std::arch::x86_64::__m512>($argument) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($argument: $type) {
                unsafe { $generic::<std::arch::x86_64::__m256>($argument) }
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            unsafe fn neon($argument: $type) {
                unsafe { $generic::<std::arch::aarch64::float32x4_t>($argument) }
            }
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::Isa::Avx512 => avx512($argument),
                    #[cfg(target_arch = "x86_64")]
                    $crate::Isa::Avx2 => avx2($argument),
                    #[cfg(target_arch = "aarch64")]
                    $crate::Isa::Neon => neon($argument),
                    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                    $crate::Isa::Simd128 => $generic::<std::arch::wasm32::v128>($argument),
                    // Sets of other processors are never chosen: see `Isa::is_available`.
                    _ => $generic::<$crate::simd::lanes::Portable>($argument),
                }
            }
        }
    };
}

pub(crate) use dispatch;
