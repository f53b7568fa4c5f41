//! The weights that the mask detector embeds, as bytes of weights files.
//!
//! `manifest.toml` beside them names every file's content, source, licence and SHA-256; `NOTICES`
//! has the licences. All are stored in half precision.
//!
//! ```
//! assert!(mask_models::RES10_SSD.len() > 5_000_000);
//! ```

/// Bytes at an address that suits their floats, so that they are read where they lie.
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

macro_rules! weights {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub static $name: &[u8] = {
            static ALIGNED: Aligned<{ include_bytes!($file).len() }> =
                Aligned(*include_bytes!($file));
            &ALIGNED.0
        };
    };
}

weights! {
    /// The res10 SSD face detector.
    RES10_SSD, "res10_ssd.bpk"
}

weights! {
    /// MobileNetV2 without its top.
    MOBILENET_V2, "mobilenet_v2.bpk"
}

weights! {
    /// The classifier's default head.
    MASK_HEAD, "mask_head.bpk"
}
