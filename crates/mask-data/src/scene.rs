//! What a detector learns from: images with every face in them, as random crops of one size.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use annotations::AnnotatedImage;
use geometry::{BoundingBox, ImageSize};
use image::RgbImage;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::{
    AugmentationError, DatasetError,
    augment::{Degradation, symmetric},
};

/// An image with its faces.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The image file.
    pub image: PathBuf,
    /// The faces, in pixels.
    pub faces: Vec<BoundingBox>,
    /// What counts neither as a face nor as background: objects marked as difficult.
    pub ignored: Vec<BoundingBox>,
}

/// Turns annotations into scenes. Objects of any class are faces.
///
/// # Errors
/// If no image has a face.
pub fn annotated_scenes(
    root: &Path,
    images: &[AnnotatedImage],
) -> Result<Vec<Scene>, DatasetError> {
    let mut scenes = Vec::new();
    for annotated in images {
        let Some(image) = &annotated.image else { continue };
        let mut scene = Scene { image: image.clone(), faces: Vec::new(), ignored: Vec::new() };
        for object in &annotated.objects {
            let kind = if object.difficult { &mut scene.ignored } else { &mut scene.faces };
            kind.push(object.bbox);
        }
        scenes.push(scene);
    }
    if scenes.iter().all(|scene| scene.faces.is_empty()) {
        return Err(DatasetError::NoBoxes { root: root.to_path_buf() });
    }
    Ok(scenes)
}

/// How scenes become training samples. A part of the samples shows a face at a random place and
/// scale, the others the whole image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SceneAugmentation {
    /// Fraction of the samples that show the surroundings of a face. Default: 0.88.
    pub around_face: f64,
    /// Least length of that face's longer side, in pixels. Default: 8.
    pub min_face: f64,
    /// Largest length of that face's longer side, as a fraction of the sample's. Default: 1.
    pub max_face: f64,
    /// Largest change of the ratio of width to height, as a factor. Default: 1.18.
    pub aspect: f64,
    /// Largest rotation either way, in degrees, of half of the samples. Default: 12.
    pub rotation: f64,
    /// Whether half of the samples are mirrored. Default: yes.
    pub flip: bool,
    /// Faces count if so much of their area is visible. Default: 0.5.
    pub min_visible: f32,
    /// Faces count if their longer side is of so many pixels. Default: 7.
    pub min_side: f32,
    /// Largest change of brightness, as a fraction of it, of half of the samples. Default: 0.35.
    pub brightness: f64,
    /// Largest change of contrast, as a fraction of it, of half of the samples. Default: 0.35.
    pub contrast: f64,
    /// Largest change of each colour, as a fraction of it, of half of the samples. Default: 0.12.
    pub color: f64,
    /// Fraction of the samples that are grey. Default: 0.06.
    pub grey: f64,
    /// Fraction of the samples that are blurred. Default: 0.1.
    pub blurred: f64,
    /// Largest standard deviation of that blur, in pixels. Default: 1.5.
    pub blur: f64,
    /// Fraction of the samples that are stored as JPEG. Default: 0.15.
    pub stored: f64,
    /// Lowest JPEG quality. Default: 25.
    pub jpeg_quality: u8,
}

impl Default for SceneAugmentation {
    fn default() -> Self {
        Self {
            around_face: 0.88,
            min_face: 8.0,
            max_face: 1.0,
            aspect: 1.18,
            rotation: 12.0,
            flip: true,
            min_visible: 0.5,
            min_side: 7.0,
            brightness: 0.35,
            contrast: 0.35,
            color: 0.12,
            grey: 0.06,
            blurred: 0.1,
            blur: 1.5,
            stored: 0.15,
            jpeg_quality: 25,
        }
    }
}

/// A training sample: a square part of a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneSample {
    /// The pixels.
    pub image: RgbImage,
    /// The faces, within the sample, in its pixels.
    pub faces: Vec<BoundingBox>,
    /// What counts neither as a face nor as background.
    pub ignored: Vec<BoundingBox>,
}

