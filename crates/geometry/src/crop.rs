//! What of an image's surroundings goes with a face.

use crate::{BoundingBox, ImageSize};

/// How a box is grown before its pixels are classified, in training and afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Crop {
    /// What is added on every side, as a fraction of the box's width or height, or of its longer
    /// side if the crop is square.
    pub margin: f32,
    /// Whether the crop is a square around the box, so that nothing is stretched.
    pub square: bool,
}

impl Crop {
    /// The part of an image that is cropped for a box. A square that reaches beyond the image is
    /// moved into it; where it does not fit, it is cut.
    pub fn region(&self, bbox: &BoundingBox, size: ImageSize) -> BoundingBox {
        let grown = self.grow(bbox);
        if !self.square {
            return grown.clamp(size);
        }
        let along = |min: f32, max: f32, length: u32| {
            let (side, length) = (max - min, length as f32);
            let start = min.min(length - side).max(0.0);
            (start, (start + side).min(length))
        };
        let (x_min, x_max) = along(grown.x_min, grown.x_max, size.width);
        let (y_min, y_max) = along(grown.y_min, grown.y_max, size.height);
        BoundingBox { x_min, y_min, x_max, y_max }.clamp(size)
    }

    /// The grown box, wherever the image ends.
    pub fn grow(&self, bbox: &BoundingBox) -> BoundingBox {
        if !self.square {
            return bbox.expand(self.margin);
        }
        let half = bbox.width().max(bbox.height()) * (0.5 + self.margin);
        let (x, y) = ((bbox.x_min + bbox.x_max) / 2.0, (bbox.y_min + bbox.y_max) / 2.0);
        BoundingBox { x_min: x - half, y_min: y - half, x_max: x + half, y_max: y + half }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize { width: 100, height: 80 };

    fn bbox(x_min: f32, y_min: f32, x_max: f32, y_max: f32) -> BoundingBox {
        BoundingBox { x_min, y_min, x_max, y_max }
    }

    #[test]
    fn squares_hold_the_box_and_lie_in_the_image() {
        let crop = Crop { margin: 0.2, square: true };
        let middle = crop.region(&bbox(40.0, 30.0, 50.0, 50.0), SIZE);
        assert_eq!(middle, bbox(31.0, 26.0, 59.0, 54.0));
        for face in [bbox(0.0, 0.0, 10.0, 20.0), bbox(95.0, 70.0, 100.0, 80.0)] {
            let found = crop.region(&face, SIZE);
            assert!((found.width() - found.height()).abs() < 1e-4, "{found:?}");
            assert!(found.x_min <= face.x_min && found.x_max >= face.x_max);
            assert!(found.y_min <= face.y_min && found.y_max >= face.y_max);
            assert_eq!(found, found.clamp(SIZE));
        }
        // Where no square fits, all there is.
        assert_eq!(crop.region(&bbox(5.0, 0.0, 95.0, 80.0), SIZE), bbox(0.0, 0.0, 100.0, 80.0));
    }

    #[test]
    fn others_are_the_expanded_box() {
        let crop = Crop { margin: 0.1, square: false };
        assert_eq!(crop.region(&bbox(0.0, 20.0, 10.0, 40.0), SIZE), bbox(0.0, 18.0, 11.0, 42.0));
    }
}
