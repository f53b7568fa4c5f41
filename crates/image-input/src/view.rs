//! Borrowed pixels.

use std::borrow::Cow;

use geometry::{ImageSize, PixelRect};
use image::{GrayImage, RgbImage, RgbaImage};

/// Order of the bytes of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV has them.
    Bgr,
    /// Red, green, blue, alpha. Alpha is ignored: colours under transparent pixels count.
    Rgba,
    /// Blue, green, red, alpha, which is ignored.
    Bgra,
    /// A single grey value.
    Grey,
}

impl PixelFormat {
    /// Bytes of a pixel.
    pub fn bytes(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Rgba | Self::Bgra => 4,
            Self::Grey => 1,
        }
    }
}

/// An upright image whose pixels are somebody else's: 8 bits per channel, row after row.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    data: &'a [u8],
    size: ImageSize,
    format: PixelFormat,
    stride: usize,
}

/// Pixels that are not what they are said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The image has no pixels.
    #[error("an image of {width} x {height} pixels is empty")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The stride is less than a row of pixels.
    #[error("a stride of {stride} bytes is less than a row of {row} bytes")]
    Stride {
        /// The stride given, in bytes.
        stride: usize,
        /// Bytes of a row.
        row: usize,
    },
    /// There are fewer bytes than pixels.
    #[error("{found} bytes are too few for the image, which needs {needed}")]
    TooShort {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// A rectangle does not lie in the image.
    #[error("the rectangle {rect:?} is empty or reaches beyond the image")]
    Outside {
        /// The rectangle.
        rect: PixelRect,
    },
}

impl<'a> ImageView<'a> {
    /// Borrows an image of `size` whose rows begin `stride` bytes apart.
    ///
    /// # Errors
    /// If the image has no pixels, a row is longer than the stride, or `data` is too short.
    pub fn new(
        data: &'a [u8],
        size: impl Into<ImageSize>,
        format: PixelFormat,
        stride: usize,
    ) -> Result<Self, ViewError> {
        let size @ ImageSize { width, height } = size.into();
        if width == 0 || height == 0 {
            return Err(ViewError::Empty { width, height });
        }
        let found = data.len();
        let too_short = ViewError::TooShort { found, needed: usize::MAX };
        let row = (width as usize).checked_mul(format.bytes()).ok_or(too_short.clone())?;
        if stride < row {
            return Err(ViewError::Stride { stride, row });
        }
        let needed = stride.checked_mul(height as usize - 1).and_then(|n| n.checked_add(row));
        let needed = needed.ok_or(too_short)?;
        if found < needed {
            return Err(ViewError::TooShort { found, needed });
        }
        Ok(Self { data, size, format, stride })
    }

    /// Borrows an image whose rows follow each other without gaps.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn packed(
        data: &'a [u8],
        size: impl Into<ImageSize>,
        format: PixelFormat,
    ) -> Result<Self, ViewError> {
        let size = size.into();
        Self::new(data, size, format, size.width as usize * format.bytes())
    }

    /// Width and height.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// Order of the bytes of a pixel.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Whether blue comes before red.
    pub(crate) fn is_blue_first(&self) -> bool {
        matches!(self.format, PixelFormat::Bgr | PixelFormat::Bgra)
    }

    /// The pixels of a rectangle inside the image, three bytes each, without gaps; blue first if the
    /// image has it so. Copies what is not like that already.
    pub(crate) fn three_channels(&self, rect: PixelRect) -> Cow<'a, [u8]> {
        let pixel = self.format.bytes();
        let (row, rows) = (rect.width as usize * pixel, rect.height as usize);
        let start = |y: usize| (rect.y as usize + y) * self.stride + rect.x as usize * pixel;
        if pixel == 3 && (self.stride == row || rows == 1) {
            return Cow::Borrowed(&self.data[start(0)..start(0) + row * rows]);
        }
        let mut pixels = Vec::with_capacity(3 * rect.width as usize * rows);
        for y in 0..rows {
            let bytes = &self.data[start(y)..start(y) + row];
            match self.format {
                PixelFormat::Rgb | PixelFormat::Bgr => pixels.extend_from_slice(bytes),
                PixelFormat::Rgba | PixelFormat::Bgra => {
                    pixels.extend(bytes.as_chunks::<4>().0.iter().flat_map(|p| [p[0], p[1], p[2]]));
                }
                PixelFormat::Grey => pixels.extend(bytes.iter().flat_map(|grey| [*grey; 3])),
            }
        }
        Cow::Owned(pixels)
    }

    /// The image as owned RGB pixels.
    pub fn to_rgb(&self) -> RgbImage {
        let pixel = self.format.bytes();
        let (width, height) = (self.size.width, self.size.height);
        RgbImage::from_fn(width, height, |x, y| {
            let at = y as usize * self.stride + x as usize * pixel;
            let bytes = &self.data[at..at + pixel];
            image::Rgb(match self.format {
                PixelFormat::Rgb | PixelFormat::Rgba => [bytes[0], bytes[1], bytes[2]],
                PixelFormat::Bgr | PixelFormat::Bgra => [bytes[2], bytes[1], bytes[0]],
                PixelFormat::Grey => [bytes[0]; 3],
            })
        })
    }
}

