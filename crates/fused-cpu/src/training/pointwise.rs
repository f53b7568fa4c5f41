//! Gradients of what looks at single values, pixels or windows.

use rayon::prelude::*;

use super::Images;
use crate::{Activation, CompileError, Window, ops::Pooling};

/// # Errors
/// If the activation has no gradient here.
pub(super) fn check(activation: &Activation) -> Result<(), CompileError> {
    match activation {
        Activation::Clamp(_) | Activation::Sigmoid => Ok(()),
        Activation::Silu | Activation::HardSwish | Activation::Prelu(_) => Err(
            CompileError::Unsupported(format!("training through the activation {activation:?}")),
        ),
    }
}

/// Turns the gradient of an activation's results into that of what it was given.
pub(super) fn through_activation(activation: &Activation, results: &[f32], gradient: &mut [f32]) {
    let pairs = gradient.par_chunks_mut(1 << 16).zip(results.par_chunks(1 << 16));
    match activation {
        Activation::Clamp(clamp) => pairs.for_each(|(gradient, results)| {
            for (gradient, result) in gradient.iter_mut().zip(results) {
                let inside = *result > clamp.min && *result < clamp.max;
                *gradient = if inside { *gradient } else { 0.0 };
            }
        }),
        Activation::Sigmoid => pairs.for_each(|(gradient, results)| {
            for (gradient, result) in gradient.iter_mut().zip(results) {
                *gradient *= result * (1.0 - result);
            }
        }),
        // Refused when the plan was made.
        Activation::Silu | Activation::HardSwish | Activation::Prelu(_) => {}
    }
}

/// The gradients of factors and offsets per channel; `gradient` becomes that of the images.
pub(super) fn affine(
    scale: &[f32],
    images: Option<&[f32]>,
    gradient: &mut [f32],
    of: Images,
) -> (Vec<f32>, Vec<f32>) {
    let channels = scale.len();
    let each = of.each();
    let sums: Vec<(Vec<f32>, Vec<f32>)> = gradient
        .par_chunks_mut(each)
        .enumerate()
        .map(|(at, gradient)| {
            let (mut scales, mut shifts) = (vec![0.0; channels], vec![0.0; channels]);
            if let Some(images) = images {
                let image = &images[at * each..][..each];
                let pixels = gradient.chunks_exact(channels).zip(image.chunks_exact(channels));
                for (gradient, pixel) in pixels {
                    for ((sum, gradient), value) in scales.iter_mut().zip(gradient).zip(pixel) {
                        *sum += gradient * value;
                    }
                }
            }
            for pixel in gradient.chunks_exact_mut(channels) {
                for ((sum, gradient), scale) in shifts.iter_mut().zip(pixel).zip(scale) {
                    *sum += *gradient;
                    *gradient *= scale;
                }
            }
            (scales, shifts)
        })
        .collect();
    let (mut scales, mut shifts) = (vec![0.0; channels], vec![0.0; channels]);
    for (scale, shift) in &sums {
        scales.iter_mut().zip(scale).for_each(|(sum, value)| *sum += value);
        shifts.iter_mut().zip(shift).for_each(|(sum, value)| *sum += value);
    }
    (scales, shifts)
}

/// The gradient of images from that of their pooled values. Where several values of a window are
/// the largest, the first one gets it.
pub(super) fn pool(
    window: &Window,
    pooling: Pooling,
    (images, of): (&[f32], Images),
    (pooled, results): (&[f32], Images),
    result_gradient: &[f32],
) -> Vec<f32> {
    let channels = of.channels;
    let mut gradient = vec![0.0; of.floats()];
    let each = gradient.par_chunks_mut(of.each()).enumerate();
    each.for_each(|(at, gradient)| {
        let pooled = &pooled[at * results.each()..][..results.each()];
        let from = &result_gradient[at * results.each()..][..results.each()];
        let mut left = vec![0.0; channels];
        for (number, share) in from.chunks_exact(channels).enumerate() {
            let (y, x) = (number / results.width, number % results.width);
            let taps = inside(window, [y, x], [of.height, of.width]);
            left.copy_from_slice(share);
            match pooling {
                Pooling::Max => {
                    let largest = &pooled[number * channels..][..channels];
                    let image = &images[at * of.each()..][..of.each()];
                    for start in taps.map(|pixel| pixel * channels) {
                        let values = &image[start..][..channels];
                        let gradient = &mut gradient[start..][..channels];
                        let values = values.iter().zip(largest);
                        for ((gradient, left), (value, largest)) in
                            gradient.iter_mut().zip(&mut left).zip(values)
                        {
                            let found = value == largest;
                            *gradient += if found { *left } else { 0.0 };
                            *left = if found { 0.0 } else { *left };
                        }
                    }
                }
                Pooling::Average { count_padding } => {
                    let counted = if count_padding {
                        padded_taps(window, [y, x], of)
                    } else {
                        taps.clone().count()
                    };
                    let part = 1.0 / counted.max(1) as f32;
                    for start in taps.map(|pixel| pixel * channels) {
                        let gradient = &mut gradient[start..][..channels];
                        for (gradient, left) in gradient.iter_mut().zip(&left) {
                            *gradient += left * part;
                        }
                    }
                }
            }
        }
    });
    gradient
}

