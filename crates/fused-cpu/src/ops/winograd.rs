//! Winograd's convolution: 3 x 3 with a stride of 1, in a quarter of the multiplications.
//!
//! F(4 x 4, 3 x 3) of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks"
//! (2015): tiles of 6 x 6 input pixels are transformed, multiplied with transformed weights at each
//! of their 36 positions (as a matrix product over the channels, by [`super::dense`]), and
//! transformed to 4 x 4 output pixels. With a dilation, every residue of the pixels' coordinates is
//! an image of its own.

mod tile;

use std::ops::Range;

use self::tile::{Image, Side, TileTask, Tiles, transform};
use super::{
    Convolution, Kernel, Span,
    dense::{Block, PackedWeights, convolve},
    tile::PixelOffsets,
};
use crate::{Isa, Window, activation::Clamp, execution::StepRun, view::View};

/// Side of an output tile.
const OUTPUT: usize = 4;
/// Side of an input tile.
const INPUT: usize = 6;
/// Positions in an input tile, each with a matrix of weights.
const TILE_POSITIONS: usize = INPUT * INPUT;

/// G times a column of weights, where G is the transform of the weights.
#[inline(always)]
fn weight_transform([a, b, c]: [f32; 3]) -> [f32; INPUT] {
    let (ends, middle) = ((a + c) / -6.0, b / 6.0);
    let (far_ends, far_middle) = (a / 24.0 + c / 6.0, b / 12.0);
    [a / 4.0, ends - middle, ends + middle, far_ends + far_middle, far_ends - far_middle, c]
}

/// The transformed weights of one input and output channel, G w Gᵀ, of 3 x 3 weights.
fn transform_weights(weights: &[f32; 9]) -> [f32; TILE_POSITIONS] {
    let columns: [[f32; INPUT]; 3] = std::array::from_fn(|column| {
        weight_transform(std::array::from_fn(|row| weights[3 * row + column]))
    });
    let mut transformed = [0.0; TILE_POSITIONS];
    for (row, transformed) in transformed.as_chunks_mut::<INPUT>().0.iter_mut().enumerate() {
        *transformed = weight_transform(columns.map(|column| column[row]));
    }
    transformed
}

/// Tiles that are transformed before they are multiplied: as many as have as many values as there
/// are weights, but these at least and at most.
const TILES_AT_ONCE: [usize; 2] = [56, 128];
/// Fewest tiles for which a thread reads all weights by itself, so that the tiles stay in its cache.
const FEWEST_AT_ONCE: usize = 8;
/// Floats between the matrices of two positions. Matrices a power of two apart would share few sets
/// of the first cache, and a transform touches all 36.
const GAP: usize = 16;

/// Fewest input channels, and output channels, with which the transforms cost little beside the multiplications that
/// they save; fewer were not tried. Heads of detectors have as few outputs as that.
const FEWEST_CHANNELS: [usize; 2] = [32, 8];

/// Whether a convolution is better done this way: a square one of enough channels.
pub(super) fn pays(convolution: &Convolution) -> bool {
    let Convolution { inputs, window, .. } = convolution;
    window.kernel == [3; 2]
        && window.stride == [1; 2]
        && *inputs >= FEWEST_CHANNELS[0]
        && convolution.outputs() >= FEWEST_CHANNELS[1]
}

/// A 3 x 3 convolution with transformed weights.
#[derive(Debug)]
pub(super) struct Winograd {
    /// A matrix for each position in a tile.
    weights: Vec<PackedWeights>,
    bias: Vec<f32>,
    inputs: usize,
    window: Window,
}

impl Winograd {
    pub(super) fn pack(convolution: &Convolution, isa: Isa) -> Self {
        let Convolution { weights, bias, inputs, window, .. } = convolution;
        let inputs = *inputs;
        let mut positions = vec![vec![0.0; inputs * bias.len()]; TILE_POSITIONS];
        for (at, weights) in weights.as_chunks::<9>().0.iter().enumerate() {
            for (position, value) in positions.iter_mut().zip(transform_weights(weights)) {
                position[at] = value;
            }
        }
        let (lanes, no_bias) = (isa.lanes(), vec![0.0; bias.len()]);
        let weights = positions
            .iter()
            .map(|values| {
                PackedWeights::pack(lanes, inputs, &no_bias, values, |input| input, inputs)
            })
            .collect();
        Self { weights, bias: bias.clone(), inputs, window: *window }
    }
}

/// How tiles are divided.
struct Blocks {
    /// Tiles that are made together.
    tiles: usize,
    /// Whether a thread makes a block by itself; if not, all threads make one after another.
    apart: bool,
}

impl Kernel for Winograd {
    fn weight_bytes(&self) -> usize {
        self.weights.iter().map(PackedWeights::bytes).sum::<usize>() + 4 * self.bias.len()
    }

