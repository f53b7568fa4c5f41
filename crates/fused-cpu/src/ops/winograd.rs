//! Winograd's convolution: 3 x 3 with a stride of 1, in a quarter of the multiplications.
//!
//! F(4 x 4, 3 x 3) of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks"
//! (2015): tiles of 6 x 6 input pixels are transformed, multiplied with transformed weights at each
//! of their 36 positions (as a matrix product over the channels, by [`super::dense`]), and
//! transformed to 4 x 4 output pixels. With a dilation, every residue of the pixels' coordinates is
//! an image of its own.

use std::ops::Range;

use super::{
    Convolution, Kernel, Span,
    dense::{Block, PackedWeights, convolve},
    tile::PixelOffsets,
};
use crate::{
    Isa, Window,
    activation::Clamp,
    execution::StepRun,
    simd::{
        dispatch,
        lanes::{Lanes, split},
    },
    view::{Arena, Source, View},
};

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

impl Kernel for Winograd {
    fn weight_bytes(&self) -> usize {
        self.weights.iter().map(PackedWeights::bytes).sum::<usize>() + 4 * self.bias.len()
    }

    fn scratch_floats(&self, output: [usize; 2], threads: usize) -> Option<usize> {
        let tiles = Tiles::new(&self.window, output);
        // Fewer threads may share an image than there is room for.
        let floats = |threads| {
            self.block_floats(tiles.block(self.most_tiles(), threads).0).checked_mul(threads)
        };
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
        let (all, threads) = (tiles.count(), step.threads());
        let (block, apart) = tiles.block(self.most_tiles(), threads);
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
    /// Tiles that are made together at most.
    fn most_tiles(&self) -> usize {
        let (inputs, outputs) = (self.inputs, self.bias.len());
        (inputs * outputs / (inputs + outputs)).clamp(TILES_AT_ONCE[0], TILES_AT_ONCE[1])
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

/// How the tiles cover the output.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    dilation: [usize; 2],
    /// Tiles along each axis, of the largest residue.
    along: [usize; 2],
}

/// Where an output tile begins; its pixels are a dilation apart.
#[derive(Debug, Clone, Copy)]
struct Tile {
    y: usize,
    x: usize,
}

impl Tiles {
    fn new(window: &Window, [height, width]: [usize; 2]) -> Self {
        let dilation = window.dilation;
        let along = [height.div_ceil(dilation[0]), width.div_ceil(dilation[1])]
            .map(|pixels| pixels.div_ceil(OUTPUT));
        Self { dilation, along }
    }

    /// Number of tiles.
    fn count(&self) -> usize {
        self.along[0] * self.along[1] * self.dilation[0] * self.dilation[1]
    }

    /// How many tiles are made together, and whether each thread makes such blocks by itself: if
    /// there are as many for every thread, and not too small ones.
    fn block(&self, most: usize, threads: usize) -> (usize, bool) {
        let all = self.count().max(1);
        let blocks = all.div_ceil(most);
        let shared = blocks.next_multiple_of(threads);
        let apart = all / shared >= FEWEST_AT_ONCE;
        (all.div_ceil(if apart { shared } else { blocks }), apart)
    }

    fn tile(&self, index: usize) -> Tile {
        let (index, tile_x) = (index / self.along[1], index % self.along[1]);
        let (index, tile_y) = (index / self.along[0], index % self.along[0]);
        let (residue_y, residue_x) = (index / self.dilation[1], index % self.dilation[1]);
        Tile {
            y: residue_y + tile_y * OUTPUT * self.dilation[0],
            x: residue_x + tile_x * OUTPUT * self.dilation[1],
        }
    }

    /// The output pixels of a tile, `[y, x]`.
    fn pixels(&self, index: usize, size: [usize; 2]) -> impl Iterator<Item = [usize; 2]> + use<> {
        let (tile, [step_y, step_x]) = (self.tile(index), self.dilation);
        (0..OUTPUT * OUTPUT)
            .map(move |at| [tile.y + at / OUTPUT * step_y, tile.x + at % OUTPUT * step_x])
            .filter(move |[y, x]| *y < size[0] && *x < size[1])
    }
}

/// One tile to be transformed.
struct TileTask<'a> {
    arena: Arena,
    tiles: &'a Tiles,
    /// Number of the tile.
    tile: usize,
    /// The transformed tile's first float, and the distance from position to position.
    scratch: usize,
    position: usize,
    side: Side<'a>,
}

/// Which transform.
enum Side<'a> {
    Input(&'a Image),
    /// To the output, with bias, residual and bounds.
    Output {
        view: View,
        bias: &'a [f32],
        residual: Option<(Source, View)>,
        clamp: Clamp,
    },
}

/// What tiles are made from.
struct Image {
    source: Source,
    /// The input, moved to its border.
    view: View,
    /// Rows and columns of image and halo.
    rows: usize,
    columns: usize,
}

impl TileTask<'_> {
    /// The transformed tile's channels from `channel` on, checked up to the last position's.
    #[inline(always)]
    fn scratch_at<V: Lanes>(&self, channel: usize) -> *mut f32 {
        let reach = (TILE_POSITIONS - 1) * self.position + V::COUNT;
        self.arena.at(self.scratch + channel, reach)
    }
}

