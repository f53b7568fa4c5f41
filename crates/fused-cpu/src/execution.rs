//! Running a plan's steps on one picture.
#![allow(unsafe_code, reason = "threads write disjoint parts of one arena; see `Arena`")]

use rayon::prelude::*;

use crate::{
    Plan,
    graph::ValueId,
    kernel::{
        Epilogue, View, Window,
        convolution::{ConvolutionBlock, PackedWeights, PixelOffsets, Run, convolve},
        depthwise::{DepthwiseRow, depthwise},
        pixelwise::{PixelOperation, PixelRow, pixelwise},
        pooling::{PoolRow, Pooling, pool},
        winograd::{PLACES, Side, TileTask, Tiles, transform},
    },
    layout::{Layout, StepLayout, WINOGRAD_TILES},
    plan::{Halo, Kernel, Source, Step},
};

/// Most output pixels of a convolution that one task computes.
const MOST_PIXELS: usize = 384;
/// Pixels of the largest tile, of which tasks are multiples.
const TILE_PIXELS: usize = 12;
/// Floats of the input that the output pixels of a task may read, to stay in a core's cache.
const TASK_FLOATS: usize = 48 * 1024;
/// Tasks a thread, so that an uneven last one matters little.
const TASKS_PER_THREAD: usize = 3;

/// The arena, for the tasks of a step.
///
/// Steps run one after another. Within one, a task writes only the pixels that are its own and
/// reads only values that are complete; [`Layout`] gives values that are alive at the same time
/// places apart.
#[derive(Clone, Copy)]
struct Arena(*mut f32);

// Safety: see the type.
unsafe impl Send for Arena {}
unsafe impl Sync for Arena {}

impl Arena {
    fn pointer(&self) -> *mut f32 {
        self.0
    }
}

/// A dense convolution.
struct Dense<'a> {
    weights: &'a PackedWeights,
    /// What every output pixel reads.
    runs: &'a [Run],
    /// Channels of the input.
    inputs: usize,
    window: &'a Window,
}

/// A 3 x 3 convolution in Winograd's way.
struct Winograd<'a> {
    /// A matrix a place of a tile.
    weights: &'a [PackedWeights],
    bias: &'a [f32],
    /// Channels of the input.
    inputs: usize,
    window: &'a Window,
}

/// Which threads compute a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// The calling one.
    Here,
    /// Those of the current pool.
    Threads,
}

/// A plan with a picture and an arena.
pub(crate) struct Execution<'a> {
    plan: &'a Plan,
    layout: &'a Layout,
    arena: Arena,
    /// The caller's picture, which is only read.
    input: Arena,
    input_view: View,
    /// Threads that share the work.
    threads: usize,
}

impl<'a> Execution<'a> {
    /// `arena` has the layout's floats, `input` a picture of its size.
    pub(crate) fn new(
        plan: &'a Plan,
        layout: &'a Layout,
        arena: &'a mut [f32],
        input: &'a [f32],
    ) -> Self {
        let ([height, width], channels) = (layout.size, plan.input_channels());
        debug_assert!(arena.len() >= layout.floats && input.len() == height * width * channels);
        let row = width * channels;
        Self {
            plan,
            layout,
            arena: Arena(arena.as_mut_ptr()),
            input: Arena(input.as_ptr().cast_mut()),
            input_view: View { origin: 0, row, pixel: channels, height, width, channels },
            threads: 1,
        }
    }

    /// Runs all steps.
    pub(crate) fn run(mut self, spread: Spread) {
        if spread == Spread::Threads {
            self.threads = rayon::current_num_threads();
        }
        for (step, layout) in self.plan.steps.iter().zip(&self.layout.steps) {
            self.step(step, layout);
        }
    }

