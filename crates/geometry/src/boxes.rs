//! Boxes in pixels and in unit coordinates.

use crate::{ImageSize, PixelRect};

/// Edges and what follows from them alone, for both coordinate systems.
macro_rules! box_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name {
            /// Left edge.
            pub x_min: f32,
            /// Upper edge.
            pub y_min: f32,
            /// Right edge.
            pub x_max: f32,
            /// Lower edge.
            pub y_max: f32,
        }

        impl $name {
            /// Width; negative if the edges are swapped.
            pub fn width(&self) -> f32 {
                self.x_max - self.x_min
            }

            /// Height; negative if the edges are swapped.
            pub fn height(&self) -> f32 {
                self.y_max - self.y_min
            }

            /// Area; 0 if edges are swapped.
            pub fn area(&self) -> f32 {
                if self.x_max < self.x_min || self.y_max < self.y_min {
                    return 0.0;
                }
                self.width() * self.height()
            }

            /// Area of the overlap with `other`.
            pub fn intersection(&self, other: &Self) -> f32 {
                let width = self.x_max.min(other.x_max) - self.x_min.max(other.x_min);
                let height = self.y_max.min(other.y_max) - self.y_min.max(other.y_min);
                if width <= 0.0 || height <= 0.0 { 0.0 } else { width * height }
            }

            /// Intersection over union with `other`, in [0, 1].
            pub fn iou(&self, other: &Self) -> f32 {
                let intersection = self.intersection(other);
                if intersection <= 0.0 {
                    return 0.0;
                }
                intersection / (self.area() + other.area() - intersection)
            }

            /// The part of the smaller of the two that lies in the other, in [0, 1].
            pub fn overlap(&self, other: &Self) -> f32 {
                let intersection = self.intersection(other);
                if intersection <= 0.0 {
                    return 0.0;
                }
                (intersection / self.area().min(other.area())).min(1.0)
            }

            /// The box with `margin` times its width or height added on every side; a negative
            /// margin shrinks it.
            pub fn expand(&self, margin: f32) -> Self {
                let (x, y) = (margin * self.width(), margin * self.height());
                Self {
                    x_min: self.x_min - x,
                    y_min: self.y_min - y,
                    x_max: self.x_max + x,
                    y_max: self.y_max + y,
                }
            }
        }
    };
}

box_type! {
    /// A box in pixels of an image: pixel (0, 0) covers the coordinates from 0 to 1. It may reach
    /// beyond the image; [`BoundingBox::clamp`] cuts it.
    BoundingBox
}

box_type! {
    /// A box in fractions of an image: (0, 0) is its upper left corner, (1, 1) the lower right. It
    /// may reach beyond the image.
    UnitBox
}

impl UnitBox {
    /// The box in pixels of an image.
    pub fn to_pixels(&self, size: ImageSize) -> BoundingBox {
        let (width, height) = (size.width as f32, size.height as f32);
        BoundingBox {
            x_min: self.x_min * width,
            y_min: self.y_min * height,
            x_max: self.x_max * width,
            y_max: self.y_max * height,
        }
    }
}

impl BoundingBox {
    /// A whole image.
    pub fn of_image(size: ImageSize) -> Self {
        Self { x_min: 0.0, y_min: 0.0, x_max: size.width as f32, y_max: size.height as f32 }
    }

    /// The box in fractions of an image.
    pub fn to_unit(&self, size: ImageSize) -> UnitBox {
        let (width, height) = (size.width as f32, size.height as f32);
        UnitBox {
            x_min: self.x_min / width,
            y_min: self.y_min / height,
            x_max: self.x_max / width,
            y_max: self.y_max / height,
        }
    }

    /// The part of the box inside an image.
    pub fn clamp(&self, size: ImageSize) -> Self {
        let (right, bottom) = (size.width as f32, size.height as f32);
        Self {
            x_min: self.x_min.clamp(0.0, right),
            y_min: self.y_min.clamp(0.0, bottom),
            x_max: self.x_max.clamp(0.0, right),
            y_max: self.y_max.clamp(0.0, bottom),
        }
    }

