//! Random variants of an image.

use geometry::BoundingBox;
use image::{ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder, imageops};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::Warp;

/// Ranges of the random changes. The defaults are the reference's; a zero switches a change off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Largest rotation either way, in degrees. Default: 20.
    pub rotation: f64,
    /// Largest change of either side's scale, as a fraction of it. Default: 0.15.
    pub zoom: f64,
    /// Largest shift along either side, as a fraction of it. Default: 0.2.
    pub shift: f64,
    /// Largest shear angle, in degrees, as Keras reads `shear_range`. Default: 0.15.
    pub shear: f64,
    /// Whether half of the samples are mirrored. Default: yes.
    pub flip: bool,
    /// Largest shift of each edge of a face's box, as a fraction of its width or height. Default: 0.
    pub jitter: f64,
    /// Largest change of brightness, as a fraction of it. Default: 0.
    pub brightness: f64,
    /// Largest change of contrast, as a fraction of it. Default: 0.
    pub contrast: f64,
    /// Largest standard deviation of a Gaussian blur, in pixels of the result. Default: 0.
    pub blur: f64,
    /// Lowest side, in pixels, to which the result is shrunk before it is enlarged again, as happens
    /// to small faces; 0 for no shrinking. Half of the samples are shrunk. Default: 0.
    pub low_resolution: u32,
    /// Lowest JPEG quality at which the result is stored and read again, in 1..=100; 0 for no
    /// storing. Half of the samples are stored. Default: 0.
    pub jpeg_quality: u8,
    /// Largest side of a rectangle of one random colour that hides a part of the image, as a part
    /// of its side. Half of the samples have one. Default: 0.
    pub occlusion: f64,
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("augmentation.{setting} is {value}; it must be from {least} to {most}")]
pub struct AugmentationError {
    setting: &'static str,
    value: f64,
    least: f64,
    most: f64,
}

impl AugmentationError {
    /// # Errors
    /// If a setting, by name, value, least and largest value, is not in between.
    pub(crate) fn check(settings: &[(&'static str, f64, f64, f64)]) -> Result<(), Self> {
        let bad = |(_, value, least, most): &&(_, f64, f64, f64)| !(*least..=*most).contains(value);
        match settings.iter().find(bad) {
            Some(&(setting, value, least, most)) => Err(Self { setting, value, least, most }),
            None => Ok(()),
        }
    }
}

/// What storage and lenses do to an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Degradation {
    /// Largest standard deviation of a Gaussian blur, in pixels.
    pub(crate) blur: f64,
    /// Lowest JPEG quality; 0 for no storing.
    pub(crate) jpeg_quality: u8,
}

impl Degradation {
    pub(crate) fn apply(&self, mut image: RgbImage, rng: &mut impl Rng) -> RgbImage {
        if self.blur > 0.0 {
            let sigma = rng.random_range(0.0..=self.blur) as f32;
            // Below a third of a pixel nothing is to be seen.
            if sigma > 0.33 {
                image = imageproc::filter::gaussian_blur_f32(&image, sigma);
            }
        }
        if self.jpeg_quality > 0 {
            let quality = rng.random_range(self.jpeg_quality.min(100)..=100);
            image = stored_as_jpeg(&image, quality).unwrap_or(image);
        }
        image
    }
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { rotation: 20.0, zoom: 0.15, shift: 0.2, shear: 0.15, flip: true, ..Self::none() }
    }
}

