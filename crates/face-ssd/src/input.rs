//! From pictures to the network's input tensor.

use std::{fmt, str::FromStr};

use burn::tensor::{Device, Tensor, TensorData};
use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::FaceSsdError;

/// What is subtracted from the blue, green and red channel, each 0 to 255: the training set's mean,
/// from OpenCV's description of the model (104, 177, 123).
pub const MEAN_BGR: [f32; 3] = [104.0, 177.0, 123.0];

/// How large a picture enters the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InputSize {
    /// Stretched to exactly this size, as the reference does with 300 x 300.
    Fixed {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The aspect kept, the longer side this many pixels.
    LongSide(u32),
}

impl InputSize {
    /// Smallest side of a network input, in pixels. The short side of an extreme strip is
    /// stretched up to it.
    pub const MIN_SIDE: u32 = 32;
    /// Largest side of a network input, in pixels.
    pub const MAX_SIDE: u32 = 4096;
    /// The reference's 300 x 300.
    pub const REFERENCE: Self = Self::Fixed { width: 300, height: 300 };

    /// The network's input for a picture of the given size: width and height in pixels.
    pub fn for_picture(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::Fixed { width, height } => (width, height),
            Self::LongSide(side) => {
                let scale = f64::from(side) / f64::from(width.max(height).max(1));
                let scaled = |length: u32| {
                    ((f64::from(length) * scale).round() as u32).clamp(Self::MIN_SIDE, side)
                };
                (scaled(width), scaled(height))
            }
        }
    }

    /// Checks that the network can take inputs of this size.
    ///
    /// # Errors
    /// If a side is outside [`InputSize::MIN_SIDE`] to [`InputSize::MAX_SIDE`].
    pub fn validate(self) -> Result<(), FaceSsdError> {
        let sides = match self {
            Self::Fixed { width, height } => [width, height],
            Self::LongSide(side) => [side, side],
        };
        match sides.into_iter().find(|side| !(Self::MIN_SIDE..=Self::MAX_SIDE).contains(side)) {
            Some(side) => Err(FaceSsdError::InputSize(side)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for InputSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { width, height } if width == height => write!(f, "{width}"),
            Self::Fixed { width, height } => write!(f, "{width}x{height}"),
            Self::LongSide(side) => write!(f, "long:{side}"),
        }
    }
}

impl FromStr for InputSize {
    type Err = FaceSsdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side =
            |text: &str| text.parse().map_err(|_| FaceSsdError::ParseInputSize(text.to_owned()));
        let size = if let Some(long) = text.strip_prefix("long:") {
            Self::LongSide(side(long)?)
        } else if let Some((width, height)) = text.split_once('x') {
            Self::Fixed { width: side(width)?, height: side(height)? }
        } else {
            let side = side(text)?;
            Self::Fixed { width: side, height: side }
        };
        size.validate()?;
        Ok(size)
    }
}

/// Pictures of one input size, resized and with the mean subtracted, ready for the network.
#[derive(Debug, Clone)]
pub struct InputBatch {
    width: u32,
    height: u32,
    /// Blue, green and red of every pixel: `[batch, height, width, 3]`.
    values: Vec<f32>,
}

impl InputBatch {
    /// An empty batch of inputs of the given size in pixels.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, values: Vec::new() }
    }

    /// Resizes a picture and appends it.
    ///
    /// The resize is OpenCV's `INTER_LINEAR`: half-pixel centres and no antialiasing, which is what
    /// the network was trained on.
    ///
    /// # Errors
    /// If the picture has no pixels.
    pub fn push(&mut self, picture: &RgbImage) -> Result<(), FaceSsdError> {
        let (width, height) = picture.dimensions();
        let failed = |reason: String| FaceSsdError::Resize { width, height, reason };
        let source = TypedImageRef::<U8x3>::from_buffer(width, height, picture.as_raw())
            .map_err(|error| failed(error.to_string()))?;
        let mut resized = TypedImage::new(self.width, self.height);
        let linear =
            ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Bilinear));
        Resizer::new()
            .resize_typed(&source, &mut resized, &linear)
            .map_err(|error| failed(error.to_string()))?;
        self.push_resized(resized.pixels());
        Ok(())
    }

    /// Appends a picture that already has the batch's size.
    fn push_resized(&mut self, rgb: &[U8x3]) {
        self.values.reserve(3 * rgb.len());
        let [blue, green, red] = MEAN_BGR;
        self.values.extend(rgb.iter().flat_map(|pixel| {
            let [r, g, b] = pixel.0.map(f32::from);
            [b - blue, g - green, r - red]
        }));
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.values.len() / (3 * self.width as usize * self.height as usize)
    }

    /// Whether there is no picture yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `[batch, height, width, 3]`, the shape of [`InputBatch::values`].
    pub fn shape(&self) -> [usize; 4] {
        [self.len(), self.height as usize, self.width as usize, 3]
    }

    /// BGR of every pixel of every picture, mean subtracted.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The batch as a tensor `[batch, 3, height, width]`: BGR, mean subtracted.
    pub fn into_tensor(self, device: &Device) -> Tensor<4> {
        let shape = self.shape();
        let data = TensorData::new(self.values, shape);
        Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_back_and_nonsense_is_refused() {
        for text in ["300", "320x240", "long:480"] {
            assert_eq!(text.parse::<InputSize>().unwrap().to_string(), text);
        }
        for text in ["", "abc", "long:", "3x", "-300", "31", "long:5000", "300x9"] {
            assert!(text.parse::<InputSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_side_keeps_the_aspect_and_strips_stay_usable() {
        let size = InputSize::LongSide(480);
        assert_eq!(size.for_picture(1600, 1200), (480, 360));
        assert_eq!(size.for_picture(200, 400), (240, 480));
        assert_eq!(size.for_picture(20_000, 10), (480, InputSize::MIN_SIDE));
        assert_eq!(size.for_picture(1, 1), (480, 480));
    }

    #[test]
    fn channels_turn_to_bgr_less_the_mean() {
        let mut batch = InputBatch::new(2, 1);
        batch.push_resized(&[U8x3::new([10, 20, 30]), U8x3::new([40, 50, 60])]);
        let expected =
            [30.0 - 104.0, 20.0 - 177.0, 10.0 - 123.0, 60.0 - 104.0, 50.0 - 177.0, 40.0 - 123.0];
        assert_eq!(batch.values, expected);
        assert_eq!(batch.len(), 1);
    }
}
