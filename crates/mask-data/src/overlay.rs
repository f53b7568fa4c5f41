//! Masks, hands, scarves and sunglasses drawn onto photographed faces.
//!
//! Shapes are given in the face's box: (0, 0) is its upper left corner and (1, 1) its lower right one.
//! Eyes lie at about 0.4 of its height, the tip of the nose at 0.62, the mouth at 0.78, as in boxes from
//! the hairline to the chin.

use geometry::BoundingBox;
use image::{Rgb, RgbImage};
use rand::{Rng, RngExt, seq::IndexedRandom};

/// Samples along a side of a pixel at the edge of a shape.
const SUBSAMPLES: u32 = 3;

/// Colours of masks: surgical blue and green, white, black, greys, and cloth.
const MASK_COLORS: [[u8; 3]; 10] = [
    [150, 195, 220],
    [170, 215, 205],
    [235, 238, 240],
    [28, 28, 32],
    [120, 125, 130],
    [60, 70, 95],
    [150, 40, 50],
    [225, 180, 190],
    [60, 95, 60],
    [200, 185, 150],
];

/// What is drawn onto a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// A mask over nose and mouth.
    Mask,
    /// A mask over the mouth alone.
    MaskUnderNose,
    /// A mask that covers neither.
    MaskOnChin,
    /// A hand before the mouth.
    Hand,
    /// A scarf under the chin.
    Scarf,
    /// Sunglasses.
    Sunglasses,
}

impl Overlay {
    /// Masks that are worn wrongly.
    pub const INCORRECT_MASKS: [Self; 2] = [Self::MaskUnderNose, Self::MaskOnChin];
    /// What does not change whether a mask is worn.
    pub const DISTRACTORS: [Self; 3] = [Self::Hand, Self::Scarf, Self::Sunglasses];

    /// Draws it onto the face in a box, with shape, colours and pattern at random.
    pub fn draw(self, image: &mut RgbImage, face: BoundingBox, rng: &mut impl Rng) {
        let canvas = Canvas { face, light: light(image, &face) };
        match self {
            Self::Mask => draw_mask(&canvas, image, [0.47, 0.14], [1.03, 0.3], rng),
            Self::MaskUnderNose => draw_mask(&canvas, image, [0.7, 0.02], [1.05, 0.28], rng),
            Self::MaskOnChin => draw_mask(&canvas, image, [0.88, -0.04], [1.14, 0.2], rng),
            Self::Hand => draw_hand(&canvas, image, rng),
            Self::Scarf => draw_scarf(&canvas, image, rng),
            Self::Sunglasses => draw_sunglasses(&canvas, image, rng),
        }
    }
}

/// The face's box, and how light it is compared with a well-lit photograph.
struct Canvas {
    face: BoundingBox,
    light: f32,
}

impl Canvas {
    /// Colours the pixels for which `inside` is true of coordinates in the face's box, within `area`
    /// (left, top, right, bottom).
    fn paint(
        &self,
        image: &mut RgbImage,
        area: [f32; 4],
        inside: impl Fn(f32, f32) -> bool,
        color: impl Fn(f32, f32) -> [f32; 3],
    ) {
        let face = &self.face;
        let (width, height) = (face.width().max(1.0), face.height().max(1.0));
        let [left, top, right, bottom] = area;
        let span = |start: f32, extent: f32, [from, to]: [f32; 2], most: u32| {
            let pixel = |at: f32| (start + at * extent).clamp(0.0, most as f32);
            pixel(from).floor() as u32..pixel(to).ceil() as u32
        };
        let columns = span(face.x_min, width, [left, right], image.width());
        for y in span(face.y_min, height, [top, bottom], image.height()) {
            for x in columns.clone() {
                let at = |pixel: u32, part: u32, start: f32, extent: f32| {
                    let part = (part as f32 + 0.5) / SUBSAMPLES as f32;
                    (pixel as f32 + part - start) / extent
                };
                let covered = (0..SUBSAMPLES * SUBSAMPLES).filter(|part| {
                    let u = at(x, part % SUBSAMPLES, face.x_min, width);
                    inside(u, at(y, part / SUBSAMPLES, face.y_min, height))
                });
                let cover = covered.count() as f32 / (SUBSAMPLES * SUBSAMPLES) as f32;
                if cover > 0.0 {
                    let middle = SUBSAMPLES / 2;
                    let (u, v) =
                        (at(x, middle, face.x_min, width), at(y, middle, face.y_min, height));
                    let wanted = color(u, v).map(|value| value * self.light);
                    let Rgb(pixel) = image.get_pixel_mut(x, y);
                    for (old, new) in pixel.iter_mut().zip(wanted) {
                        let mixed = f32::from(*old) * (1.0 - cover) + new * cover;
                        *old = mixed.clamp(0.0, 255.0) as u8;
                    }
                }
            }
        }
    }
}

