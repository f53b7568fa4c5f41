//! Dense and grouped convolution: an implicit matrix product.
//!
//! A tile is some output pixels by some output channels, held in registers. Each output pixel reads
//! *spans* of the input: the floats of one kernel row are neighbours in an NHWC image, so a 3 x 3
//! convolution has three spans per pixel, a 1 x 1 convolution one. Nothing is copied beforehand; the
//! input's halo of zeros stands for the padding. Every output is summed in one order, whatever the
//! tile, so that neither batch nor threads change a result.

use std::{marker::PhantomData, ops::Range, sync::Arc};

use super::{
    Kernel,
    division::Division,
    tile::{Panel, PixelOffsets, TileOutput, Tiled, sweep},
};
use crate::{
    Window,
    activation::Clamp,
    execution::StepRun,
    memory::Floats,
    simd::{dispatch, lanes::Lanes},
    view::{Arena, Source, View},
};

/// Input values that one iteration of the innermost loop multiplies.
const UNROLLED: usize = 4;
/// Rows of weights that are fetched before they are needed.
const AHEAD: usize = 32;

/// A convolution whose outputs each see all inputs of their group.
#[derive(Debug)]
pub(super) struct Dense {
    /// Weights of each group.
    pub(super) groups: Vec<PackedWeights>,
    /// Input channels of a group.
    pub(super) inputs: usize,
    /// Output channels of a group.
    pub(super) outputs: usize,
    pub(super) window: Window,
}

impl Kernel for Dense {
    fn weight_bytes(&self) -> usize {
        self.groups.iter().map(PackedWeights::bytes).sum()
    }

    fn spans(&self, input: &View) -> Vec<Span> {
        let Window { kernel: [rows, columns], dilation, .. } = self.window;
        // Neighbouring pixels are one span where nothing lies between them.
        let joined = dilation[1] == 1 && input.pixel == self.inputs;
        let (columns, length) =
            if joined { (1, columns * self.inputs) } else { (columns, self.inputs) };
        (0..rows)
            .flat_map(|ky| (0..columns).map(move |kx| (ky, kx)))
            .map(|(ky, kx)| Span {
                offset: ky * dilation[0] * input.row + kx * dilation[1] * input.pixel,
                length,
            })
            .collect()
    }

    fn matrices(&mut self) -> Vec<&mut PackedWeights> {
        self.groups.iter_mut().collect()
    }

    fn reads_rows(&self) -> Option<Window> {
        Some(self.window)
    }

    fn run(&self, step: &StepRun<'_>) {
        for (group, weights) in self.groups.iter().enumerate() {
            self.run_group(step, group, weights);
        }
    }
}

impl Dense {
    fn run_group(&self, step: &StepRun<'_>, group: usize, weights: &PackedWeights) {
        let window = &self.window;
        let values: usize = step.spans.iter().map(|span| span.length).sum();
        assert!(values == weights.values, "spans and weights of a convolution differ");
        let of_group = |view: View, channels: usize| View {
            origin: view.origin + group * channels,
            channels,
            ..view
        };
        let input = of_group(
            step.input.with_border(window.padding_begin[0], window.padding_begin[1]),
            self.inputs,
        );
        let output = of_group(step.output, self.outputs);
        let residual = step.other.map(|(source, view)| (source, of_group(view, self.outputs)));
        let pixels = output.height * output.width;
        let reads = self.inputs * window.stride[0] * window.stride[1];
        // Tasks divide what is larger, so that it is read by one of them: the weights by their
        // panels, or the pixels.
        let by_panels = weights.weights.as_slice().len() > pixels * (reads + self.outputs);
        let wanted = step.wanted_tasks(pixels * values * self.outputs);
        let division = Division::new(wanted, pixels, reads, weights.panels(), by_panels);

        step.parallel(division.tasks(), |task| {
            let (pixels, panels) = (division.pixels(task), division.panels(task));
            let row = |y: usize| PixelOffsets {
                input: input.at(y * window.stride[0], 0),
                output: output.at(y, 0),
                residual: residual.map_or(0, |(_, view)| view.at(y, 0)),
            };
            let pixel = PixelOffsets {
                input: window.stride[1] * input.pixel,
                output: output.pixel,
                residual: residual.map_or(0, |(_, view)| view.pixel),
            };
            let pixels = PixelOffsets::list(pixels, output.width, row, pixel);
            let channels = Panel::channels(&weights.panels[panels.clone()]);
            let task = Block {
                arena: step.arena,
                source: step.source,
                pixels: &pixels,
                spans: step.spans,
                weights,
                panels,
                residual: residual.map(|(source, _)| source),
                clamp: step.clamp,
            };
            // Safety: no two tasks share a pixel's panel.
            unsafe {
                convolve(step.isa, &task);
                if step.has_curve() && !channels.is_empty() {
                    for offsets in task.pixels {
                        let (start, length) = (offsets.output + channels.start, channels.len());
                        let channel = group * self.outputs + channels.start;
                        step.finish(step.arena.slice(start, length), channel);
                    }
                }
            }
        });
    }
}

