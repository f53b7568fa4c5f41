//! Dense convolution: an implicit matrix product.
//!
//! A tile is some output pixels by some output channels, held in registers. Each output pixel reads
//! *runs* of the input: the floats of one kernel row are neighbours in an NHWC picture, so a 3 x 3
//! convolution has three runs a pixel, a 1 x 1 convolution one. Nothing is copied beforehand; the
//! input's halo of zeros stands for the padding. Every output is summed in one order, whatever the
//! tile, so that neither batch nor threads change a result.

use super::{Epilogue, isa::dispatch, lanes::Lanes};

/// Vectors of output channels in a tile.
const TILE_VECTORS: usize = 2;

/// Input values that a turn of the innermost loop multiplies.
const UNROLLED: usize = 4;

/// Weights and biases, laid out for the tiles.
///
/// Panels of `2 x lanes` output channels (the last one of `lanes`, if that holds the rest), each
/// with one row of weights an input value, in the order of the runs.
#[derive(Debug, Clone)]
pub(crate) struct PackedWeights {
    weights: Vec<f32>,
    bias: Vec<f32>,
    panels: Vec<Panel>,
}

/// Output channels that one sweep over the pixels makes.
#[derive(Debug, Clone, Copy)]
struct Panel {
    /// First output channel.
    channel: usize,
    /// Output channels, at most `vectors` times the lanes.
    channels: usize,
    vectors: usize,
    /// Where its weights begin.
    weights: usize,
}

impl PackedWeights {
    /// Packs the weights `weights[start(input value) + output channel * stride]`.
    pub(crate) fn pack(
        lanes: usize,
        values: usize,
        bias: &[f32],
        weights: &[f32],
        start: impl Fn(usize) -> usize,
        stride: usize,
    ) -> Self {
        let channels = bias.len();
        let (mut packed, mut panels) = (Vec::new(), Vec::new());
        let mut channel = 0;
        while channel < channels {
            let vectors = if channels - channel > lanes { TILE_VECTORS } else { 1 };
            let width = vectors * lanes;
            let end = channels.min(channel + width);
            panels.push(Panel { channel, channels: end - channel, vectors, weights: packed.len() });
            for value in 0..values {
                let row = start(value);
                packed.extend((channel..end).map(|channel| weights[row + channel * stride]));
                packed.resize(packed.len() + channel + width - end, 0.0);
            }
            channel = end;
        }
        let mut bias = bias.to_vec();
        bias.resize(channels.next_multiple_of(lanes), 0.0);
        Self { weights: packed, bias, panels }
    }

    /// Number of panels, which tasks divide between them.
    pub(crate) fn panels(&self) -> usize {
        self.panels.len()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.weights.len() + self.bias.len())
    }
}

/// Floats of the input that an output pixel reads one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// From the pixel's first input float.
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

/// Where an output pixel reads and writes, in floats from the arena's start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PixelOffsets {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) residual: usize,
}

/// Some output pixels and panels of a convolution.
pub(crate) struct ConvolutionBlock<'a> {
    pub(crate) arena: *mut f32,
    pub(crate) pixels: &'a [PixelOffsets],
    pub(crate) runs: &'a [Run],
    pub(crate) weights: &'a PackedWeights,
    pub(crate) panels: std::ops::Range<usize>,
    /// Whether `PixelOffsets::residual` is to be added.
    pub(crate) residual: bool,
    pub(crate) epilogue: Epilogue,
}