/// The mean brightness of a face's middle, where 140 of 255 is 1.
fn light(image: &RgbImage, face: &BoundingBox) -> f32 {
    let middle = face
        .expand(-0.25)
        .clamp(image.dimensions().into())
        .enclosing_rect(image.dimensions().into());
    let (mut sum, mut count) = (0.0, 0);
    for y in middle.y..middle.y + middle.height {
        for x in middle.x..middle.x + middle.width {
            sum += image.get_pixel(x, y).0.iter().map(|value| f32::from(*value)).sum::<f32>();
            count += 3;
        }
    }
    if count == 0 { 1.0 } else { (sum / count as f32 / 140.0).clamp(0.3, 1.15) }
}

/// A cloth: a colour with dots, stripes, or neither.
struct Cloth {
    color: [f32; 3],
    second: [f32; 3],
    pattern: u32,
    frequency: f32,
}

impl Cloth {
    fn new(rng: &mut impl Rng) -> Self {
        let mut color = || {
            let base = MASK_COLORS.choose(rng).copied().unwrap_or_default();
            base.map(|value| f32::from(value) + rng.random_range(-15.0..15.0))
        };
        let (color, second) = (color(), color());
        // Half of the masks are plain, a quarter pleated.
        Self {
            color,
            second,
            pattern: rng.random_range(0..8),
            frequency: rng.random_range(5.0..12.0),
        }
    }

    fn at(&self, u: f32, v: f32) -> [f32; 3] {
        let wave = |x: f32| (x * self.frequency * std::f32::consts::TAU).sin();
        let (other, shade) = match self.pattern {
            0 => (wave(u) * wave(v) > 0.3, 1.0),
            1 => (wave(u + v) > 0.2, 1.0),
            2 | 3 => (false, if (v * 12.0).fract() < 0.12 { 0.85 } else { 1.0 }),
            _ => (false, 1.0),
        };
        let color = if other { self.second } else { self.color };
        color.map(|value| value * shade)
    }
}

/// A mask from an upper edge to a lower one, each given at the face's middle and by how far it runs
/// down (the upper) or up (the lower) at the sides.
fn draw_mask(
    canvas: &Canvas,
    image: &mut RgbImage,
    [top, top_sag]: [f32; 2],
    [bottom, bottom_sag]: [f32; 2],
    rng: &mut impl Rng,
) {
    let cloth = Cloth::new(rng);
    let top = top + rng.random_range(-0.035..0.035);
    let bottom = bottom + rng.random_range(-0.04..0.04);
    let tilt = rng.random_range(-0.06..0.06);
    let center = 0.5 + rng.random_range(-0.06..0.06);
    let half = rng.random_range(0.40..0.48);
    let across = move |u: f32| (u - center) / half;
    let upper = move |u: f32| top + top_sag * across(u).abs().powf(1.5) + tilt * (u - center);
    let lower = move |u: f32| bottom - bottom_sag * across(u).powi(2) + tilt * (u - center);
    // Bands to the ears, from the upper corner and, thinner, from the lower one.
    let band = rng.random_range(0.006..0.016);
    let band_color = cloth.color.map(|value| value * 0.8 + 40.0);
    for (edge, ear) in [(&upper as &dyn Fn(f32) -> f32, 0.42), (&lower, 0.55)] {
        let inside = |u: f32, v: f32| {
            let beyond = (across(u).abs() - 0.97) * half;
            let side = center + half * across(u).signum();
            let corner = edge(side);
            let along = beyond / 0.12;
            (0.0..=1.0).contains(&along) && (v - (corner + (ear - corner) * along)).abs() < band
        };
        canvas.paint(image, [-0.15, 0.2, 1.15, 1.2], inside, |_, _| band_color);
    }
    let inside = |u: f32, v: f32| across(u).abs() <= 1.0 && v >= upper(u) && v <= lower(u);
    let color = |u: f32, v: f32| {
        // The sides turn away from the light, and the lower edge lies in shadow.
        let height = ((v - upper(u)) / (lower(u) - upper(u)).max(0.01)).clamp(0.0, 1.0);
        let shade = 1.05 - 0.3 * across(u).powi(2) - 0.15 * height.powi(2);
        cloth.at(u, v).map(|value| value * shade)
    };
    canvas.paint(image, [-0.1, 0.3, 1.1, 1.3], inside, color);
}

/// Four fingers before the mouth, in the colour of the forehead.
fn draw_hand(canvas: &Canvas, image: &mut RgbImage, rng: &mut impl Rng) {
    let face = &canvas.face;
    let size = image.dimensions();
    let forehead = (
        (face.x_min + 0.5 * face.width()).clamp(0.0, size.0 as f32 - 1.0) as u32,
        (face.y_min + 0.25 * face.height()).clamp(0.0, size.1 as f32 - 1.0) as u32,
    );
    let skin =
        image.get_pixel(forehead.0, forehead.1).0.map(|value| f32::from(value) / canvas.light);
    let (x, y) = (0.5 + rng.random_range(-0.1..0.1), 0.78 + rng.random_range(-0.06..0.06));
    let (finger, length) = (rng.random_range(0.055..0.08), rng.random_range(0.25..0.38));
    let (sine, cosine) = rng.random_range(-0.7_f32..0.7).sin_cos();
    let turned = move |u: f32, v: f32| {
        let (u, v) = (u - x, v - y);
        (u * cosine + v * sine, v * cosine - u * sine)
    };
    let inside = |u: f32, v: f32| {
        let (along, across) = turned(u, v);
        let end = (across / (4.0 * finger)).powi(2) * 0.08;
        across.abs() < 4.0 * finger && along.abs() < length - end
    };
    let color = |u: f32, v: f32| {
        let (_, across) = turned(u, v);
        let within = (across / (2.0 * finger)).rem_euclid(1.0) - 0.5;
        skin.map(|value| value * (1.02 - 1.6 * within.powi(2)))
    };
    canvas.paint(image, [-0.3, 0.2, 1.3, 1.4], inside, color);
}

