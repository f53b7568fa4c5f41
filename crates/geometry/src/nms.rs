//! Non-maximum suppression.

use crate::UnitBox;

/// Keeps the strongest of overlapping boxes; the indices of those kept, at most `max_kept`.
///
/// `boxes` are in descending order of score. Each box is dropped whose IoU with an already kept one is
/// above `iou_threshold`, or of which and a kept one the smaller lies in the other by more than
/// `overlap_threshold` of its area; 1 turns that off.
pub fn non_maximum_suppression(
    boxes: &[UnitBox],
    iou_threshold: f32,
    overlap_threshold: f32,
    max_kept: usize,
) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for (index, candidate) in boxes.iter().enumerate() {
        if kept.len() == max_kept {
            break;
        }
        let free = |strong: &usize| {
            let strong = &boxes[*strong];
            strong.iou(candidate) <= iou_threshold && strong.overlap(candidate) <= overlap_threshold
        };
        if kept.iter().all(free) {
            kept.push(index);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bbox(x_min: f32, y_min: f32, x_max: f32, y_max: f32) -> UnitBox {
        UnitBox { x_min, y_min, x_max, y_max }
    }

    #[test]
    fn a_box_within_another_is_dropped_only_if_asked_for() {
        let face = bbox(0.1, 0.1, 0.9, 0.9);
        let part = bbox(0.2, 0.2, 0.5, 0.5);
        let neighbour = bbox(0.8, 0.3, 1.0, 0.5);
        let boxes = [face, part, neighbour];
        assert_eq!(non_maximum_suppression(&boxes, 0.45, 1.0, 9), [0, 1, 2]);
        assert_eq!(non_maximum_suppression(&boxes, 0.45, 0.6, 9), [0, 2]);
        // Whichever of the two is larger.
        assert_eq!(non_maximum_suppression(&[part, face], 0.45, 0.6, 9), [0]);
        assert_eq!(non_maximum_suppression(&[face, face], 1.0, 1.0, 9), [0, 1]);
    }
}