dispatch! {
    /// Transforms a tile.
    ///
    /// # Safety
    /// The processor must have the instruction set. No other thread may write what is read or
    /// touch what is written.
    unsafe fn transform(task: &TileTask<'_>) = transform_tile
}

#[inline(always)]
unsafe fn transform_tile<V: Lanes>(task: &TileTask<'_>) {
    let tile = task.tiles.tile(task.tile);
    let channels = match &task.side {
        Side::Input(Image { view, .. }) | Side::Output { view, .. } => view.channels,
    };
    let (vectors, rest) = split::<V>(channels);
    unsafe {
        for channel in vectors {
            transform_channels::<V>(task, tile, channel);
        }
        for channel in rest {
            transform_channels::<f32>(task, tile, channel);
        }
    }
}

#[inline(always)]
unsafe fn transform_channels<V: Lanes>(task: &TileTask<'_>, tile: Tile, channel: usize) {
    unsafe {
        match &task.side {
            Side::Input(image) => transform_input::<V>(task, tile, channel, image),
            Side::Output { view, bias, residual, clamp } => {
                let bias = V::load(bias.as_ptr().add(channel));
                transform_output::<V>(task, tile, channel, view, residual.as_ref(), bias, clamp);
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds, to be unrolled")]
unsafe fn transform_input<V: Lanes>(
    task: &TileTask<'_>,
    tile: Tile,
    channel: usize,
    image: &Image,
) {
    let [step_y, step_x] = task.tiles.dilation;
    let Image { source, view, rows, columns } = *image;
    unsafe {
        // The last pixel that is read lies in the image or its halo.
        let within = |start: usize, step: usize, length: usize| {
            ((length - start).div_ceil(step)).min(INPUT) - 1
        };
        let last = within(tile.y, step_y, rows) * step_y * view.row
            + within(tile.x, step_x, columns) * step_x * view.pixel;
        let from = source.at(view.at(tile.y, tile.x) + channel, last + V::COUNT);
        let mut half = [[V::splat(0.0); INPUT]; INPUT];
        for column in 0..INPUT {
            // What lies beyond the halo meets only outputs that are not wanted.
            if tile.x + column * step_x >= columns {
                continue;
            }
            let mut values = [V::splat(0.0); INPUT];
            for row in 0..INPUT {
                if tile.y + row * step_y < rows {
                    let at = row * step_y * view.row + column * step_x * view.pixel;
                    values[row] = V::load(from.add(at));
                }
            }
            let values = input_transform(values);
            for row in 0..INPUT {
                half[row][column] = values[row];
            }
        }
        let to = task.scratch_at::<V>(channel);
        for row in 0..INPUT {
            let values = input_transform(half[row]);
            for column in 0..INPUT {
                values[column].store(to.add((row * INPUT + column) * task.position));
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds, to be unrolled")]
unsafe fn transform_output<V: Lanes>(
    task: &TileTask<'_>,
    tile: Tile,
    channel: usize,
    view: &View,
    residual: Option<&(Source, View)>,
    bias: V,
    clamp: &Clamp,
) {
    let [step_y, step_x] = task.tiles.dilation;
    unsafe {
        let from = task.scratch_at::<V>(channel).cast_const();
        let mut half = [[V::splat(0.0); INPUT]; OUTPUT];
        for column in 0..INPUT {
            let values: [V; INPUT] = std::array::from_fn(|row| {
                V::load(from.add((row * INPUT + column) * task.position))
            });
            let values = output_transform(values);
            for row in 0..OUTPUT {
                half[row][column] = values[row];
            }
        }
        for row in 0..OUTPUT {
            let y = tile.y + row * step_y;
            if y >= view.height {
                break;
            }
            let values = output_transform(half[row]);
            for column in 0..OUTPUT {
                let x = tile.x + column * step_x;
                if x >= view.width {
                    break;
                }
                let mut sum = values[column].add(bias);
                if let Some((source, residual)) = residual {
                    let from = source.at(residual.at(y, x) + channel, V::COUNT);
                    sum = sum.add(V::load(from));
                }
                clamp.apply(sum).store(task.arena.at(view.at(y, x) + channel, V::COUNT));
            }
        }
    }
}

/// Bᵀ times a column.
#[inline(always)]
unsafe fn input_transform<V: Lanes>([a, b, c, d, e, f]: [V; INPUT]) -> [V; INPUT] {
    unsafe {
        let [two, four, minus_five] = [2.0, 4.0, -5.0].map(|value| V::splat(value));
        let (ec, db) = (e.sub(c), d.sub(b));
        let (even, odd) = (c.mul_add(V::splat(-4.0), e), b.mul_add(V::splat(-4.0), d));
        [
            a.mul_add(four, c.mul_add(minus_five, e)),
            even.add(odd),
            even.sub(odd),
            db.mul_add(two, ec),
            db.mul_add(V::splat(-2.0), ec),
            b.mul_add(four, d.mul_add(minus_five, f)),
        ]
    }
}

/// Aᵀ times a column.
#[inline(always)]
unsafe fn output_transform<V: Lanes>([a, b, c, d, e, f]: [V; INPUT]) -> [V; OUTPUT] {
    unsafe {
        let (sum, difference) = (b.add(c), b.sub(c));
        let (far_sum, far_difference) = (d.add(e), d.sub(e));
        [
            a.add(sum).add(far_sum),
            far_difference.mul_add(V::splat(2.0), difference),
            far_sum.mul_add(V::splat(4.0), sum),
            far_difference.mul_add(V::splat(8.0), difference).add(f),
        ]
    }
}