    fn scratch_floats(&self, output: [usize; 2], threads: usize) -> Option<usize> {
        let tiles = Tiles::new(&self.window, output).count();
        // Fewer threads may share an image than there is room for.
        let floats =
            |threads| self.block_floats(self.blocks(tiles, threads).tiles).checked_mul(threads);
        (1..=threads).map(floats).try_fold(0, |most, floats| Some(most.max(floats?)))
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn matrices(&mut self) -> Vec<&mut PackedWeights> {
        self.weights.iter_mut().collect()
    }

    fn run(&self, step: &StepRun<'_>) {
        let (input, output, window) = (step.input, step.output, &self.window);
        assert!(input.channels == self.inputs && output.channels == self.bias.len());
        let [above, left] = window.padding_begin;
        let rows = above + input.height + window.padding_end[0];
        let columns = left + input.width + window.padding_end[1];
        let image =
            Image { source: step.source, view: input.with_border(above, left), rows, columns };
        let tiles = Tiles::new(window, [output.height, output.width]);
        let all = tiles.count();
        let Blocks { tiles: block, apart } = self.blocks(all, step.threads());
        let blocks = all.div_ceil(block);
        let range = |at: usize| at * block..all.min((at + 1) * block);
        if apart {
            step.parallel_on(blocks, |at, thread| {
                let scratch = step.scratch + thread * self.block_floats(block);
                self.run_block(&step.alone(), &tiles, &image, range(at), scratch);
            });
        } else {
            for at in 0..blocks {
                self.run_block(step, &tiles, &image, range(at), step.scratch);
            }
        }
    }
}

impl Winograd {
    /// Blocks of all tiles: as many for every thread, if that leaves enough tiles in a block.
    fn blocks(&self, all: usize, threads: usize) -> Blocks {
        let (all, inputs, outputs) = (all.max(1), self.inputs, self.bias.len());
        let [least, most] = TILES_AT_ONCE;
        let blocks = all.div_ceil((inputs * outputs / (inputs + outputs)).clamp(least, most));
        let shared = blocks.next_multiple_of(threads);
        let apart = all / shared >= FEWEST_AT_ONCE;
        Blocks { tiles: all.div_ceil(if apart { shared } else { blocks }), apart }
    }

    /// Floats that so many tiles need, transformed and multiplied.
    fn block_floats(&self, tiles: usize) -> usize {
        TILE_POSITIONS * (tiles * (self.inputs + self.bias.len()) + 2 * GAP)
    }

    /// Makes some tiles.
    fn run_block(
        &self,
        step: &StepRun<'_>,
        tiles: &Tiles,
        image: &Image,
        range: Range<usize>,
        scratch: usize,
    ) {
        let (inputs, outputs) = (self.inputs, self.bias.len());
        let (first, count, output) = (range.start, range.len(), step.output);
        let product = scratch + TILE_POSITIONS * (count * inputs + GAP);
        let transform_tile = |tile: usize, start: usize, channels: usize, side: Side<'_>| {
            let task = TileTask {
                arena: step.arena,
                tiles,
                tile: first + tile,
                scratch: start + tile * channels,
                position: count * channels + GAP,
                side,
            };
            // Safety: one task per tile.
            unsafe { transform(step.isa, &task) }
        };
        step.parallel(count, |tile| {
            transform_tile(tile, scratch, inputs, Side::Input(image));
        });
        step.parallel(TILE_POSITIONS, |position| {
            let mut offsets = [PixelOffsets::default(); TILES_AT_ONCE[1]];
            for (tile, offsets) in offsets[..count].iter_mut().enumerate() {
                let at = |channels| position * (count * channels + GAP) + tile * channels;
                offsets.input = scratch + at(inputs);
                offsets.output = product + at(outputs);
            }
            let weights = &self.weights[position];
            let task = Block {
                arena: step.arena,
                source: step.arena.source(),
                pixels: &offsets[..count],
                spans: &[Span { offset: 0, length: inputs }],
                weights,
                panels: 0..weights.panels(),
                residual: None,
                clamp: Clamp::NONE,
            };
            // Safety: both parts of the scratch are this block's own; one task per position.
            unsafe { convolve(step.isa, &task) }
        });
        step.parallel(count, |tile| {
            let (bias, residual, clamp) = (&self.bias, step.other, step.clamp);
            let side = Side::Output { view: output, bias, residual, clamp };
            transform_tile(tile, product, outputs, side);
            if step.has_curve() {
                for [y, x] in tiles.pixels(first + tile, [output.height, output.width]) {
                    // Safety: the tile's pixels are this task's own.
                    let pixel = unsafe { step.arena.slice(output.at(y, x), outputs) };
                    step.finish(pixel, 0);
                }
            }
        });
    }
}