impl Augmentation {
    /// No change at all.
    pub fn none() -> Self {
        Self {
            rotation: 0.0,
            zoom: 0.0,
            shift: 0.0,
            shear: 0.0,
            flip: false,
            jitter: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            blur: 0.0,
            low_resolution: 0,
            jpeg_quality: 0,
            occlusion: 0.0,
        }
    }

    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), AugmentationError> {
        let settings = [
            ("rotation", self.rotation, 0.0, 180.0),
            ("zoom", self.zoom, 0.0, 0.95),
            ("shift", self.shift, 0.0, 1.0),
            ("shear", self.shear, 0.0, 80.0),
            ("jitter", self.jitter, 0.0, 0.45),
            ("brightness", self.brightness, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("blur", self.blur, 0.0, 50.0),
            ("jpeg_quality", f64::from(self.jpeg_quality), 0.0, 100.0),
            ("occlusion", self.occlusion, 0.0, 1.0),
        ];
        AugmentationError::check(&settings)
    }

    /// A random variant of `region` of `image`, of `side` x `side` pixels.
    pub fn apply(
        &self,
        image: &RgbImage,
        region: Option<BoundingBox>,
        side: u32,
        rng: &mut impl Rng,
    ) -> RgbImage {
        let either_way = |rng: &mut _, most: f64| symmetric(rng, most);
        let region = region.map(|region| {
            let (width, height) = (f64::from(region.width()), f64::from(region.height()));
            let mut moved = |edge: f32, length: f64| {
                (f64::from(edge) + length * either_way(rng, self.jitter)) as f32
            };
            BoundingBox {
                x_min: moved(region.x_min, width),
                y_min: moved(region.y_min, height),
                x_max: moved(region.x_max, width),
                y_max: moved(region.y_max, height),
            }
        });
        let warp = Warp {
            rotation: either_way(rng, self.rotation),
            shift: [either_way(rng, self.shift), either_way(rng, self.shift)],
            shear: either_way(rng, self.shear),
            zoom: [1.0 + either_way(rng, self.zoom), 1.0 + either_way(rng, self.zoom)],
            mirrored: self.flip && rng.random_bool(0.5),
        };
        let (width, height) = image.dimensions();
        let region = region.unwrap_or(BoundingBox::of_image((width, height).into()));
        let mut result = warp.apply(image, region, side);
        self.change_colors(&mut result, rng);
        self.degrade(result, rng)
    }

    fn change_colors(&self, image: &mut RgbImage, rng: &mut impl Rng) {
        let brightness = 1.0 + symmetric(rng, self.brightness) as f32;
        let contrast = 1.0 + symmetric(rng, self.contrast) as f32;
        if brightness == 1.0 && contrast == 1.0 {
            return;
        }
        let count = image.as_raw().len().max(1) as f32;
        let mean = image.as_raw().iter().map(|value| f32::from(*value)).sum::<f32>() / count;
        for value in image.iter_mut() {
            let changed = (f32::from(*value) - mean) * contrast + mean;
            *value = (changed * brightness).round() as u8;
        }
    }

    fn degrade(&self, mut image: RgbImage, rng: &mut impl Rng) -> RgbImage {
        let (width, height) = image.dimensions();
        if self.low_resolution > 0 && rng.random_bool(0.5) {
            let small = rng.random_range(self.low_resolution.min(width)..=width);
            let shrunk = imageops::thumbnail(&image, small, small);
            image = imageops::resize(&shrunk, width, height, imageops::FilterType::Triangle);
        }
        image = Degradation { blur: self.blur, jpeg_quality: 0 }.apply(image, rng);
        if self.jpeg_quality > 0 && rng.random_bool(0.5) {
            let jpeg_quality = self.jpeg_quality;
            image = Degradation { blur: 0.0, jpeg_quality }.apply(image, rng);
        }
        if self.occlusion > 0.0 && rng.random_bool(0.5) {
            let mut extent = |length: u32| {
                let part = rng.random_range(0.0..=self.occlusion);
                let covered = (f64::from(length) * part) as u32;
                (rng.random_range(0..=length - covered), covered)
            };
            let ((x, wide), (y, high)) = (extent(width), extent(height));
            let colour = image::Rgb([rng.random(), rng.random(), rng.random()]);
            for row in y..y + high {
                for column in x..x + wide {
                    image.put_pixel(column, row, colour);
                }
            }
        }
        image
    }
}

/// A number drawn from [-most, most].
pub(crate) fn symmetric(rng: &mut impl Rng, most: f64) -> f64 {
    if most > 0.0 { rng.random_range(-most..=most) } else { 0.0 }
}

/// The image after storing it as JPEG and reading it.
fn stored_as_jpeg(image: &RgbImage, quality: u8) -> Option<RgbImage> {
    let mut bytes = Vec::new();
    let (width, height) = image.dimensions();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    encoder.write_image(image, width, height, image::ExtendedColorType::Rgb8).ok()?;
    let read = image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg).ok()?;
    Some(read.into_rgb8())
}
