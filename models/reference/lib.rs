//! The published weights that the mask detector's networks started from, as bytes of weights files.
//!
//! The weights that detectors use are in `mask-models`; these are for heads that were trained on the
//! ImageNet backbone, for further trainings, and for comparison with the reference pipeline.
//! `manifest.toml` beside them names every file's content, source, licence and SHA-256; `NOTICES` has
//! the licences. All are stored in half precision.
//!
//! ```
//! assert!(mask_reference_models::RES10_SSD.len() > 5_000_000);
//! ```

use include_bytes_aligned::include_bytes_aligned;

/// The res10 SSD face detector as OpenCV published it.
pub static RES10_SSD: &[u8] = include_bytes_aligned!(64, "res10_ssd.bpk");

/// MobileNetV2 without its top, with ImageNet weights.
pub static MOBILENET_V2: &[u8] = include_bytes_aligned!(64, "mobilenet_v2.bpk");
