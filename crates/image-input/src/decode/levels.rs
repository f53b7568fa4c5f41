//! From more than eight bits a channel to eight.

use image::{DynamicImage, RgbImage};

/// Images whose values span less than this part of their range are stretched: of a camera for heat
/// nothing else would be seen.
const LEAST_SPAN: f32 = 0.125;
/// What is cut off at either end of the values, so that single pixels do not decide.
const TAIL: f64 = 0.005;

/// The image in eight bits, and whether its values were stretched.
pub(super) fn to_rgb8(image: DynamicImage) -> (RgbImage, bool) {
    let stretched = match &image {
        DynamicImage::ImageLuma16(deep) => stretch(deep, 1, 65_535.0, |value| f32::from(*value)),
        DynamicImage::ImageLumaA16(deep) => stretch(deep, 2, 65_535.0, |value| f32::from(*value)),
        DynamicImage::ImageRgb16(deep) => stretch(deep, 3, 65_535.0, |value| f32::from(*value)),
        DynamicImage::ImageRgba16(deep) => stretch(deep, 4, 65_535.0, |value| f32::from(*value)),
        DynamicImage::ImageRgb32F(deep) => stretch(deep, 3, 1.0, |value| *value),
        DynamicImage::ImageRgba32F(deep) => stretch(deep, 4, 1.0, |value| *value),
        _ => None,
    };
    match stretched.and_then(|pixels| RgbImage::from_raw(image.width(), image.height(), pixels)) {
        Some(image) => (image, true),
        None => (image.into_rgb8(), false),
    }
}

/// The values, of `channels` a pixel, as RGB from the lowest to the highest; `None` if they span enough
/// of what they may be, or are all the same.
fn stretch<T>(
    values: &[T],
    channels: usize,
    most: f32,
    number: impl Fn(&T) -> f32,
) -> Option<Vec<u8>> {
    // An even number of channels ends in transparency.
    let colors = channels - usize::from(channels.is_multiple_of(2));
    let pixels = values.chunks_exact(channels).map(|pixel| &pixel[..colors]);
    let mut sorted: Vec<f32> =
        pixels.clone().flatten().map(&number).filter(|value| value.is_finite()).collect();
    if sorted.is_empty() {
        return None;
    }
    let at = ((sorted.len() - 1) as f64 * TAIL) as usize;
    let last = sorted.len() - 1 - at;
    let low = *sorted.select_nth_unstable_by(at, f32::total_cmp).1;
    let high = *sorted.select_nth_unstable_by(last, f32::total_cmp).1;
    // Floating-point values beyond their range are of another, such as degrees.
    let is_other = high > 2.0 * most || low < -most;
    if high <= low || (high - low >= LEAST_SPAN * most && !is_other) {
        return None;
    }
    let shade = |value: &T| ((number(value) - low) / (high - low) * 255.0).clamp(0.0, 255.0) as u8;
    Some(
        pixels
            .flat_map(|pixel| std::array::from_fn::<u8, 3, _>(|c| shade(&pixel[c % colors])))
            .collect(),
    )
}
