//! Boxes in the two coordinate systems of the detector.

use serde::{Deserialize, Serialize};

/// A box in fractions of the picture: (0, 0) is its upper left corner, (1, 1) the lower right.
/// As the network yields it, it may reach outside the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalizedBox {
    /// Left edge.
    pub x_min: f32,
    /// Upper edge.
    pub y_min: f32,
    /// Right edge.
    pub x_max: f32,
    /// Lower edge.
    pub y_max: f32,
}

impl NormalizedBox {
    /// The area; 0 for a box turned inside out.
    pub fn area(&self) -> f32 {
        if self.x_max < self.x_min || self.y_max < self.y_min {
            return 0.0;
        }
        (self.x_max - self.x_min) * (self.y_max - self.y_min)
    }

    /// Intersection over union with `other`, in [0, 1].
    pub fn iou(&self, other: &Self) -> f32 {
        let width = self.x_max.min(other.x_max) - self.x_min.max(other.x_min);
        let height = self.y_max.min(other.y_max) - self.y_min.max(other.y_min);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let intersection = width * height;
        intersection / (self.area() + other.area() - intersection)
    }

    /// The box in the pixels of a picture of the given size, clamped to it.
    ///
    /// `None` if less than a pixel in width or height remains.
    pub fn to_pixels(&self, width: u32, height: u32) -> Option<PixelBox> {
        let (width, height) = (width as f32, height as f32);
        let pixels = PixelBox {
            x_min: (self.x_min * width).clamp(0.0, width),
            y_min: (self.y_min * height).clamp(0.0, height),
            x_max: (self.x_max * width).clamp(0.0, width),
            y_max: (self.y_max * height).clamp(0.0, height),
        };
        (pixels.width() >= 1.0 && pixels.height() >= 1.0).then_some(pixels)
    }
}

/// A box in the pixels of an upright picture, inside it, at least a pixel wide and high.
/// Pixel (0, 0) covers the coordinates from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PixelBox {
    /// Left edge.
    pub x_min: f32,
    /// Upper edge.
    pub y_min: f32,
    /// Right edge.
    pub x_max: f32,
    /// Lower edge.
    pub y_max: f32,
}

impl PixelBox {
    /// Width in pixels.
    pub fn width(&self) -> f32 {
        self.x_max - self.x_min
    }

    /// Height in pixels.
    pub fn height(&self) -> f32 {
        self.y_max - self.y_min
    }

    /// The whole pixels to crop from a picture of the given size, `(x, y, width, height)`, never
    /// empty.
    ///
    /// Edges are truncated to integers and the picture's last column and row are left out, as the
    /// reference pipeline does: the classifier's label hangs on it for one face in forty at an edge.
    pub fn crop_rectangle(&self, picture_width: u32, picture_height: u32) -> (u32, u32, u32, u32) {
        let span = |min: f32, max: f32, length: u32| {
            let last = length.saturating_sub(1);
            let start = (min as u32).min(last);
            (start, (max as u32).min(last).saturating_sub(start).max(1))
        };
        let (x, width) = span(self.x_min, self.x_max, picture_width);
        let (y, height) = span(self.y_min, self.y_max, picture_height);
        (x, y, width, height)
    }

    /// The whole pixels that the box touches, `(x, y, width, height)`.
    pub fn touched_rectangle(&self) -> (u32, u32, u32, u32) {
        let span = |min: f32, max: f32| (min as u32, max.ceil() as u32 - min as u32);
        let (x, width) = span(self.x_min, self.x_max);
        let (y, height) = span(self.y_min, self.y_max);
        (x, y, width, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = NormalizedBox> {
        [-0.5..1.5f32, -0.5..1.5f32, -0.5..1.5f32, -0.5..1.5f32]
            .prop_map(|[x_min, y_min, x_max, y_max]| NormalizedBox { x_min, y_min, x_max, y_max })
    }

    proptest! {
        #[test]
        fn pixel_boxes_lie_inside_and_are_not_empty(
            bbox in any_box(), width in 1..5000u32, height in 1..5000u32,
        ) {
            if let Some(pixels) = bbox.to_pixels(width, height) {
                prop_assert!(pixels.x_min >= 0.0 && pixels.x_max <= width as f32);
                prop_assert!(pixels.y_min >= 0.0 && pixels.y_max <= height as f32);
                let (x, y, w, h) = pixels.crop_rectangle(width, height);
                prop_assert!(w >= 1 && h >= 1 && x + w <= width && y + h <= height);
                let (x, y, w, h) = pixels.touched_rectangle();
                prop_assert!(x as f32 <= pixels.x_min && (x + w) as f32 >= pixels.x_max);
                prop_assert!(y as f32 <= pixels.y_min && (y + h) as f32 >= pixels.y_max);
                prop_assert!(x + w <= width && y + h <= height);
            }
        }

        /// Counting cells of a fine grid needs no geometry, so it cannot share a mistake.
        #[test]
        fn iou_agrees_with_counting(a in any_box(), b in any_box()) {
            let steps = 200;
            let inside = |bbox: &NormalizedBox, x: f32, y: f32| {
                bbox.x_min <= x && x < bbox.x_max && bbox.y_min <= y && y < bbox.y_max
            };
            let (mut intersection, mut union) = (0u32, 0u32);
            for i in 0..steps {
                for j in 0..steps {
                    let at = |k: i32| -0.5 + 2.0 * (k as f32 + 0.5) / steps as f32;
                    let (in_a, in_b) = (inside(&a, at(i), at(j)), inside(&b, at(i), at(j)));
                    intersection += u32::from(in_a && in_b);
                    union += u32::from(in_a || in_b);
                }
            }
            prop_assume!(union > 2000);
            let counted = intersection as f32 / union as f32;
            prop_assert!((a.iou(&b) - counted).abs() < 0.05, "{} against {counted}", a.iou(&b));
        }
    }
}
