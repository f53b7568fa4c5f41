//! One vector of words, each of which holds small integers: bytes or halves.

use super::lanes::{Lanes, Portable};

/// A vector register of 32-bit words.
///
/// A word is a sum, or holds several values of the input or weights: four bytes or two halves, as the
/// instruction set multiplies them. All sums are exact, so that they are the same everywhere.
///
/// # Safety
/// As [`Lanes`]'.
pub(crate) trait Words: Copy {
    /// Words in the vector.
    const COUNT: usize;
    /// Vector registers of the instruction set.
    const REGISTERS: usize;
    /// A value of the input, as a part of a word.
    type Value: InputValue;
    /// Vectors of as many floats.
    type Floats: Lanes;

    unsafe fn splat(word: u32) -> Self;
    unsafe fn load(from: *const i32) -> Self;
    /// `self`, plus, in each word, the products of the values with the weights.
    unsafe fn dot(self, values: Self, weights: Self) -> Self;
    unsafe fn to_floats(self) -> Self::Floats;
}

/// A value from 0 to 255 as an instruction set wants it.
pub(crate) trait InputValue: Copy {
    /// What is taken from it.
    const OFFSET: i32;

    /// Of bits whose lowest eight are the value and the next eight are zeros.
    fn from_bits(bits: u32) -> Self;
}

impl InputValue for u8 {
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        bits as Self
    }
}

impl InputValue for i16 {
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        bits as Self
    }
}

/// For instructions whose factors both have a sign.
impl InputValue for i8 {
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        (bits as u8 ^ 0x80).cast_signed()
    }
}

/// An instruction set's products of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WordIsa {
    /// AVX-512 VNNI: bytes.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// AVX-VNNI: bytes, in vectors of AVX2.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX2: halves, because its product of bytes can overflow.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AArch64 with its dot products: bytes.
    #[cfg(target_arch = "aarch64")]
    DotProd,
    /// AArch64: halves.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// WebAssembly: halves.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
    /// Plain Rust: halves.
    Portable,
}

/// How an instruction set wants words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WordLayout {
    /// Words in a vector.
    pub(crate) lanes: usize,
    /// Values in a word.
    pub(crate) values: usize,
    /// See [`InputValue::OFFSET`].
    pub(crate) offset: i32,
}