/// Weights and biases, laid out for the tiles.
///
/// Panels of `2 x lanes` output channels (the last one of `lanes`, if that holds the rest), each
/// with one row of weights per input value, in the order of the spans.
#[derive(Debug, Clone)]
pub(crate) struct PackedWeights {
    weights: Weights,
    bias: Vec<f32>,
    panels: Vec<Panel>,
    /// Input values of an output.
    values: usize,
}

/// Where packed weights lie.
#[derive(Debug, Clone)]
enum Weights {
    Own(Vec<f32>),
    /// With all others of a plan.
    Shared {
        memory: Arc<Floats>,
        range: Range<usize>,
    },
}

impl Weights {
    #[inline(always)]
    fn as_slice(&self) -> &[f32] {
        match self {
            Self::Own(weights) => weights,
            Self::Shared { memory, range } => &memory[range.clone()],
        }
    }
}

impl PackedWeights {
    /// Packs the weights `weights[start(input value) + output channel * stride]`.
    pub(super) fn pack(
        lanes: usize,
        values: usize,
        bias: &[f32],
        weights: &[f32],
        start: impl Fn(usize) -> usize,
        stride: usize,
    ) -> Self {
        let channels = bias.len();
        let (panels, floats) = Panel::divide(channels, lanes, values);
        let mut packed = vec![0.0; floats];
        for panel in &panels {
            let rows = packed[panel.weights..].chunks_mut(panel.vectors * lanes);
            for (value, row) in rows.take(values).enumerate() {
                let first = start(value) + panel.channel * stride;
                let from = weights[first..].iter().step_by(stride);
                row.iter_mut().zip(from.take(panel.channels)).for_each(|(to, from)| *to = *from);
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(channels.next_multiple_of(lanes), 0.0);
        Self { weights: Weights::Own(packed), bias, panels, values }
    }

    /// Moves weights into one memory, in their order.
    pub(crate) fn share(mut all: Vec<&mut Self>) {
        let slices: Vec<&[f32]> = all.iter().map(|weights| weights.weights.as_slice()).collect();
        // Where there is no such memory, they stay where they are.
        let Some(memory) = Floats::joined(&slices).map(Arc::new) else { return };
        let mut start = 0;
        for weights in &mut all {
            let range = start..start + weights.weights.as_slice().len();
            start = range.end;
            weights.weights = Weights::Shared { memory: Arc::clone(&memory), range };
        }
    }

    /// Number of panels, which tasks divide between them.
    pub(super) fn panels(&self) -> usize {
        self.panels.len()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        4 * (self.weights.as_slice().len() + self.bias.len())
    }
}

/// Floats of the input that an output pixel reads one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// From the pixel's first input float.
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// Some output pixels and panels of a convolution.
pub(super) struct Block<'a> {
    pub(super) arena: Arena,
    /// Where the input lies.
    pub(super) source: Source,
    pub(super) pixels: &'a [PixelOffsets],
    pub(super) spans: &'a [Span],
    pub(super) weights: &'a PackedWeights,
    pub(super) panels: Range<usize>,
    /// Where the residual lies, if one is to be added.
    pub(super) residual: Option<Source>,
    pub(super) clamp: Clamp,
}

impl Block<'_> {
    /// Floats from a pixel's first input float to the end of its last span.
    #[inline(always)]
    fn reach(&self) -> usize {
        self.spans.last().map_or(0, |span| span.offset + span.length)
    }
}

