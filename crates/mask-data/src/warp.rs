//! One affine warp from an image to the classifier's input.

use geometry::BoundingBox;
use image::RgbImage;

/// Rotation, shift, shear and zoom about the middle, then perhaps a mirroring, as Keras's
/// `ImageDataGenerator` composes them.
///
/// They say where each pixel of the result is fetched from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    /// Angle in degrees.
    pub rotation: f64,
    /// Shift down and to the right, as fractions of height and width.
    pub shift: [f64; 2],
    /// Shear angle in degrees.
    pub shear: f64,
    /// Scale downwards and to the right: above 1 shows more of the image.
    pub zoom: [f64; 2],
    /// Whether the result is mirrored.
    pub mirrored: bool,
}

impl Default for Warp {
    fn default() -> Self {
        Self { rotation: 0.0, shift: [0.0; 2], shear: 0.0, zoom: [1.0; 2], mirrored: false }
    }
}

impl Warp {
    /// Warps `region` of `image`, stretched to a square, into `side` x `side` pixels.
    ///
    /// Bilinear between pixels, without antialiasing; beyond the image its nearest pixel. Without
    /// any change this is the resize of the reference pipeline (half-pixel centres).
    pub fn apply(&self, image: &RgbImage, region: BoundingBox, side: u32) -> RgbImage {
        let fetch = self.fetch_matrix(region, side);
        let (width, height) = image.dimensions();
        let pixels = image.as_raw();
        let mut result = RgbImage::new(side, side);
        if width == 0 || height == 0 {
            return result;
        }
        let stride = 3 * width as usize;
        let rows = result.chunks_exact_mut(3 * side as usize).enumerate();
        for (row, values) in rows {
            for (column, value) in values.chunks_exact_mut(3).enumerate() {
                let at = |[down, right, offset]: [f64; 3], most: u32| {
                    let position = down * row as f64 + right * column as f64 + offset;
                    let position = position.clamp(0.0, f64::from(most - 1));
                    let first = position as usize;
                    let next = (first + 1).min(most as usize - 1);
                    (first, next, (position - first as f64) as f32)
                };
                let (top, bottom, y) = at(fetch[0], height);
                let (left, right, x) = at(fetch[1], width);
                for (channel, value) in value.iter_mut().enumerate() {
                    let pixel = |row: usize, column: usize| {
                        f32::from(pixels[row * stride + 3 * column + channel])
                    };
                    let upper = pixel(top, left) + x * (pixel(top, right) - pixel(top, left));
                    let lower =
                        pixel(bottom, left) + x * (pixel(bottom, right) - pixel(bottom, left));
                    *value = (upper + y * (lower - upper)).round() as u8;
                }
            }
        }
        result
    }

    /// Source row and source column as linear functions of (row, column, 1) of the result.
    fn fetch_matrix(&self, region: BoundingBox, side: u32) -> [[f64; 3]; 2] {
        let side = f64::from(side);
        let (sin, cos) = self.rotation.to_radians().sin_cos();
        let rotation = [[cos, -sin, 0.0], [sin, cos, 0.0]];
        let shift = [[1.0, 0.0, self.shift[0] * side], [0.0, 1.0, self.shift[1] * side]];
        let (sin, cos) = self.shear.to_radians().sin_cos();
        let shear = [[1.0, -sin, 0.0], [0.0, cos, 0.0]];
        let zoom = [[self.zoom[0], 0.0, 0.0], [0.0, self.zoom[1], 0.0]];
        let centre = side / 2.0 - 0.5;
        let to_centre = [[1.0, 0.0, -centre], [0.0, 1.0, -centre]];
        let from_centre = [[1.0, 0.0, centre], [0.0, 1.0, centre]];
        let mirror = match self.mirrored {
            true => [[1.0, 0.0, 0.0], [0.0, -1.0, side - 1.0]],
            false => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        };
        // From the square's pixel indices to the image's.
        let vertical = f64::from(region.height()) / side;
        let horizontal = f64::from(region.width()) / side;
        let into_image = [
            [vertical, 0.0, f64::from(region.y_min) + 0.5 * vertical - 0.5],
            [0.0, horizontal, f64::from(region.x_min) + 0.5 * horizontal - 0.5],
        ];
        [into_image, from_centre, rotation, shift, shear, zoom, to_centre, mirror]
            .into_iter()
            .reduce(product)
            .unwrap_or(into_image)
    }
}

/// The product of two affine maps: `b` first, then `a`.
fn product(a: [[f64; 3]; 2], b: [[f64; 3]; 2]) -> [[f64; 3]; 2] {
    a.map(|row| {
        let part = |column: usize| row[0] * b[0][column] + row[1] * b[1][column];
        [part(0), part(1), part(2) + row[2]]
    })
}
