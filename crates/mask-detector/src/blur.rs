//! Faces made unrecognisable.

use geometry::Crop;
use image::{
    RgbImage,
    imageops::{self, FilterType},
};

use crate::{BoundingBox, ImageSize, PixelRect};

/// A face is left with so many patches along its longer side: few enough that nobody is recognised, and
/// nothing more is left of the face in the image.
const PATCHES: u32 = 6;

/// Hair and chin belong to a face, too.
const MARGIN: Crop = Crop { margin: 0.15, square: false };

/// Replaces every face by a few patches of its mean colours, which cannot be undone. What lies outside the
/// image is passed over.
pub fn blur_faces(image: &mut RgbImage, faces: impl IntoIterator<Item = BoundingBox>) {
    let (width, height) = image.dimensions();
    let size = ImageSize { width, height };
    let patched = |bbox: BoundingBox| {
        let bbox = bbox.clamp(size);
        if bbox.area() <= 0.0 {
            return None;
        }
        let PixelRect { x, y, width, height } = MARGIN.region(&bbox, size).enclosing_rect(size);
        let longer = width.max(height);
        let patches = |side: u32| (side * PATCHES).div_ceil(longer).clamp(1, PATCHES);
        let face = imageops::crop_imm(image, x, y, width, height).to_image();
        let means = imageops::thumbnail(&face, patches(width), patches(height));
        Some((x, y, imageops::resize(&means, width, height, FilterType::Nearest)))
    };
    // Of all faces before any is replaced, so that they do not depend on each other's order.
    let patched: Vec<_> = faces.into_iter().filter_map(patched).collect();
    for (x, y, face) in patched {
        imageops::replace(image, &face, x.into(), y.into());
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn faces_are_a_few_patches_and_nothing_else_changes() {
        let noise = |x: u32, y: u32| (x * 7919 + y * 104_729) as u8;
        let original = RgbImage::from_fn(90, 70, |x, y| Rgb([noise(x, y), noise(y, x), 9]));
        let mut image = original.clone();
        let bbox = BoundingBox { x_min: 40.0, y_min: 20.0, x_max: 64.0, y_max: 50.0 };
        let at_the_edge = BoundingBox { x_min: 80.0, y_min: 60.0, x_max: 90.0, y_max: 70.0 };
        blur_faces(&mut image, [bbox, at_the_edge]);
        let inside = |b: BoundingBox| {
            let part = imageops::crop_imm(
                &image,
                b.x_min as u32,
                b.y_min as u32,
                b.width() as u32,
                b.height() as u32,
            );
            part.to_image().pixels().copied().collect::<std::collections::HashSet<_>>().len()
        };
        assert!(inside(bbox) <= 36 && inside(at_the_edge) <= 36);
        let changed = image.enumerate_pixels().filter(|(x, y, p)| original.get_pixel(*x, *y) != *p);
        for (x, y, _) in changed {
            let near = |b: BoundingBox| {
                let (dx, dy) = (0.2 * b.width() + 1.0, 0.2 * b.height() + 1.0);
                let (x, y) = (x as f32, y as f32);
                (b.x_min - dx..b.x_max + dx).contains(&x)
                    && (b.y_min - dy..b.y_max + dy).contains(&y)
            };
            assert!(near(bbox) || near(at_the_edge), "{x} {y}");
        }
    }
}
