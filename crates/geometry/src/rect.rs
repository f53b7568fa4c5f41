//! Sizes and rectangles of whole pixels.

use crate::BoundingBox;

/// Width and height of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ImageSize {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl ImageSize {
    /// Number of pixels.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl From<(u32, u32)> for ImageSize {
    fn from((width, height): (u32, u32)) -> Self {
        Self { width, height }
    }
}

/// A rectangle of whole pixels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PixelRect {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

impl PixelRect {
    /// A whole image.
    pub fn of_image(size: ImageSize) -> Self {
        Self { x: 0, y: 0, width: size.width, height: size.height }
    }

    /// Whether the rectangle holds a pixel and lies in an image.
    pub fn is_inside(&self, size: ImageSize) -> bool {
        let fits = |start: u32, length: u32, limit: u32| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= limit)
        };
        fits(self.x, self.width, size.width) && fits(self.y, self.height, size.height)
    }

    /// The same rectangle as a box.
    pub fn to_box(&self) -> BoundingBox {
        let (x, y) = (self.x as f32, self.y as f32);
        BoundingBox {
            x_min: x,
            y_min: y,
            x_max: x + self.width as f32,
            y_max: y + self.height as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_know_what_they_lie_in() {
        let size = ImageSize { width: 10, height: 5 };
        assert!(PixelRect::of_image(size).is_inside(size));
        let rect = |x, y, width, height| PixelRect { x, y, width, height };
        for outside in [
            rect(1, 0, 10, 5),
            rect(0, 1, 10, 5),
            rect(0, 0, 0, 5),
            rect(0, 0, 10, 0),
            rect(u32::MAX, 0, 2, 1),
        ] {
            assert!(!outside.is_inside(size), "{outside:?}");
        }
        assert_eq!(rect(1, 2, 3, 4).to_box().enclosing_rect((9, 9).into()), rect(1, 2, 3, 4));
    }
}
