//! Non-maximum suppression.

use crate::UnitBox;

/// Keeps the strongest of overlapping boxes; the indices of those kept, at most `max_kept`.
///
/// `boxes` are in descending order of score. Each box whose IoU with an already kept one is above
/// `iou_threshold` is dropped.
pub fn non_maximum_suppression(
    boxes: &[UnitBox],
    iou_threshold: f32,
    max_kept: usize,
) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for (index, candidate) in boxes.iter().enumerate() {
        if kept.len() == max_kept {
            break;
        }
        if kept.iter().all(|strong| boxes[*strong].iou(candidate) <= iou_threshold) {
            kept.push(index);
        }
    }
    kept
}