    fn step(&self, step: &Step, layout: &StepLayout) {
        if let Some(value) = layout.fresh {
            self.clear_halo(value);
        }
        let output = self.layout.views[step.output];
        let (source, input) = match step.input {
            Source::Input => (self.input, self.input_view),
            Source::Value(value) => (self.arena, self.layout.views[value]),
        };
        match &step.kernel {
            Kernel::Joined(_) => {}
            Kernel::Convolution { weights, inputs, window } => {
                let convolution = Dense { weights, runs: &layout.runs, inputs: *inputs, window };
                self.convolution(step, &convolution, input, output);
            }
            Kernel::Winograd { weights, bias, inputs, window } => {
                let convolution = Winograd { weights, bias, inputs: *inputs, window };
                self.winograd(step, &convolution, layout.scratch, input, output);
            }
            Kernel::Depthwise { weights, bias, window } => {
                let input = input.with_border(window.before[0], window.before[1]);
                self.rows(output, |y| {
                    let task = DepthwiseRow {
                        arena: self.arena.pointer(),
                        input,
                        output,
                        window,
                        weights,
                        bias,
                        epilogue: step.epilogue,
                        y,
                    };
                    // Safety: the layout has room for the windows, halo included; a task a row.
                    unsafe { depthwise(self.plan.isa, &task) }
                });
            }
            Kernel::Affine { scale, shift } => {
                self.pixelwise(step, source, input, output, || PixelOperation::Affine {
                    scale,
                    shift,
                });
            }
            Kernel::Copy => {
                // A copy may be seen as pictures at its end and as a row at its beginning.
                self.pixelwise(step, source, input, output, || PixelOperation::Copy);
            }
            Kernel::Add => {
                let other = step.other.map_or(input, |value| self.layout.views[value]);
                self.pixelwise(step, source, input, output, || PixelOperation::Add(other));
            }
            Kernel::L2Norm { epsilon } => {
                let epsilon = *epsilon;
                self.pixelwise(step, source, input, output, || PixelOperation::L2Norm { epsilon });
            }
            Kernel::Softmax => {
                self.pixelwise(step, source, input, output, || PixelOperation::Softmax);
            }
            Kernel::Pool { window, pooling } => {
                self.pool(step, input, output, window, *pooling);
            }
            Kernel::GlobalAverage => {
                let window = Window {
                    kernel: [input.height, input.width],
                    stride: [1; 2],
                    dilation: [1; 2],
                    before: [0; 2],
                    after: [0; 2],
                    ceil: false,
                };
                let pooling = Pooling::Average { count_padding: false };
                self.pool(step, input, output, &window, pooling);
            }
        }
    }

    /// Writes the zeros around the pictures of a value.
    fn clear_halo(&self, value: ValueId) {
        let Halo { before, after } = self.plan.values[value].halo;
        let view = self.layout.views[value].with_border(before[0], before[1]);
        let left = before[1] * view.pixel;
        let right = after[1] * view.pixel;
        let clear = |start: usize, floats: usize| {
            // Safety: the value's own place, which reaches from its border to its border.
            unsafe { std::slice::from_raw_parts_mut(self.arena.pointer().add(start), floats) }
                .fill(0.0);
        };
        clear(view.at(0, 0), before[0] * view.row);
        for y in 0..view.height {
            let row = view.at(before[0] + y, 0);
            clear(row, left);
            clear(row + view.row - right, right);
        }
        clear(view.at(before[0] + view.height, 0), after[0] * view.row);
    }

    /// Runs a task for every row of the output.
    fn rows(&self, output: View, task: impl Fn(usize) + Send + Sync) {
        self.parallel(output.height, task);
    }

