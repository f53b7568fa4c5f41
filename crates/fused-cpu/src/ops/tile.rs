//! Tiles of a dense convolution: some output pixels by some output channels, whose sums stay in registers.

use std::ops::Range;

use crate::{
    activation::Clamp,
    simd::lanes::Lanes,
    view::{Arena, Source},
};

/// Pixels of the largest tile, of which tasks are multiples. MobileNetV2's rows have 7 or a multiple
/// of 14 pixels.
pub(super) const TILE_PIXELS: usize = 14;
/// Vectors of output channels in a tile.
pub(super) const TILE_VECTORS: usize = 2;

/// Output channels that one sweep over the pixels makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    /// First output channel.
    pub(super) channel: usize,
    /// Output channels, at most `vectors` times the lanes.
    pub(super) channels: usize,
    pub(super) vectors: usize,
    /// Where its weights begin.
    pub(super) weights: usize,
}

impl Panel {
    /// The panels of so many channels with `rows` rows of weights, and the length of all weights.
    pub(super) fn divide(channels: usize, lanes: usize, rows: usize) -> (Vec<Self>, usize) {
        let mut panels = Vec::new();
        let (mut channel, mut weights) = (0, 0);
        while channel < channels {
            let vectors = if channels - channel > lanes { TILE_VECTORS } else { 1 };
            let end = channels.min(channel + vectors * lanes);
            panels.push(Self { channel, channels: end - channel, vectors, weights });
            weights += vectors * lanes * rows;
            channel = end;
        }
        (panels, weights)
    }

    /// The output channels of neighbouring panels.
    pub(super) fn channels(panels: &[Self]) -> Range<usize> {
        let end = panels.last().map_or(0, |panel| panel.channel + panel.channels);
        panels.first().map_or(0, |panel| panel.channel)..end
    }
}

/// Where an output pixel reads and writes, in elements from the start of the memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PixelOffsets {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) residual: usize,
}

impl PixelOffsets {
    /// Those of neighbouring pixels of an image of a width, given the offsets of a row's first pixel, which
    /// may wrap around where it is none of these pixels, and from pixel to pixel.
    pub(super) fn list(
        pixels: Range<usize>,
        width: usize,
        row: impl Fn(usize) -> Self,
        step: Self,
    ) -> Vec<Self> {
        let mut offsets = Vec::with_capacity(pixels.len());
        let mut start = pixels.start;
        while start < pixels.end {
            let (y, x) = (start / width, start % width);
            let end = pixels.end.min(start - x + width);
            let row = row(y);
            offsets.extend((x..x + end - start).map(|x| Self {
                input: row.input.wrapping_add(x * step.input),
                output: row.output.wrapping_add(x * step.output),
                residual: row.residual.wrapping_add(x * step.residual),
            }));
            start = end;
        }
        offsets
    }
}

/// What makes the tiles of a convolution.
pub(super) trait Tiled {
    /// Vector registers of the instruction set.
    const REGISTERS: usize;

    /// Makes a tile of `PIXELS` pixels; those that are lacking repeat the last one and are not stored.
    ///
    /// Implementations have indices and constant bounds throughout, so that the compiler unrolls it all and the
    /// sums stay in registers.
    ///
    /// # Safety
    /// The instruction set must be there; no other thread may write what is read or touch what is written.
    unsafe fn tile<const VECTORS: usize, const PIXELS: usize>(
        &self,
        panel: &Panel,
        pixels: &[PixelOffsets],
    );
}

/// Makes the tiles of some panels and pixels.
///
/// # Safety
/// As [`Tiled::tile`].
#[inline(always)]
pub(super) unsafe fn sweep(tiled: &impl Tiled, panels: &[Panel], pixels: &[PixelOffsets]) {
    for panel in panels {
        unsafe {
            if panel.vectors == TILE_VECTORS {
                sweep_panel::<_, TILE_VECTORS>(tiled, panel, pixels);
            } else {
                sweep_panel::<_, 1>(tiled, panel, pixels);
            }
        }
    }
}