    /// The whole pixels of an image to crop for a classifier, never empty.
    ///
    /// Edges are truncated to integers and the image's last column and row are left out, as the
    /// reference pipeline does. This affects the label of about 1 in 40 faces at the border.
    pub fn crop_rect(&self, size: ImageSize) -> PixelRect {
        let span = |min: f32, max: f32, length: u32| {
            let last = length.saturating_sub(1);
            let start = (min as u32).min(last);
            (start, (max as u32).min(last).saturating_sub(start).max(1))
        };
        let (x, width) = span(self.x_min, self.x_max, size.width);
        let (y, height) = span(self.y_min, self.y_max, size.height);
        PixelRect { x, y, width, height }
    }

    /// The whole pixels of an image that the box touches.
    pub fn enclosing_rect(&self, size: ImageSize) -> PixelRect {
        let span = |min: f32, max: f32, length: u32| {
            let start = (min as u32).min(length);
            (start, (max.ceil() as u32).clamp(start, length) - start)
        };
        let (x, width) = span(self.x_min, self.x_max, size.width);
        let (y, height) = span(self.y_min, self.y_max, size.height);
        PixelRect { x, y, width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = UnitBox> {
        [-0.5..1.5f32, -0.5..1.5f32, -0.5..1.5f32, -0.5..1.5f32]
            .prop_map(|[x_min, y_min, x_max, y_max]| UnitBox { x_min, y_min, x_max, y_max })
    }

    proptest! {
        #[test]
        fn rectangles_lie_inside_the_image(
            bbox in any_box(), width in 1..5000u32, height in 1..5000u32,
        ) {
            let size = ImageSize { width, height };
            let pixels = bbox.to_pixels(size).clamp(size);
            prop_assert!(pixels.x_min >= 0.0 && pixels.x_max <= width as f32);
            prop_assert!(pixels.y_min >= 0.0 && pixels.y_max <= height as f32);
            let rect = pixels.crop_rect(size);
            prop_assert!(rect.width >= 1 && rect.height >= 1);
            prop_assert!(rect.x + rect.width <= width && rect.y + rect.height <= height);
            if pixels.width() > 0.0 && pixels.height() > 0.0 {
                let rect = pixels.enclosing_rect(size);
                prop_assert!(rect.x as f32 <= pixels.x_min);
                prop_assert!((rect.x + rect.width) as f32 >= pixels.x_max);
                prop_assert!(rect.y as f32 <= pixels.y_min);
                prop_assert!((rect.y + rect.height) as f32 >= pixels.y_max);
                prop_assert!(rect.x + rect.width <= width && rect.y + rect.height <= height);
            }
        }

        #[test]
        fn units_and_pixels_convert_back(bbox in any_box(), width in 1..5000u32) {
            let size = ImageSize { width, height: 300 };
            let back = bbox.to_pixels(size).to_unit(size);
            prop_assert!((back.x_min - bbox.x_min).abs() < 1e-5);
            prop_assert!((back.y_max - bbox.y_max).abs() < 1e-5);
        }

        /// Counting cells of a fine grid needs no geometry, so it cannot share a mistake.
        #[test]
        fn iou_agrees_with_counting(a in any_box(), b in any_box()) {
            let steps = 200;
            let inside = |bbox: &UnitBox, x: f32, y: f32| {
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

    #[test]
    fn expansion_adds_to_every_side() {
        let bbox = BoundingBox { x_min: 10.0, y_min: 20.0, x_max: 30.0, y_max: 60.0 };
        let grown = BoundingBox { x_min: 8.0, y_min: 16.0, x_max: 32.0, y_max: 64.0 };
        assert_eq!(bbox.expand(0.1), grown);
        assert_eq!(bbox.expand(-0.5).area(), 0.0);
    }
}
