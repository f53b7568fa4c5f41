//! The weights that the mask detector embeds, as bytes of weights files.
//!
//! `manifest.toml` beside them names every file's content, source, licence and SHA-256; `NOTICES`
//! has the licences. All are stored in half precision. The published weights that they started from
//! are in `mask-reference-models`.
//!
//! ```
//! assert!(mask_models::RES10_SSD.len() > 5_000_000);
//! ```

use include_bytes_aligned::include_bytes_aligned;

/// The res10 SSD face detector, fine-tuned.
pub static RES10_SSD: &[u8] = include_bytes_aligned!(64, "res10_ssd.bpk");

/// MobileNetV2, fine-tuned, with its head: the mask classifier.
pub static MASK_CLASSIFIER: &[u8] = include_bytes_aligned!(64, "mask_classifier.bpk");