#[inline(always)]
unsafe fn sweep_panel<T: Tiled, const VECTORS: usize>(
    tiled: &T,
    panel: &Panel,
    mut pixels: &[PixelOffsets],
) {
    // The largest tile whose sums, with a row of weights and a value, fit the registers.
    let largest = if T::REGISTERS >= 32 { TILE_PIXELS } else { 6 };
    while !pixels.is_empty() {
        let (tile, rest) = pixels.split_at(pixels.len().min(largest));
        unsafe {
            match tile.len() {
                13.. => tiled.tile::<VECTORS, TILE_PIXELS>(panel, tile),
                11..13 => tiled.tile::<VECTORS, 12>(panel, tile),
                9..11 => tiled.tile::<VECTORS, 10>(panel, tile),
                7..9 => tiled.tile::<VECTORS, 8>(panel, tile),
                5..7 => tiled.tile::<VECTORS, 6>(panel, tile),
                2..5 => tiled.tile::<VECTORS, 4>(panel, tile),
                _ => tiled.tile::<VECTORS, 1>(panel, tile),
            }
        }
        pixels = rest;
    }
}

/// Where the sums of a tile go.
pub(super) struct TileOutput<'a> {
    pub(super) arena: Arena,
    pub(super) panel: &'a Panel,
    pub(super) pixels: &'a [PixelOffsets],
    /// Where the residual lies, if one is to be added.
    pub(super) residual: Option<Source>,
    pub(super) clamp: &'a Clamp,
}

impl TileOutput<'_> {
    /// Adds the residual, clamps and stores.
    ///
    /// # Safety
    /// As [`Tiled::tile`].
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "constant bounds, to be unrolled")]
    pub(super) unsafe fn store<V: Lanes, const VECTORS: usize, const PIXELS: usize>(
        &self,
        sums: [[V; VECTORS]; PIXELS],
    ) {
        if self.pixels.len() == PIXELS {
            match self.residual {
                None => {
                    for pixel in 0..PIXELS {
                        unsafe { self.store_pixel(pixel, sums[pixel]) };
                    }
                }
                Some(residual) => {
                    for pixel in 0..PIXELS {
                        unsafe { self.store_sum(pixel, sums[pixel], residual) };
                    }
                }
            }
            return;
        }
        // Of a copy, because what is indexed by variables lies in memory.
        let mut copy = [[unsafe { V::splat(0.0) }; VECTORS]; PIXELS];
        for pixel in 0..PIXELS {
            for vector in 0..VECTORS {
                copy[pixel][vector] = sums[pixel][vector];
            }
        }
        for (pixel, sums) in (0..self.pixels.len()).zip(copy) {
            unsafe {
                match self.residual {
                    None => self.store_pixel(pixel, sums),
                    Some(residual) => self.store_sum(pixel, sums, residual),
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn store_pixel<V: Lanes, const VECTORS: usize>(&self, pixel: usize, sums: [V; VECTORS]) {
        let (offset, channels) =
            (self.pixels[pixel].output + self.panel.channel, self.panel.channels);
        let to = self.arena.at(offset, channels);
        let rest = channels - (VECTORS - 1) * V::COUNT;
        for (vector, sum) in sums.into_iter().enumerate() {
            unsafe {
                let (sum, to) = (self.clamp.apply(sum), to.add(vector * V::COUNT));
                if vector + 1 < VECTORS { sum.store(to) } else { sum.store_first(to, rest) }
            }
        }
    }

    #[inline(always)]
    unsafe fn store_sum<V: Lanes, const VECTORS: usize>(
        &self,
        pixel: usize,
        sums: [V; VECTORS],
        residual: Source,
    ) {
        let channels = self.panel.channels;
        let from = residual.at(self.pixels[pixel].residual + self.panel.channel, channels);
        let rest = channels - (VECTORS - 1) * V::COUNT;
        let sums: [V; VECTORS] = std::array::from_fn(|vector| unsafe {
            let from = from.add(vector * V::COUNT);
            let residual =
                if vector + 1 < VECTORS { V::load(from) } else { V::load_first(from, rest) };
            sums[vector].add(residual)
        });
        unsafe { self.store_pixel(pixel, sums) };
    }
}
