//! The weights that the mask detector embeds, as bytes of weights files.
//!
//! `manifest.toml` beside them names every file's content, source, licence and SHA-256; `NOTICES`
//! has the licences. All are stored in half precision.

/// The res10 SSD face detector.
pub static RES10_SSD: &[u8] = include_bytes!("res10_ssd.bpk");

/// MobileNetV2 without its top.
pub static MOBILENET_V2: &[u8] = include_bytes!("mobilenet_v2.bpk");

/// The classifier's default head.
pub static MASK_HEAD: &[u8] = include_bytes!("mask_head.bpk");