/// How pixels of a sample lie in its image: `source = matrix * (x, y) + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// What a step to the right and one down in the sample are in the image: `[[x, x], [y, y]]`.
    pub matrix: [[f64; 2]; 2],
    /// Where the sample's corner lies in the image.
    pub offset: [f64; 2],
}

impl SceneAugmentation {
    /// # Errors
    /// If a setting is outside its range.
    pub fn validate(&self) -> Result<(), AugmentationError> {
        AugmentationError::check(&[
            ("around_face", self.around_face, 0.0, 1.0),
            ("min_face", self.min_face, 1.0, 4096.0),
            ("max_face", self.max_face, 0.01, 4.0),
            ("aspect", self.aspect, 1.0, 10.0),
            ("rotation", self.rotation, 0.0, 180.0),
            ("min_visible", self.min_visible.into(), 0.0, 1.0),
            ("min_side", self.min_side.into(), 0.0, 4096.0),
            ("brightness", self.brightness, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("color", self.color, 0.0, 1.0),
            ("grey", self.grey, 0.0, 1.0),
            ("blurred", self.blurred, 0.0, 1.0),
            ("blur", self.blur, 0.0, 50.0),
            ("stored", self.stored, 0.0, 1.0),
            ("jpeg_quality", f64::from(self.jpeg_quality), 0.0, 100.0),
        ])
    }

    /// A random sample of a scene, `side` x `side` pixels. Outside the image it shows `fill`.
    pub fn apply(
        &self,
        scene: &Scene,
        image: &RgbImage,
        side: u32,
        fill: [u8; 3],
        rng: &mut impl Rng,
    ) -> SceneSample {
        let placement = self.placement(scene, image.dimensions().into(), side, rng);
        let mut sample = placement.fetch(image, side, fill);
        self.change_colors(&mut sample, rng);
        if rng.random_bool(self.grey) {
            for pixel in sample.pixels_mut() {
                let [red, green, blue] = pixel.0.map(f32::from);
                pixel.0 = [(0.299 * red + 0.587 * green + 0.114 * blue).round() as u8; 3];
            }
        }
        let degradation = Degradation {
            blur: if rng.random_bool(self.blurred) { self.blur } else { 0.0 },
            jpeg_quality: if rng.random_bool(self.stored) { self.jpeg_quality } else { 0 },
        };
        let image = degradation.apply(sample, rng);
        let (mut faces, mut ignored) = (Vec::new(), Vec::new());
        let bounds = ImageSize { width: side, height: side };
        for face in &scene.faces {
            let whole = placement.face(face);
            let visible = whole.clamp(bounds);
            let long = visible.width().max(visible.height());
            if visible.width() < 1.0 || visible.height() < 1.0 {
                continue;
            }
            let counts = visible.area() >= self.min_visible * whole.area() && long >= self.min_side;
            if counts { &mut faces } else { &mut ignored }.push(visible);
        }
        let regions = scene.ignored.iter().map(|region| placement.face(region).clamp(bounds));
        ignored.extend(regions.filter(|region| region.width() >= 1.0 && region.height() >= 1.0));
        SceneSample { image, faces, ignored }
    }

    /// Chooses what a sample shows.
    fn placement(
        &self,
        scene: &Scene,
        size: ImageSize,
        side: u32,
        rng: &mut impl Rng,
    ) -> Placement {
        let side = f64::from(side);
        let stretch = if self.aspect > 1.0 {
            rng.random_range(-self.aspect.ln()..=self.aspect.ln()).exp().sqrt()
        } else {
            1.0
        };
        let chosen = (!scene.faces.is_empty() && rng.random_bool(self.around_face))
            .then(|| scene.faces[rng.random_range(0..scene.faces.len())]);
        // Image pixels per pixel of the sample, and the point of the image in its middle.
        let (scale, middle) = match chosen {
            Some(face) => {
                let most = (self.max_face * side).max(self.min_face + 1.0);
                let wanted = rng.random_range(self.min_face.ln()..most.ln()).exp();
                let scale = f64::from(face.width().max(face.height())) / wanted;
                // The face lies anywhere in the sample, as a whole if it fits.
                let mut middle_of = |low: f32, high: f32| {
                    let (middle, length) =
                        (f64::from(low + high) / 2.0, f64::from(high - low) / scale);
                    let room = (side - length).max(0.0) / 2.0;
                    middle + symmetric(rng, room) * scale
                };
                (scale, [middle_of(face.x_min, face.x_max), middle_of(face.y_min, face.y_max)])
            }
            None => {
                let (width, height) = (f64::from(size.width), f64::from(size.height));
                let scale = width.max(height) / side * rng.random_range(0.9..1.25);
                let mut middle_of = |length: f64| {
                    let room = (side - length / scale).abs() / 2.0;
                    length / 2.0 + symmetric(rng, room) * scale
                };
                (scale, [middle_of(width), middle_of(height)])
            }
        };
        let turned = self.rotation > 0.0 && rng.random_bool(0.5);
        let angle = if turned { symmetric(rng, self.rotation).to_radians() } else { 0.0 };
        let mirror = if self.flip && rng.random_bool(0.5) { -1.0 } else { 1.0 };
        let (sin, cos) = angle.sin_cos();
        let (right, down) = (scale * stretch * mirror, scale / stretch);
        let matrix = [[cos * right, -sin * down], [sin * right, cos * down]];
        let offset = [0, 1]
            .map(|axis: usize| middle[axis] - (matrix[axis][0] + matrix[axis][1]) * side / 2.0);
        Placement { matrix, offset }
    }

    fn change_colors(&self, image: &mut RgbImage, rng: &mut impl Rng) {
        if !rng.random_bool(0.5) {
            return;
        }
        let brightness = 1.0 + symmetric(rng, self.brightness) as f32;
        let contrast = 1.0 + symmetric(rng, self.contrast) as f32;
        let colors = [(); 3].map(|()| 1.0 + symmetric(rng, self.color) as f32);
        let count = image.as_raw().len().max(1) as f32;
        let mean = image.as_raw().iter().map(|value| f32::from(*value)).sum::<f32>() / count;
        // Each channel's 256 values, looked up.
        let tables = colors.map(|color| {
            let change = |value: usize| {
                let changed = (value as f32 - mean) * contrast + mean;
                (changed * brightness * color).round() as u8
            };
            std::array::from_fn::<u8, 256, _>(change)
        });
        for pixel in image.pixels_mut() {
            for (value, table) in pixel.0.iter_mut().zip(&tables) {
                *value = table[usize::from(*value)];
            }
        }
    }
}

impl Placement {
    /// Where a point of the sample, in its pixels' edges, lies in the image.
    pub fn source(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis: usize| {
            self.matrix[axis][0] * x + self.matrix[axis][1] * y + self.offset[axis]
        })
    }

