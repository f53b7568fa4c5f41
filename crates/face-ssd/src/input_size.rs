//! Size and colours of the network's input.

use std::{fmt, str::FromStr};

use geometry::ImageSize;
use image_input::Normalization;
use serde::{Deserialize, Serialize};

use crate::FaceSsdError;

/// What is subtracted from the blue, green and red channel, each 0 to 255: the training set's mean,
/// from OpenCV's description of the model (104, 177, 123).
pub const MEAN_BGR: [f32; 3] = [104.0, 177.0, 123.0];

/// How colours enter the network: BGR, 0 to 255, less [`MEAN_BGR`].
pub const NORMALIZATION: Normalization =
    Normalization { bgr: true, divisor: 1.0, offset: MEAN_BGR };

/// How large an image enters the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum InputSize {
    /// Stretched to exactly this size, as the reference does with 300 x 300.
    Fixed {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The aspect ratio kept, the longer side this many pixels.
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

    /// The size of the network's input for an image of the given size. Sides are rounded to
    /// multiples of `step` (see [`Res10Ssd::input_step`](crate::network::Res10Ssd::input_step)).
    pub fn for_image(self, image: ImageSize, step: u32) -> ImageSize {
        let (size, most) = match self {
            Self::Fixed { width, height } => ((width.into(), height.into()), Self::MAX_SIDE),
            Self::LongSide(side) => {
                let scale = f64::from(side) / f64::from(image.width.max(image.height).max(1));
                ((f64::from(image.width) * scale, f64::from(image.height) * scale), side)
            }
        };
        let step = f64::from(step.max(1));
        let rounded = |length: f64| {
            let steps = (length / step).round().min((f64::from(most) / step).ceil());
            ((steps * step) as u32).max(Self::MIN_SIDE)
        };
        ImageSize { width: rounded(size.0), height: rounded(size.1) }
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

impl From<InputSize> for String {
    fn from(size: InputSize) -> Self {
        size.to_string()
    }
}

impl TryFrom<String> for InputSize {
    type Error = FaceSsdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
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
    fn a_long_side_keeps_the_aspect_ratio_and_strips_stay_usable() {
        let size = InputSize::LongSide(480);
        assert_eq!(size.for_image((1600, 1200).into(), 1), (480, 360).into());
        assert_eq!(size.for_image((200, 400).into(), 1), (240, 480).into());
        assert_eq!(size.for_image((20_000, 10).into(), 1), (480, InputSize::MIN_SIDE).into());
        assert_eq!(size.for_image((1, 1).into(), 1), (480, 480).into());
        assert_eq!(size.for_image((640, 427).into(), 16), (480, 320).into());
        assert_eq!(InputSize::LongSide(500).for_image((9, 9).into(), 16), (496, 496).into());
        assert_eq!(InputSize::REFERENCE.for_image((640, 427).into(), 16), (304, 304).into());
    }
}