dispatch! {
    /// Computes a block.
    ///
    /// # Safety
    /// The processor must have the instruction set that the weights were packed for. For every
    /// pixel, all runs must lie within the arena, as must `channels` floats from its output (and
    /// its residual); no other thread may write what is read or touch what is written.
    pub(crate) unsafe fn convolve(block: &ConvolutionBlock<'_>) = convolve_block
}

#[inline(always)]
unsafe fn convolve_block<V: Lanes>(block: &ConvolutionBlock<'_>) {
    for panel in &block.weights.panels[block.panels.clone()] {
        unsafe {
            if panel.vectors == TILE_VECTORS {
                convolve_panel::<V, TILE_VECTORS>(block, panel);
            } else {
                convolve_panel::<V, 1>(block, panel);
            }
        }
    }
}

#[inline(always)]
unsafe fn convolve_panel<V: Lanes, const VECTORS: usize>(
    block: &ConvolutionBlock<'_>,
    panel: &Panel,
) {
    let mut pixels = block.pixels;
    // The largest tile whose sums, with a row of weights and a value, fit the registers.
    let largest = if V::REGISTERS >= 32 { 12 } else { 6 };
    while !pixels.is_empty() {
        let (tile, rest) = pixels.split_at(pixels.len().min(largest));
        unsafe {
            match tile.len() {
                9.. => convolve_tile::<V, VECTORS, 12>(block, panel, tile),
                7..9 => convolve_tile::<V, VECTORS, 8>(block, panel, tile),
                5..7 => convolve_tile::<V, VECTORS, 6>(block, panel, tile),
                2..5 => convolve_tile::<V, VECTORS, 4>(block, panel, tile),
                _ => convolve_tile::<V, VECTORS, 1>(block, panel, tile),
            }
        }
        pixels = rest;
    }
}

/// A tile of `PIXELS` pixels; those that are lacking repeat the last one and are not stored.
///
/// Indices and constant bounds throughout, here and in [`accumulate`], so that the compiler unrolls
/// it all and the sums stay in registers.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "see above")]
unsafe fn convolve_tile<V: Lanes, const VECTORS: usize, const PIXELS: usize>(
    block: &ConvolutionBlock<'_>,
    panel: &Panel,
    pixels: &[PixelOffsets],
) {
    let last = pixels.len() - 1;
    unsafe {
        let inputs: [*const f32; PIXELS] =
            std::array::from_fn(|i| block.arena.add(pixels[i.min(last)].input).cast_const());
        let bias = block.weights.bias.as_ptr().add(panel.channel);
        let mut sums = [[V::splat(0.0); VECTORS]; PIXELS];
        for pixel in 0..PIXELS {
            for vector in 0..VECTORS {
                sums[pixel][vector] = V::load(bias.add(vector * V::COUNT));
            }
        }

        let mut weights = block.weights.weights.as_ptr().add(panel.weights);
        for run in block.runs {
            let mut from: [*const f32; PIXELS] = std::array::from_fn(|i| inputs[i].add(run.offset));
            for _ in 0..run.length / UNROLLED {
                sums = accumulate::<V, VECTORS, PIXELS, UNROLLED>(sums, &from, weights);
                from = from.map(|from| from.add(UNROLLED));
                weights = weights.add(UNROLLED * VECTORS * V::COUNT);
            }
            for _ in 0..run.length % UNROLLED {
                sums = accumulate::<V, VECTORS, PIXELS, 1>(sums, &from, weights);
                from = from.map(|from| from.add(1));
                weights = weights.add(VECTORS * V::COUNT);
            }
        }

        for pixel in 0..PIXELS {
            let Some(offsets) = pixels.get(pixel) else { break };
            for vector in 0..VECTORS {
                let first = vector * V::COUNT;
                let channels = (panel.channels - first).min(V::COUNT);
                let output = block.arena.add(offsets.output + panel.channel + first);
                let residual = block.residual.then(|| {
                    block.arena.add(offsets.residual + panel.channel + first).cast_const()
                });
                finish(sums[pixel][vector], residual, output, channels, &block.epilogue);
            }
        }
    }
}

/// Adds the products of the next `VALUES` input values of every pixel with their weights.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as in `convolve_tile`")]
unsafe fn accumulate<V: Lanes, const VECTORS: usize, const PIXELS: usize, const VALUES: usize>(
    mut sums: [[V; VECTORS]; PIXELS],
    from: &[*const f32; PIXELS],
    weights: *const f32,
) -> [[V; VECTORS]; PIXELS] {
    for value in 0..VALUES {
        unsafe {
            let weights = weights.add(value * VECTORS * V::COUNT);
            let row: [V; VECTORS] =
                std::array::from_fn(|vector| V::load(weights.add(vector * V::COUNT)));
            for pixel in 0..PIXELS {
                let input = V::splat(*from[pixel].add(value));
                for vector in 0..VECTORS {
                    sums[pixel][vector] = input.mul_add(row[vector], sums[pixel][vector]);
                }
            }
        }
    }
    sums
}

/// Adds the residual, clamps and stores the first `channels` lanes.
#[inline(always)]
unsafe fn finish<V: Lanes>(
    sum: V,
    residual: Option<*const f32>,
    output: *mut f32,
    channels: usize,
    epilogue: &Epilogue,
) {
    unsafe {
        if channels == V::COUNT {
            let sum = residual.map_or(sum, |residual| sum.add(V::load(residual)));
            epilogue.clamp(sum).store(output);
        } else {
            // At most 16 lanes.
            let mut lanes = [0.0; 16];
            sum.store(lanes.as_mut_ptr());
            for (channel, lane) in lanes[..channels].iter().enumerate() {
                let sum = lane + residual.map_or(0.0, |residual| *residual.add(channel));
                *output.add(channel) = epilogue.clamp(sum);
            }
        }
    }
}
