//! The faces of an image.

use std::{
    ffi::{CString, c_char},
    ptr,
};

use detection_schema::{ImageRecord, Outcome};
use mask_detector::{FaceDetection, ImageSize};

/// The faces of an image, highest confidence first.
pub struct MaskDetections {
    size: ImageSize,
    faces: Vec<MaskFace>,
    /// Of all faces, one after the other.
    probabilities: Vec<f32>,
    json: CString,
}

/// A face.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskFace {
    /// Left side of its box, in pixels.
    pub x_min: f32,
    /// Upper side of its box, in pixels.
    pub y_min: f32,
    /// Right side of its box, in pixels.
    pub x_max: f32,
    /// Lower side of its box, in pixels.
    pub y_max: f32,
    /// The probability that it is a face, in [0, 1].
    pub confidence: f32,
    /// The most probable class, a number for `mask_detector_class_name`.
    pub class_index: u32,
    /// The probability of that class, in [0, 1].
    pub class_probability: f32,
}

impl MaskDetections {
    pub(crate) fn new(
        image: &str,
        size: ImageSize,
        found: &[FaceDetection],
        warning: Option<String>,
    ) -> Self {
        let record = ImageRecord {
            image: image.to_owned(),
            outcome: Outcome::Faces {
                width: size.width,
                height: size.height,
                faces: found.iter().map(FaceDetection::to_record).collect(),
                warning,
                drawn: None,
            },
        };
        let json = serde_json::to_string(&record).unwrap_or_default();
        let face = |face: &FaceDetection| MaskFace {
            x_min: face.bbox.x_min,
            y_min: face.bbox.y_min,
            x_max: face.bbox.x_max,
            y_max: face.bbox.y_max,
            confidence: face.score,
            class_index: face.class as u32,
            class_probability: face.label_probability(),
        };
        Self {
            size,
            faces: found.iter().map(face).collect(),
            probabilities: found
                .iter()
                .flat_map(|face| face.probabilities.iter().copied())
                .collect(),
            // JSON has no zero bytes.
            json: CString::new(json).unwrap_or_default(),
        }
    }
}

/// Width of the upright image in pixels; 0 for null.
///
/// # Safety
/// `detections` must be null or of this library, and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detections_width(detections: *const MaskDetections) -> u32 {
    // Safety: the caller's duty, here and below.
    unsafe { detections.as_ref() }.map_or(0, |detections| detections.size.width)
}

/// Height of the upright image in pixels; 0 for null.
///
/// # Safety
/// As for `mask_detections_width`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detections_height(detections: *const MaskDetections) -> u32 {
    unsafe { detections.as_ref() }.map_or(0, |detections| detections.size.height)
}

/// How many faces there are; 0 for null.
///
/// # Safety
/// As for `mask_detections_width`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detections_count(detections: *const MaskDetections) -> usize {
    unsafe { detections.as_ref() }.map_or(0, |detections| detections.faces.len())
}

/// The faces, `mask_detections_count` of them, there as long as `detections`; null for null.
///
/// # Safety
/// As for `mask_detections_width`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detections_faces(
    detections: *const MaskDetections,
) -> *const MaskFace {
    unsafe { detections.as_ref() }.map_or(ptr::null(), |detections| detections.faces.as_ptr())
}

/// The probabilities of the classes of a face, `mask_detector_class_count` of them, there as long as `detections`;
/// null if there is no such face.
///
/// # Safety
/// As for `mask_detections_width`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detections_probabilities(
    detections: *const MaskDetections,
    face: usize,
) -> *const f32 {
    let Some(MaskDetections { faces, probabilities, .. }) = (unsafe { detections.as_ref() }) else {
        return ptr::null();
    };
    match face < faces.len() {
        true => probabilities[face * probabilities.len() / faces.len()..].as_ptr(),
        false => ptr::null(),
    }
}

/// All of it as a line of JSON, as `mask-cli detect --format ndjson` writes it, there as long as `detections`; null
/// for null.
///
/// # Safety
/// As for `mask_detections_width`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detections_json(detections: *const MaskDetections) -> *const c_char {
    unsafe { detections.as_ref() }.map_or(ptr::null(), |detections| detections.json.as_ptr())
}

/// Frees what a `mask_detector_detect_...` made; null is nothing.
///
/// # Safety
/// As for `mask_detections_width`; it must not be used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detections_free(detections: *mut MaskDetections) {
    unsafe { crate::status::take(detections) };
}