    fn pixelwise<'o>(
        &self,
        step: &Step,
        source: Arena,
        input: View,
        output: View,
        operation: impl Fn() -> PixelOperation<'o> + Send + Sync,
    ) {
        self.rows(output, |y| {
            let task = PixelRow {
                arena: self.arena.pointer(),
                source: source.pointer(),
                input,
                output,
                operation: operation(),
                epilogue: step.epilogue,
                y,
            };
            // Safety: both rows lie in the layout, or in the caller's input; a task a row.
            unsafe { pixelwise(self.plan.isa, &task) }
        });
    }

    fn pool(&self, step: &Step, input: View, output: View, window: &Window, pooling: Pooling) {
        self.rows(output, |y| {
            let task = PoolRow {
                arena: self.arena.pointer(),
                input,
                output,
                window,
                pooling,
                epilogue: step.epilogue,
                y,
            };
            // Safety: the kernel stays within both pictures; a task a row.
            unsafe { pool(self.plan.isa, &task) }
        });
    }

    fn convolution(&self, step: &Step, convolution: &Dense<'_>, input: View, output: View) {
        let &Dense { weights, runs, inputs, window } = convolution;
        let input = input.with_border(window.before[0], window.before[1]);
        let residual = step.other.map(|value| self.layout.views[value]);
        let pixels = output.height * output.width;

        let wanted = if self.threads == 1 { 1 } else { self.threads * TASKS_PER_THREAD };
        let reads = inputs * window.stride[0] * window.stride[1];
        let block = (TASK_FLOATS / reads)
            .min(pixels.div_ceil(wanted))
            .clamp(1, MOST_PIXELS)
            .next_multiple_of(TILE_PIXELS);
        let blocks = pixels.div_ceil(block);
        // Few pixels: tasks also divide the output channels.
        let shares = wanted.div_ceil(blocks).min(weights.panels());
        let panels = weights.panels().div_ceil(shares);

        self.parallel(blocks * shares, |task| {
            let (block_at, share) = (task / shares, task % shares);
            let first = block_at * block;
            let count = block.min(pixels - first);
            let mut offsets = [PixelOffsets::default(); MOST_PIXELS];
            for (pixel, offsets) in (first..first + count).zip(&mut offsets) {
                let (y, x) = (pixel / output.width, pixel % output.width);
                *offsets = PixelOffsets {
                    input: input.at(y * window.stride[0], x * window.stride[1]),
                    output: output.at(y, x),
                    residual: residual.map_or(0, |residual| residual.at(y, x)),
                };
            }
            let task = ConvolutionBlock {
                arena: self.arena.pointer(),
                pixels: &offsets[..count],
                runs,
                weights,
                panels: (share * panels).min(weights.panels())
                    ..((share + 1) * panels).min(weights.panels()),
                residual: residual.is_some(),
                epilogue: step.epilogue,
            };
            // Safety: the layout has room for the windows, halo included; no two tasks share a
            // pixel's panel.
            unsafe { convolve(self.plan.isa, &task) }
        });
    }

    fn winograd(
        &self,
        step: &Step,
        convolution: &Winograd<'_>,
        scratch: usize,
        input: View,
        output: View,
    ) {
        let &Winograd { weights, bias, inputs, window } = convolution;
        let tiles = Tiles::new(window, [output.height, output.width]);
        let all = tiles.count();
        let view = input.with_border(window.before[0], window.before[1]);
        let rows = window.before[0] + input.height + window.after[0];
        let columns = window.before[1] + input.width + window.after[1];
        let outputs = bias.len();
        for first in (0..all).step_by(WINOGRAD_TILES) {
            let count = WINOGRAD_TILES.min(all - first);
            let (to_multiply, product) = (scratch, scratch + PLACES * count * inputs);
            let transform_tile = |tile: usize, start: usize, channels: usize, side: Side<'_>| {
                let task = TileTask {
                    arena: self.arena.pointer(),
                    tiles: &tiles,
                    tile: first + tile,
                    scratch: start + tile * channels,
                    place: count * channels,
                    side,
                };
                // Safety: the layout has room for halo and scratch; a task a tile.
                unsafe { transform(self.plan.isa, &task) }
            };
            self.parallel(count, |tile| {
                transform_tile(tile, to_multiply, inputs, Side::Input { view, rows, columns });
            });
            self.parallel(PLACES, |place| {
                let mut offsets = [PixelOffsets::default(); WINOGRAD_TILES];
                for (tile, offsets) in offsets[..count].iter_mut().enumerate() {
                    let at = place * count + tile;
                    offsets.input = to_multiply + at * inputs;
                    offsets.output = product + at * outputs;
                }
                let task = ConvolutionBlock {
                    arena: self.arena.pointer(),
                    pixels: &offsets[..count],
                    runs: &[Run { offset: 0, length: inputs }],
                    weights: &weights[place],
                    panels: 0..weights[place].panels(),
                    residual: false,
                    epilogue: Epilogue::NONE,
                };
                // Safety: both parts of the scratch are this step's own; a task a place.
                unsafe { convolve(self.plan.isa, &task) }
            });
            self.parallel(count, |tile| {
                let residual = step.other.map(|value| self.layout.views[value]);
                let epilogue = step.epilogue;
                let side = Side::Output { view: output, bias, residual, epilogue };
                transform_tile(tile, product, outputs, side);
            });
        }
    }

    fn parallel(&self, tasks: usize, task: impl Fn(usize) + Send + Sync) {
        if self.threads == 1 || tasks == 1 {
            (0..tasks).for_each(task);
        } else {
            let least = tasks.div_ceil(self.threads * TASKS_PER_THREAD);
            (0..tasks).into_par_iter().with_min_len(least).for_each(task);
        }
    }
}
