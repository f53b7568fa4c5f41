//! Non-maximum suppression.

use crate::Detection;

/// Keeps the strongest of overlapping detections, at most `keep` of them.
///
/// `detections` stand in falling confidence; each one whose IoU with an already kept one is above
/// `max_iou` is dropped.
pub fn non_maximum_suppression(
    detections: &[Detection],
    max_iou: f32,
    keep: usize,
) -> Vec<Detection> {
    let mut kept: Vec<Detection> = Vec::new();
    for detection in detections {
        if kept.len() == keep {
            break;
        }
        if kept.iter().all(|strong| strong.bbox.iou(&detection.bbox) <= max_iou) {
            kept.push(*detection);
        }
    }
    kept
}