/// The pixels of an image that a window covers, by number.
fn inside(
    window: &Window,
    position: [usize; 2],
    size: [usize; 2],
) -> impl Iterator<Item = usize> + Clone {
    let along = |axis: usize| {
        let start = position[axis] * window.stride[axis];
        let (step, before, length) =
            (window.dilation[axis], window.padding_begin[axis], size[axis]);
        let taps = (0..window.kernel[axis]).map(move |tap| start + tap * step);
        taps.filter_map(move |at| at.checked_sub(before).filter(|at| *at < length))
    };
    let (rows, columns, width) = (along(0), along(1), size[1]);
    rows.flat_map(move |y| columns.clone().map(move |x| y * width + x))
}

/// The pixels of an image and its padding that a window covers.
fn padded_taps(window: &Window, position: [usize; 2], of: Images) -> usize {
    let along = |axis: usize, length: usize| {
        let end = window.padding_begin[axis] + length + window.padding_end[axis];
        let start = position[axis] * window.stride[axis];
        let taps = (0..window.kernel[axis]).map(|tap| start + tap * window.dilation[axis]);
        taps.filter(|at| *at < end).count()
    };
    along(0, of.height) * along(1, of.width)
}

/// The gradient of images from that of their means.
pub(super) fn global_average(gradient: &[f32], of: Images) -> Vec<f32> {
    let pixels = of.height * of.width;
    let part = 1.0 / pixels as f32;
    let images = gradient.chunks_exact(of.channels);
    let shares = images.flat_map(|mean| (0..pixels).flat_map(|_| mean.iter()));
    shares.map(|value| value * part).collect()
}

/// Turns the gradient of pixels divided by their L2 norm into that of the pixels.
pub(super) fn l2_norm(epsilon: f32, images: &[f32], gradient: &mut [f32], channels: usize) {
    let pixels = gradient.par_chunks_exact_mut(channels).zip(images.par_chunks_exact(channels));
    pixels.for_each(|(gradient, pixel)| {
        let square = pixel.iter().map(|value| value * value).sum::<f32>() + epsilon;
        let inner: f32 = pixel.iter().zip(&*gradient).map(|(value, part)| value * part).sum();
        let (norm, along) = (square.sqrt(), inner / square);
        for (gradient, value) in gradient.iter_mut().zip(pixel) {
            *gradient = (*gradient - value * along) / norm;
        }
    });
}

/// Turns the gradient of a softmax's results into that of the logits.
pub(super) fn softmax(results: &[f32], gradient: &mut [f32], channels: usize) {
    for (gradient, row) in gradient.chunks_exact_mut(channels).zip(results.chunks_exact(channels)) {
        let mean: f32 = row.iter().zip(&*gradient).map(|(value, part)| value * part).sum();
        for (gradient, value) in gradient.iter_mut().zip(row) {
            *gradient = value * (*gradient - mean);
        }
    }
}

/// The gradient of images from that of the images enlarged by repeating pixels.
pub(super) fn upsample(factors: [usize; 2], gradient: &[f32], of: Images) -> Vec<f32> {
    let (channels, wide) = (of.channels, of.width * factors[1]);
    let mut result = vec![0.0; of.floats()];
    for (number, pixel) in gradient.chunks_exact(channels).enumerate() {
        let (row, x) = (number / wide, number % wide / factors[1]);
        // Rows of all images stand one behind the other, and so do their enlarged ones.
        let to = (row / factors[0] * of.width + x) * channels;
        for (sum, value) in result[to..to + channels].iter_mut().zip(pixel) {
            *sum += value;
        }
    }
    result
}

/// One input's part of the gradient of values that stand side by side in each of `rows` rows.
pub(super) fn part(gradient: &[f32], rows: usize, before: usize, floats: usize) -> Vec<f32> {
    let row = gradient.len() / rows.max(1);
    gradient
        .chunks_exact(row.max(1))
        .flat_map(|row| &row[before..before + floats])
        .copied()
        .collect()
}
