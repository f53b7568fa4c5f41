//! Images of one size, resized and normalised: the one way into both networks.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use geometry::{ImageSize, PixelRect};

use crate::{ImageView, ViewError};

/// How 8-bit colours become a network's numbers: `value / divisor - offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Whether blue comes first, else red does.
    pub bgr: bool,
    /// What values, 0 to 255, are divided by.
    pub divisor: f32,
    /// What is then subtracted from each channel, in the order of the network's channels.
    pub offset: [f32; 3],
}

impl Normalization {
    /// RGB in [-1, 1]: `x / 127.5 - 1`, as Keras's MobileNetV2 has it.
    pub const UNIT_RGB: Self = Self { bgr: false, divisor: 127.5, offset: [1.0; 3] };
}

/// A batch of network inputs, `[batch, height, width, 3]`.
#[derive(Debug, Clone)]
pub struct NetworkInput {
    size: ImageSize,
    normalization: Normalization,
    values: Vec<f32>,
}

impl NetworkInput {
    /// An empty batch of inputs of the given size.
    pub fn new(size: impl Into<ImageSize>, normalization: Normalization) -> Self {
        Self { size: size.into(), normalization, values: Vec::new() }
    }

    /// Resizes an image and appends it.
    ///
    /// The resize is OpenCV's `INTER_LINEAR`: half-pixel centres and no antialiasing, which is what
    /// both networks were trained on. The aspect ratio is not kept.
    ///
    /// # Errors
    /// If the image has no pixels.
    pub fn push<'a>(&mut self, image: impl Into<ImageView<'a>>) -> Result<(), ViewError> {
        let image = image.into();
        self.push_rect(image, PixelRect::of_image(image.size()))
    }

    /// Resizes a rectangle of an image and appends it. Pixels outside the rectangle do not matter.
    ///
    /// # Errors
    /// If the rectangle is empty or reaches beyond the image.
    pub fn push_rect<'a>(
        &mut self,
        image: impl Into<ImageView<'a>>,
        rect: PixelRect,
    ) -> Result<(), ViewError> {
        let image = image.into();
        if !rect.is_inside(image.size()) {
            return Err(ViewError::Outside { rect });
        }
        let resized = resize(&image, rect, self.size)?;
        let Normalization { bgr, divisor, offset } = self.normalization;
        // The network's first channel is the image's first one, or its last.
        let swapped = bgr != image.is_blue_first();
        self.values.reserve(3 * resized.pixels().len());
        self.values.extend(resized.pixels().iter().flat_map(|pixel| {
            let [first, green, last] = pixel.0.map(|value| f32::from(value) / divisor);
            let [first, last] = if swapped { [last, first] } else { [first, last] };
            [first - offset[0], green - offset[1], last - offset[2]]
        }));
        Ok(())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.values.len() / (3 * self.size.width as usize * self.size.height as usize).max(1)
    }

    /// Whether there is no image yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Width and height of the inputs.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// `[batch, height, width, 3]`, the shape of [`NetworkInput::values`].
    pub fn shape(&self) -> [usize; 4] {
        [self.len(), self.size.height as usize, self.size.width as usize, 3]
    }

    /// The normalised channels of every pixel of every image.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values without a copy.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

/// One instance for every format and both networks: fast_image_resize is generic over the pixels and
/// the kind of view, and each instance is more than a megabyte of code.
fn resize(
    image: &ImageView<'_>,
    rect: PixelRect,
    size: ImageSize,
) -> Result<TypedImage<'static, U8x3>, ViewError> {
    let pixels = image.three_channels(rect);
    let source = TypedImageRef::<U8x3>::from_buffer(rect.width, rect.height, &pixels)
        .map_err(|_| ViewError::Outside { rect })?;
    let mut resized = TypedImage::new(size.width, size.height);
    let linear = ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Bilinear));
    Resizer::new()
        .resize_typed(&source, &mut resized, &linear)
        .map_err(|_| ViewError::Outside { rect })?;
    Ok(resized)
}

#[cfg(test)]
mod tests {
    use image::{RgbImage, imageops};
    use proptest::prelude::*;

    use super::*;
    use crate::PixelFormat;

    const MEAN: Normalization =
        Normalization { bgr: true, divisor: 1.0, offset: [104.0, 177.0, 123.0] };

    fn noise(width: u32, height: u32) -> RgbImage {
        let mut state = 1u32;
        RgbImage::from_fn(width, height, |_, _| {
            image::Rgb([0; 3].map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }))
        })
    }

    #[test]
    fn channels_are_reordered_and_normalised() {
        let image = RgbImage::from_raw(2, 1, vec![10, 20, 30, 40, 50, 60]).unwrap();
        let mut input = NetworkInput::new((2, 1), MEAN);
        input.push(&image).unwrap();
        let expected =
            [30.0 - 104.0, 20.0 - 177.0, 10.0 - 123.0, 60.0 - 104.0, 50.0 - 177.0, 40.0 - 123.0];
        assert_eq!(input.values(), expected);
        assert_eq!(input.shape(), [1, 1, 2, 3]);
    }

    #[test]
    fn empty_images_are_refused() {
        let mut input = NetworkInput::new((8, 8), MEAN);
        assert!(input.push(&RgbImage::new(0, 5)).is_err());
        let rect = PixelRect { x: 3, y: 0, width: 2, height: 2 };
        assert!(input.push_rect(&noise(4, 4), rect).is_err());
        assert!(input.is_empty());
        assert_eq!(NetworkInput::new((0, 0), MEAN).len(), 0);
    }

    proptest! {
        /// A rectangle out of an image, in every format and with any stride, is what cutting it
        /// out first gives.
        #[test]
        fn rectangles_equal_copies(
            width in 1u32..40,
            height in 1u32..40,
            corner in (0.0..1.0f64, 0.0..1.0f64),
            extent in (0.0..1.0f64, 0.0..1.0f64),
            gap in 0usize..9,
        ) {
            let image = noise(width, height);
            let span = |length: u32, from: f64, part: f64| {
                let start = (from * f64::from(length)) as u32;
                (start, ((part * f64::from(length - start)) as u32).max(1))
            };
            let ((x, w), (y, h)) = (span(width, corner.0, extent.0), span(height, corner.1, extent.1));
            let mut copied = NetworkInput::new((17, 13), MEAN);
            copied.push(&imageops::crop_imm(&image, x, y, w, h).to_image()).unwrap();

            let rect = PixelRect { x, y, width: w, height: h };
            type Bytes = fn(&image::Rgb<u8>) -> Vec<u8>;
            let formats: [(PixelFormat, Bytes); 4] = [
                (PixelFormat::Rgb, |p| p.0.to_vec()),
                (PixelFormat::Bgr, |p| p.0.iter().rev().copied().collect()),
                (PixelFormat::Rgba, |p| p.0.iter().copied().chain([9]).collect()),
                (PixelFormat::Bgra, |p| p.0.iter().rev().copied().chain([9]).collect()),
            ];
            for (format, bytes) in formats {
                let mut data = Vec::new();
                for row in image.rows() {
                    row.for_each(|pixel| data.extend(bytes(pixel)));
                    data.extend(vec![77; gap]);
                }
                let stride = width as usize * format.bytes() + gap;
                // The last row need not have a gap.
                let data = &data[..data.len() - gap];
                let view = ImageView::new(data, (width, height), format, stride).unwrap();
                let mut input = NetworkInput::new((17, 13), MEAN);
                input.push_rect(view, rect).unwrap();
                prop_assert_eq!(input.values(), copied.values());
            }
        }
    }
}
