//! From crops of faces to the backbone's input tensor.

use burn::tensor::{Device, Tensor, TensorData};
use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;

use crate::MaskModelError;

/// Width and height of the backbone's input, in pixels: MobileNetV2's own.
pub const CROP_SIDE: u32 = 224;

/// Crops, resized and scaled to [-1, 1], ready for the backbone.
#[derive(Debug, Clone, Default)]
pub struct CropBatch {
    /// Red, green and blue of every pixel: `[batch, 224, 224, 3]`.
    values: Vec<f32>,
}

impl CropBatch {
    /// Resizes a crop to 224 x 224, aspect not kept, and appends it.
    ///
    /// The resize is OpenCV's `INTER_LINEAR` (half-pixel centres, no antialiasing), as in the
    /// reference pipeline; colours become `x / 127.5 - 1`, as Keras's MobileNetV2 has them.
    ///
    /// # Errors
    /// If the crop has no pixels.
    pub fn push(&mut self, crop: &RgbImage) -> Result<(), MaskModelError> {
        let (width, height) = crop.dimensions();
        let failed = |reason: String| MaskModelError::Resize { width, height, reason };
        let source = TypedImageRef::<U8x3>::from_buffer(width, height, crop.as_raw())
            .map_err(|error| failed(error.to_string()))?;
        let mut resized = TypedImage::new(CROP_SIDE, CROP_SIDE);
        let linear =
            ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Bilinear));
        Resizer::new()
            .resize_typed(&source, &mut resized, &linear)
            .map_err(|error| failed(error.to_string()))?;
        let pixels: &[U8x3] = resized.pixels();
        self.values.reserve(3 * pixels.len());
        let scaled = |value: u8| f32::from(value) / 127.5 - 1.0;
        self.values.extend(pixels.iter().flat_map(|rgb| rgb.0.map(scaled)));
        Ok(())
    }

    /// Number of crops.
    pub fn len(&self) -> usize {
        self.values.len() / (3 * CROP_SIDE * CROP_SIDE) as usize
    }

    /// Whether there is no crop yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `[batch, 224, 224, 3]`, the shape of [`CropBatch::values`].
    pub fn shape(&self) -> [usize; 4] {
        [self.len(), CROP_SIDE as usize, CROP_SIDE as usize, 3]
    }

    /// RGB of every pixel of every crop, in [-1, 1].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The batch as a tensor `[batch, 3, 224, 224]`: RGB in [-1, 1].
    pub fn into_tensor(self, device: &Device) -> Tensor<4> {
        let shape = self.shape();
        Tensor::<4>::from_data(TensorData::new(self.values, shape), device).permute([0, 3, 1, 2])
    }
}