    /// The sample's pixels: bilinear without antialiasing, as inference resizes.
    pub fn fetch(&self, image: &RgbImage, side: u32, fill: [u8; 3]) -> RgbImage {
        let (width, height) = image.dimensions();
        let mut result = RgbImage::from_pixel(side, side, image::Rgb(fill));
        if width == 0 || height == 0 {
            return result;
        }
        let pixels = image.as_raw();
        let stride = 3 * width as usize;
        let (most_x, most_y) = (width as f32 - 1.0, height as f32 - 1.0);
        let step = [self.matrix[0][0] as f32, self.matrix[1][0] as f32];
        for (row, values) in result.chunks_exact_mut(3 * side as usize).enumerate() {
            let start = self.source([0.5, row as f64 + 0.5]).map(|value| (value - 0.5) as f32);
            for (column, value) in values.chunks_exact_mut(3).enumerate() {
                let x = start[0] + step[0] * column as f32;
                let y = start[1] + step[1] * column as f32;
                // Half a pixel beyond the outermost centres is still the image.
                if x < -0.5 || y < -0.5 || x > most_x + 0.5 || y > most_y + 0.5 {
                    continue;
                }
                let (x, y) = (x.clamp(0.0, most_x), y.clamp(0.0, most_y));
                let (left, top) = (x as usize, y as usize);
                let (part_x, part_y) = (x - left as f32, y - top as f32);
                let right = 3 * usize::from(left + 1 < width as usize);
                let below = stride * usize::from(top + 1 < height as usize);
                let at = top * stride + 3 * left;
                for (channel, value) in value.iter_mut().enumerate() {
                    let pixel = |offset: usize| f32::from(pixels[at + channel + offset]);
                    let upper = pixel(0) + part_x * (pixel(right) - pixel(0));
                    let lower = pixel(below) + part_x * (pixel(below + right) - pixel(below));
                    *value = (upper + part_y * (lower - upper) + 0.5) as u8;
                }
            }
        }
        result
    }