dispatch! {
    /// Computes a block.
    ///
    /// # Safety
    /// The processor must have the instruction set that the weights were packed for, and the spans
    /// as many values as these have rows. No other thread may write what is read or touch what is
    /// written.
    pub(super) unsafe fn convolve(block: &Block<'_>) = convolve_block
}

#[inline(always)]
unsafe fn convolve_block<V: Lanes>(block: &Block<'_>) {
    let panels = &block.weights.panels[block.panels.clone()];
    unsafe { sweep(&FloatTiles::<V>(block, PhantomData), panels, block.pixels) }
}

/// A block whose tiles are made in vectors of floats.
struct FloatTiles<'a, V>(&'a Block<'a>, PhantomData<V>);

impl<V: Lanes> Tiled for FloatTiles<'_, V> {
    const REGISTERS: usize = V::REGISTERS;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "constant bounds, to be unrolled")]
    unsafe fn tile<const VECTORS: usize, const PIXELS: usize>(
        &self,
        panel: &Panel,
        pixels: &[PixelOffsets],
    ) {
        let Self(block, _) = self;
        let last = pixels.len() - 1;
        unsafe {
            let inputs: [*const f32; PIXELS] =
                std::array::from_fn(|i| block.source.at(pixels[i.min(last)].input, block.reach()));
            let bias = block.weights.bias.as_ptr().add(panel.channel);
            let mut sums = [[V::splat(0.0); VECTORS]; PIXELS];
            for pixel in 0..PIXELS {
                for vector in 0..VECTORS {
                    sums[pixel][vector] = V::load(bias.add(vector * V::COUNT));
                }
            }

            // From a row of weights to the next panel's.
            let next = block.weights.values * VECTORS * V::COUNT;
            let mut weights = block.weights.weights.as_slice().as_ptr().add(panel.weights);
            for span in block.spans {
                let mut from: [*const f32; PIXELS] =
                    std::array::from_fn(|i| inputs[i].add(span.offset));
                for _ in 0..span.length / UNROLLED {
                    sums = accumulate::<V, VECTORS, PIXELS, UNROLLED>(sums, &from, weights, next);
                    from = from.map(|from| from.add(UNROLLED));
                    weights = weights.add(UNROLLED * VECTORS * V::COUNT);
                }
                for _ in 0..span.length % UNROLLED {
                    sums = accumulate::<V, VECTORS, PIXELS, 1>(sums, &from, weights, next);
                    from = from.map(|from| from.add(1));
                    weights = weights.add(VECTORS * V::COUNT);
                }
            }

            let Block { arena, residual, clamp, .. } = block;
            let output = TileOutput { arena: *arena, panel, pixels, residual: *residual, clamp };
            output.store(sums);
        }
    }
}

/// Adds the products of the next `VALUES` input values of every pixel with their weights; the next
/// panel's are so many floats on.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as in `Tiled::tile`")]
unsafe fn accumulate<V: Lanes, const VECTORS: usize, const PIXELS: usize, const VALUES: usize>(
    mut sums: [[V; VECTORS]; PIXELS],
    from: &[*const f32; PIXELS],
    weights: *const f32,
    next: usize,
) -> [[V; VECTORS]; PIXELS] {
    for value in 0..VALUES {
        unsafe {
            let weights = weights.add(value * VECTORS * V::COUNT);
            let row: [V; VECTORS] =
                std::array::from_fn(|vector| V::load(weights.add(vector * V::COUNT)));
            for vector in 0..VECTORS {
                // Once a panel lies in the first cache, the way from memory is free for the next one.
                V::prefetch_second_level(weights.wrapping_add(next + vector * V::COUNT));
                V::prefetch(weights.wrapping_add(AHEAD * VECTORS * V::COUNT + vector * V::COUNT));
            }
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
