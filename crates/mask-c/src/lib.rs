//! The detector for C and C++; `include/mask_detector.h` says the same in C.
//!
//! Whatever a function returns by a pointer belongs to the caller, who gives it back to the function that is named. A
//! detector may be used by any number of threads at the same time.
#![allow(unsafe_code, reason = "C's pointers; every function says what they must be")]

mod detections;
mod detector;
mod options;
mod status;

pub use detections::{
    MaskDetections, MaskFace, mask_detections_count, mask_detections_faces, mask_detections_free,
    mask_detections_height, mask_detections_json, mask_detections_probabilities,
    mask_detections_width,
};
pub use detector::{
    MaskDetector, MaskPixelFormat, mask_detector_class_count, mask_detector_class_name,
    mask_detector_detect_encoded, mask_detector_detect_file, mask_detector_detect_pixels,
    mask_detector_free, mask_detector_new,
};
pub use options::{MaskOptions, mask_options};
pub use status::{MaskStatus, mask_last_error};