/// A scarf around the neck, up to the chin.
fn draw_scarf(canvas: &Canvas, image: &mut RgbImage, rng: &mut impl Rng) {
    let cloth = Cloth::new(rng);
    let top = rng.random_range(0.93..1.02);
    let sag = rng.random_range(-0.1..0.05);
    let inside = |u: f32, v: f32| v > top + sag * (2.0 * u - 1.0).powi(2);
    let color = |u: f32, v: f32| {
        let folds = 0.9 + 0.12 * ((v * 3.0 + u) * 9.0).sin();
        cloth.at(u, v).map(|value| value * folds)
    };
    canvas.paint(image, [-0.3, 0.8, 1.3, 1.6], inside, color);
}

/// Two dark glasses with a bridge and temples.
fn draw_sunglasses(canvas: &Canvas, image: &mut RgbImage, rng: &mut impl Rng) {
    let y = 0.4 + rng.random_range(-0.03..0.03);
    let (apart, wide, high) =
        (rng.random_range(0.19..0.23), rng.random_range(0.14..0.18), rng.random_range(0.08..0.12));
    let center = 0.5 + rng.random_range(-0.05..0.05);
    let tint = [0; 3].map(|_| rng.random_range(8.0..45.0));
    let inside = |u: f32, v: f32| {
        let (side, down) = (((u - center).abs() - apart) / wide, (v - y) / high);
        let glass = side.abs().powi(4) + down.abs().powi(3) <= 1.0;
        glass || ((v - (y - 0.5 * high)).abs() < 0.012 && (0.0..=1.0).contains(&u))
    };
    let color = |_: f32, v: f32| tint.map(|value| value + 30.0 * (y - v).max(0.0) / high);
    canvas.paint(image, [-0.05, 0.2, 1.05, 0.65], inside, color);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, generator};

    const FACE: BoundingBox = BoundingBox { x_min: 40.0, y_min: 50.0, x_max: 140.0, y_max: 170.0 };

    fn drawn(overlay: Overlay, seed: u64) -> RgbImage {
        let mut image = RgbImage::from_pixel(200, 240, Rgb([190, 150, 130]));
        overlay.draw(&mut image, FACE, &mut generator(Purpose::Overlay, seed, 0, 0));
        image
    }

    /// Fraction of the pixels that changed, around the face's middle, at a height in its box.
    fn changed(image: &RgbImage, height: f32) -> f32 {
        let y = (FACE.y_min + height * FACE.height()) as u32;
        let count = (70..110).filter(|x| image.get_pixel(*x, y).0 != [190, 150, 130]).count();
        count as f32 / 40.0
    }

    /// What makes the class: which of nose (0.6), mouth (0.8) and eyes (0.35) are covered.
    #[test]
    fn masks_cover_what_their_class_says() {
        for seed in 0..50 {
            for (overlay, nose, mouth) in [
                (Overlay::Mask, 1.0, 1.0),
                (Overlay::MaskUnderNose, 0.0, 1.0),
                (Overlay::MaskOnChin, 0.0, 0.0),
                (Overlay::Scarf, 0.0, 0.0),
                (Overlay::Sunglasses, 0.0, 0.0),
            ] {
                let image = drawn(overlay, seed);
                assert_eq!(changed(&image, 0.6), nose, "{overlay:?} {seed}");
                assert_eq!(changed(&image, 0.8), mouth, "{overlay:?} {seed}");
                let eyes = changed(&image, 0.4) > 0.0;
                assert_eq!(eyes, overlay == Overlay::Sunglasses, "{overlay:?} {seed}");
            }
            assert!(changed(&drawn(Overlay::Hand, seed), 0.78) > 0.5);
        }
    }

    #[test]
    fn the_same_numbers_draw_the_same_and_faces_at_the_edge_do_no_harm() {
        let mut small = RgbImage::from_pixel(60, 60, Rgb([90, 90, 90]));
        let outside = BoundingBox { x_min: -30.0, y_min: 20.0, x_max: 90.0, y_max: 130.0 };
        let mut rng = generator(Purpose::Overlay, 1, 0, 0);
        for overlay in [Overlay::INCORRECT_MASKS.as_slice(), &Overlay::DISTRACTORS].concat() {
            assert_eq!(drawn(overlay, 5), drawn(overlay, 5));
            assert_ne!(drawn(overlay, 5), drawn(overlay, 6));
            overlay.draw(&mut small, outside, &mut rng);
        }
    }
}