impl WordIsa {
    /// What goes with an instruction set for floats, the best that this processor has.
    pub(crate) fn of(isa: crate::Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => Self::Vnni,
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx512 | crate::Isa::Avx2 if is_x86_feature_detected!("avxvnni") => {
                Self::AvxVnni
            }
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx512 | crate::Isa::Avx2 if is_x86_feature_detected!("avx2") => Self::Avx2,
            #[cfg(target_arch = "aarch64")]
            crate::Isa::Neon if std::arch::is_aarch64_feature_detected!("dotprod") => Self::DotProd,
            #[cfg(target_arch = "aarch64")]
            crate::Isa::Neon => Self::Neon,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            crate::Isa::Simd128 => Self::Simd128,
            _ => Self::Portable,
        }
    }

    pub(crate) fn layout(self) -> WordLayout {
        const fn of<W: Words>() -> WordLayout {
            let values = size_of::<u32>() / size_of::<W::Value>();
            WordLayout { lanes: W::COUNT, values, offset: W::Value::OFFSET }
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => of::<x86::Vnni>(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => of::<x86::AvxVnni>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => of::<x86::Avx2>(),
            #[cfg(target_arch = "aarch64")]
            Self::DotProd => of::<neon::DotProd>(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => of::<neon::Neon>(),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => of::<wasm::Simd128>(),
            Self::Portable => of::<PortableWords>(),
        }
    }
}

/// As `dispatch!`, for kernels that are generic over [`Words`].
macro_rules! dispatch_words {
    ($(#[$doc:meta])* $visibility:vis unsafe fn $name:ident($argument:ident: $type:ty) = $generic:ident) => {
        $(#[$doc])*
        $visibility unsafe fn $name(isa: $crate::simd::words::WordIsa, $argument: $type) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vnni")]
            unsafe fn vnni($argument: $type) {
                unsafe { $generic::<$crate::simd::words::x86::Vnni>($argument) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avxvnni")]
            unsafe fn avx_vnni($argument: $type) {
                unsafe { $generic::<$crate::simd::words::x86::AvxVnni>($argument) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($argument: $type) {
                unsafe { $generic::<$crate::simd::words::x86::Avx2>($argument) }
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon,dotprod")]
            unsafe fn dot_prod($argument: $type) {
                unsafe { $generic::<$crate::simd::words::neon::DotProd>($argument) }
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            unsafe fn neon($argument: $type) {
                unsafe { $generic::<$crate::simd::words::neon::Neon>($argument) }
            }
            use $crate::simd::words::WordIsa;
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    WordIsa::Vnni => vnni($argument),
                    #[cfg(target_arch = "x86_64")]
                    WordIsa::AvxVnni => avx_vnni($argument),
                    #[cfg(target_arch = "x86_64")]
                    WordIsa::Avx2 => avx2($argument),
                    #[cfg(target_arch = "aarch64")]
                    WordIsa::DotProd => dot_prod($argument),
                    #[cfg(target_arch = "aarch64")]
                    WordIsa::Neon => neon($argument),
                    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                    WordIsa::Simd128 => $generic::<$crate::simd::words::wasm::Simd128>($argument),
                    WordIsa::Portable => {
                        $generic::<$crate::simd::words::PortableWords>($argument)
                    }
                }
            }
        }
    };
}

pub(crate) use dispatch_words;

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use std::arch::x86_64::*;

    use super::Words;

    #[derive(Clone, Copy)]
    pub(crate) struct Vnni(__m512i);

    impl Words for Vnni {
        const COUNT: usize = 16;
        const REGISTERS: usize = 32;
        type Value = u8;
        type Floats = __m512;

        #[inline(always)]
        unsafe fn splat(word: u32) -> Self {
            unsafe { Self(_mm512_set1_epi32(word.cast_signed())) }
        }
        #[inline(always)]
        unsafe fn load(from: *const i32) -> Self {
            unsafe { Self(_mm512_loadu_si512(from.cast())) }
        }
        #[inline(always)]
        unsafe fn dot(self, values: Self, weights: Self) -> Self {
            unsafe { Self(_mm512_dpbusd_epi32(self.0, values.0, weights.0)) }
        }
        #[inline(always)]
        unsafe fn to_floats(self) -> __m512 {
            unsafe { _mm512_cvtepi32_ps(self.0) }
        }
    }

    macro_rules! words_of_256_bits {
        ($name:ident, $value:ty, $dot:expr) => {
            #[derive(Clone, Copy)]
            pub(crate) struct $name(__m256i);

            impl Words for $name {
                const COUNT: usize = 8;
                const REGISTERS: usize = 16;
                type Value = $value;
                type Floats = __m256;

                #[inline(always)]
                unsafe fn splat(word: u32) -> Self {
                    unsafe { Self(_mm256_set1_epi32(word.cast_signed())) }
                }
                #[inline(always)]
                unsafe fn load(from: *const i32) -> Self {
                    unsafe { Self(_mm256_loadu_si256(from.cast())) }
                }
                #[inline(always)]
                unsafe fn dot(self, values: Self, weights: Self) -> Self {
                    unsafe { Self($dot(self.0, values.0, weights.0)) }
                }
                #[inline(always)]
                unsafe fn to_floats(self) -> __m256 {
                    unsafe { _mm256_cvtepi32_ps(self.0) }
                }
            }
        };
    }

    #[inline(always)]
    unsafe fn add_products_of_halves(sum: __m256i, values: __m256i, weights: __m256i) -> __m256i {
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(values, weights)) }
    }

    words_of_256_bits!(AvxVnni, u8, _mm256_dpbusd_avx_epi32);
    words_of_256_bits!(Avx2, i16, add_products_of_halves);
}

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon {
    use std::arch::{aarch64::*, asm};

    use super::Words;

    macro_rules! words_of_128_bits {
        ($name:ident, $value:ty, $dot:expr) => {
            #[derive(Clone, Copy)]
            pub(crate) struct $name(int32x4_t);

            impl Words for $name {
                const COUNT: usize = 4;
                const REGISTERS: usize = 32;
                type Value = $value;
                type Floats = float32x4_t;

                #[inline(always)]
                unsafe fn splat(word: u32) -> Self {
                    unsafe { Self(vdupq_n_s32(word.cast_signed())) }
                }
                #[inline(always)]
                unsafe fn load(from: *const i32) -> Self {
                    unsafe { Self(vld1q_s32(from)) }
                }
                #[inline(always)]
                unsafe fn dot(self, values: Self, weights: Self) -> Self {
                    unsafe { Self($dot(self.0, values.0, weights.0)) }
                }
                #[inline(always)]
                unsafe fn to_floats(self) -> float32x4_t {
                    unsafe { vcvtq_f32_s32(self.0) }
                }
            }
        };
    }

    /// `vdotq_s32`, which is not stable yet.
    #[inline(always)]
    unsafe fn add_products_of_bytes(
        mut sum: int32x4_t,
        values: int32x4_t,
        weights: int32x4_t,
    ) -> int32x4_t {
        unsafe {
            asm!(
                "sdot {sum:v}.4s, {values:v}.16b, {weights:v}.16b",
                sum = inout(vreg) sum,
                values = in(vreg) values,
                weights = in(vreg) weights,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }

    #[inline(always)]
    unsafe fn add_products_of_halves(
        sum: int32x4_t,
        values: int32x4_t,
        weights: int32x4_t,
    ) -> int32x4_t {
        unsafe {
            let (values, weights) = (vreinterpretq_s16_s32(values), vreinterpretq_s16_s32(weights));
            let low = vmull_s16(vget_low_s16(values), vget_low_s16(weights));
            vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(values, weights)))
        }
    }

    words_of_128_bits!(DotProd, i8, add_products_of_bytes);
    words_of_128_bits!(Neon, i16, add_products_of_halves);
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) mod wasm {
    use std::arch::wasm32::*;

    use super::Words;

    #[derive(Clone, Copy)]
    pub(crate) struct Simd128(v128);

    impl Words for Simd128 {
        const COUNT: usize = 4;
        const REGISTERS: usize = 16;
        type Value = i16;
        type Floats = v128;

        #[inline(always)]
        unsafe fn splat(word: u32) -> Self {
            Self(u32x4_splat(word))
        }
        #[inline(always)]
        unsafe fn load(from: *const i32) -> Self {
            unsafe { Self(v128_load(from.cast())) }
        }
        #[inline(always)]
        unsafe fn dot(self, values: Self, weights: Self) -> Self {
            Self(i32x4_add(self.0, i32x4_dot_i16x8(values.0, weights.0)))
        }
        #[inline(always)]
        unsafe fn to_floats(self) -> v128 {
            f32x4_convert_i32x4(self.0)
        }
    }
}

/// Four words in plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct PortableWords([i32; 4]);

impl Words for PortableWords {
    const COUNT: usize = 4;
    const REGISTERS: usize = 16;
    type Value = i16;
    type Floats = Portable;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        Self([word.cast_signed(); 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        Self(unsafe { from.cast::<[i32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn dot(self, values: Self, weights: Self) -> Self {
        let halves = |word: i32| [word as i16, (word >> 16) as i16].map(i32::from);
        Self(std::array::from_fn(|lane| {
            let ([a, b], [c, d]) = (halves(values.0[lane]), halves(weights.0[lane]));
            self.0[lane] + a * c + b * d
        }))
    }
    #[inline(always)]
    unsafe fn to_floats(self) -> Portable {
        unsafe { Portable::load(self.0.map(|sum| sum as f32).as_ptr()) }
    }
}