/// # Panics
/// Never: an image of the `image` crate has as many bytes as its size says. An empty one becomes a
/// view that [`crate::NetworkInput::push`] refuses.
macro_rules! from_image {
    ($type:ty, $format:expr) => {
        impl<'a> From<&'a $type> for ImageView<'a> {
            fn from(image: &'a $type) -> Self {
                let (width, height) = image.dimensions();
                let stride = width as usize * $format.bytes();
                Self {
                    data: image.as_raw(),
                    size: ImageSize { width, height },
                    format: $format,
                    stride,
                }
            }
        }
    };
}

from_image!(RgbImage, PixelFormat::Rgb);
from_image!(RgbaImage, PixelFormat::Rgba);
from_image!(GrayImage, PixelFormat::Grey);

impl<'a> From<&ImageView<'a>> for ImageView<'a> {
    fn from(view: &ImageView<'a>) -> Self {
        *view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_that_are_not_there_are_refused() {
        let data = [0; 100];
        let view = |size: (u32, u32), format, stride| ImageView::new(&data, size, format, stride);
        assert!(view((5, 5), PixelFormat::Rgba, 20).is_ok());
        // The gap behind the last row may be absent.
        assert!(view((4, 5), PixelFormat::Rgb, 22).is_ok());
        for (size, format, stride) in [
            ((0, 5), PixelFormat::Rgb, 20),
            ((5, 0), PixelFormat::Rgb, 20),
            ((5, 5), PixelFormat::Rgb, 14),
            ((5, 6), PixelFormat::Rgba, 20),
            ((6, 5), PixelFormat::Rgba, 24),
            ((1, 2), PixelFormat::Grey, usize::MAX),
            ((u32::MAX, u32::MAX), PixelFormat::Rgba, usize::MAX),
        ] {
            assert!(view(size, format, stride).is_err(), "{size:?} {stride}");
        }
    }

    #[test]
    fn every_format_shows_the_same_colours() {
        let rgb = RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, 10 + y as u8, 200]));
        let bgr: Vec<u8> = rgb.pixels().flat_map(|p| [p.0[2], p.0[1], p.0[0]]).collect();
        let rgba: Vec<u8> = rgb.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 0]).collect();
        let views = [
            ImageView::from(&rgb),
            ImageView::packed(&bgr, (3, 2), PixelFormat::Bgr).unwrap(),
            ImageView::packed(&rgba, (3, 2), PixelFormat::Rgba).unwrap(),
        ];
        for view in views {
            assert_eq!(view.to_rgb(), rgb);
        }
        let grey = ImageView::packed(&[7, 8], (2, 1), PixelFormat::Grey).unwrap();
        assert_eq!(grey.to_rgb().into_raw(), [7, 7, 7, 8, 8, 8]);
    }
}