    /// A face's box in the sample: that of the ellipse in its box, because a face has no corners
    /// and a turned box would grow by them. Without a rotation, the box itself.
    pub fn face(&self, bbox: &BoundingBox) -> BoundingBox {
        let [[a, b], [c, d]] = self.matrix;
        let determinant = a * d - b * c;
        let inverse = [[d, -b], [-c, a]].map(|row| row.map(|value| value / determinant));
        let middle = [bbox.x_min + bbox.x_max, bbox.y_min + bbox.y_max].map(|s| f64::from(s) / 2.0);
        let half = [bbox.width(), bbox.height()].map(|length| f64::from(length) / 2.0);
        let [x, y] = inverse.map(|row| {
            let to = [0, 1].map(|axis: usize| middle[axis] - self.offset[axis]);
            let centre = row[0] * to[0] + row[1] * to[1];
            let reach = (row[0] * half[0]).hypot(row[1] * half[1]);
            [(centre - reach) as f32, (centre + reach) as f32]
        });
        BoundingBox { x_min: x[0], y_min: y[0], x_max: x[1], y_max: y[1] }
    }
}

/// Images of scenes as they are needed, and the samples of a step.
#[derive(Debug)]
pub struct SceneLoader {
    scenes: Vec<Scene>,
    cache: Arc<crate::ImageCache>,
    augmentation: SceneAugmentation,
    fill: [u8; 3],
    seed: u64,
}

impl SceneLoader {
    /// A loader of samples of these scenes. Outside an image samples show `fill`.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn new(
        scenes: Vec<Scene>,
        cache: Arc<crate::ImageCache>,
        augmentation: SceneAugmentation,
        fill: [u8; 3],
        seed: u64,
    ) -> Result<Self, AugmentationError> {
        augmentation.validate()?;
        Ok(Self { scenes, cache, augmentation, fill, seed })
    }

    /// The scenes.
    pub fn scenes(&self) -> &[Scene] {
        &self.scenes
    }

    /// Samples of an epoch by number, of which the first has the number `first`: each pass over
    /// all scenes shows them in another random order. The same numbers yield the same samples. None
    /// if there are no scenes.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn samples(
        &self,
        epoch: u64,
        first: usize,
        count: usize,
        side: u32,
    ) -> Result<Vec<SceneSample>, image_input::ImageError> {
        use crate::seed::{Purpose, generator};
        use rand::seq::SliceRandom;
        use rayon::prelude::*;

        let scenes = self.scenes.len();
        if scenes == 0 {
            return Ok(Vec::new());
        }
        let passes = first / scenes..=(first + count.max(1) - 1) / scenes;
        let order: Vec<usize> = passes
            .clone()
            .flat_map(|pass| {
                let mut order: Vec<usize> = (0..scenes).collect();
                let pass = pass as u64;
                order.shuffle(&mut generator(Purpose::Order, self.seed, epoch, pass));
                order
            })
            .collect();
        let before = passes.start() * scenes;
        (first..first + count)
            .into_par_iter()
            .map(|number| {
                let scene = &self.scenes[order[number - before]];
                let image = self.cache.get(&scene.image)?;
                let purpose = Purpose::Augmentation;
                let mut rng = generator(purpose, self.seed, epoch, number as u64);
                Ok(self.augmentation.apply(scene, &image, side, self.fill, &mut rng))
            })
            .collect()
    }
}
