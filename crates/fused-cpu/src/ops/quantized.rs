//! Dense convolution in eight bits.
//!
//! As [`super::dense`]: tiles of output pixels by output channels, whose sums stay in registers. A task first turns
//! the part of the input that it reads into integers, in memory of its thread; so the input is a float everywhere
//! else, and such a convolution can be part of a chain.

use std::{cell::RefCell, marker::PhantomData, ops::Range};

use super::{
    Convolution, Kernel, Span,
    division::Division,
    tile::{Panel, PixelOffsets, TileOutput, Tiled, sweep},
};
use crate::{
    Window,
    activation::Clamp,
    execution::StepRun,
    quantization::{InputScale, ValueRange},
    simd::{
        lanes::Lanes,
        words::{InputValue, WordIsa, WordLayout, Words, dispatch_words},
    },
    view::{Arena, Source, View},
};

/// Words that one iteration of the innermost loop multiplies.
const UNROLLED: usize = 2;
/// A multiplication of floats takes as long as so many of bytes.
const SPEED: usize = 2;
/// Tasks per thread.
const TASKS_PER_THREAD: usize = 2;
/// Channels of the images that networks begin with.
const IMAGE_CHANNELS: usize = 3;

thread_local! {
    /// What a task reads, as integers.
    static INTEGERS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// A convolution with weights of eight bits.
#[derive(Debug)]
pub(crate) struct QuantizedDense {
    isa: WordIsa,
    weights: QuantizedWeights,
    input: InputScale,
    inputs: usize,
    window: Window,
}

/// Weights as integers, laid out as [`super::PackedWeights`], with several of them in a word.
#[derive(Debug)]
struct QuantizedWeights {
    words: Vec<i32>,
    /// Sums begin here, so that the integer of 0 counts for nothing.
    starts: Vec<i32>,
    /// What a sum of 1 stands for.
    steps: Vec<f32>,
    bias: Vec<f32>,
    panels: Vec<Panel>,
    /// Words of an output.
    length: usize,
}

impl QuantizedDense {
    pub(crate) fn pack(convolution: &Convolution, range: ValueRange, isa: crate::Isa) -> Self {
        let Convolution { weights, bias, inputs, window, .. } = convolution;
        let (isa, input) = (WordIsa::of(isa), range.scale());
        let WordLayout { lanes, values, offset } = isa.layout();
        let taps = window.kernel[0] * window.kernel[1];
        // Every pixel begins with a word of its own.
        let words = inputs.div_ceil(values);
        let length = taps * words;
        let (panels, floats) = Panel::divide(bias.len(), lanes, length);
        let mut packed = QuantizedWeights {
            words: vec![0; floats],
            starts: vec![0; bias.len().next_multiple_of(lanes)],
            steps: vec![0.0; bias.len().next_multiple_of(lanes)],
            bias: bias.clone(),
            panels,
            length,
        };
        packed.bias.resize(packed.steps.len(), 0.0);
        let bits = 32 / values;
        for panel in &packed.panels {
            let row = panel.vectors * lanes;
            for lane in 0..panel.channels {
                let channel = panel.channel + lane;
                let weights = &weights[channel * taps * inputs..(channel + 1) * taps * inputs];
                let most = weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs()));
                let step = (most / 127.0).max(f32::MIN_POSITIVE);
                let (mut sum, factor) = (0, step.recip());
                for (of, taps) in weights.chunks_exact(taps).enumerate() {
                    let (first, shift) =
                        (panel.weights + of / values * row + lane, of % values * bits);
                    for (tap, weight) in taps.iter().enumerate() {
                        let weight = (weight * factor).round_ties_even() as i32;
                        sum += weight;
                        let part = (weight as u32 & (u32::MAX >> (32 - bits))) << shift;
                        packed.words[first + tap * words * row] |= part.cast_signed();
                    }
                }
                packed.starts[channel] = -sum * (i32::from(input.zero) - offset);
                packed.steps[channel] = step * input.step;
            }
        }
        Self { isa, weights: packed, input, inputs: *inputs, window: *window }
    }
}

impl Kernel for QuantizedDense {
    fn weight_bytes(&self) -> usize {
        let QuantizedWeights { words, starts, steps, bias, .. } = &self.weights;
        4 * (words.len() + starts.len() + steps.len() + bias.len())
    }

    fn spans(&self, _input: &View) -> Vec<Span> {
        Vec::new()
    }

    fn reads_rows(&self) -> Option<Window> {
        Some(self.window)
    }

    fn run(&self, step: &StepRun<'_>) {
        let Self { weights, window, .. } = self;
        assert!(step.input.channels == self.inputs && weights.bias.len() >= step.output.channels);
        let output = step.output;
        let work = output.floats() * self.inputs * window.kernel[0] * window.kernel[1] / SPEED;
        let reads = self.inputs * window.stride[0] * window.stride[1];
        let pixels = output.height * output.width;
        let by_panels = weights.words.len() > pixels * (reads + output.channels);
        // Tasks that share pixels all turn them into integers, and those that share rows these.
        let most = step.threads() * if by_panels { 1 } else { TASKS_PER_THREAD };
        let wanted = step.wanted_tasks(work).min(most);
        let division = Division::new(wanted, pixels, reads, weights.panels.len(), by_panels);
        step.parallel(division.tasks(), |task| {
            let (pixels, panels) = (division.pixels(task), division.panels(task));
            if panels.is_empty() {
                return;
            }
            INTEGERS.with_borrow_mut(|integers| self.task(step, pixels, panels, integers));
        });
    }
}

impl QuantizedDense {
    /// Some pixels and panels.
    fn task(
        &self,
        step: &StepRun<'_>,
        pixels: Range<usize>,
        panels: Range<usize>,
        integers: &mut Vec<u32>,
    ) {
        let values = self.isa.layout().values;
        let words = self.inputs.div_ceil(values);
        let region = Region::new(&self.window, step.input, step.output.width, &pixels);
        let length = region.rows.len() * region.columns.len() * words;
        if integers.len() < length {
            integers.resize(length, 0);
        }
        let integers = &mut integers[..length];
        let (source, input) = (step.source, self.input);
        let mut quantize = Quantize { source, region: &region, input, words, integers };
        // Safety: the processor has what `WordIsa::of` found, and no other thread writes the input.
        unsafe { quantize_region(self.isa, &mut quantize) };

        let Window { kernel, stride, dilation, .. } = self.window;
        let row = region.columns.len() * words;
        // Neighbouring pixels are one span.
        let (columns, span) =
            if dilation[1] == 1 { (1, kernel[1] * words) } else { (kernel[1], words) };
        let spans: Vec<Span> = (0..kernel[0] * columns)
            .map(|at| Span {
                offset: at / columns * dilation[0] * row + at % columns * dilation[1] * words,
                length: span,
            })
            .collect();
        let (width, columns) = (step.output.width, region.columns.start * words);
        let first = |y: usize| PixelOffsets {
            input: match region.flat {
                true => y * width * words,
                false => (y * stride[0] - region.rows.start) * row,
            }
            .wrapping_sub(columns),
            output: step.output.at(y, 0),
            residual: step.other.map_or(0, |(_, view)| view.at(y, 0)),
        };
        let pixel = PixelOffsets {
            input: stride[1] * words,
            output: step.output.pixel,
            residual: step.other.map_or(0, |(_, view)| view.pixel),
        };
        let pixels = PixelOffsets::list(pixels, width, first, pixel);
        let block = Block {
            arena: step.arena,
            integers,
            pixels: &pixels,
            spans: &spans,
            weights: &self.weights,
            panels: panels.clone(),
            residual: step.other.map(|(source, _)| source),
            clamp: step.clamp,
        };
        // Safety: as above, and no two tasks share a pixel's panel.
        unsafe {
            convolve(self.isa, &block);
            if step.has_curve() {
                let channels = Panel::channels(&self.weights.panels[panels]);
                for offsets in block.pixels {
                    let start = offsets.output + channels.start;
                    step.finish(step.arena.slice(start, channels.len()), channels.start);
                }
            }
        }
    }
}

/// The input pixels that some output pixels read.
struct Region {
    /// The input from the first pixel that a window can begin at.
    view: View,
    rows: Range<usize>,
    columns: Range<usize>,
    /// All pixels are seen as one row.
    flat: bool,
}

impl Region {
    fn new(window: &Window, input: View, width: usize, pixels: &Range<usize>) -> Self {
        let view = input.with_border(window.padding_begin[0], window.padding_begin[1]);
        if *window == Window::POINT && input.row == input.width * input.pixel {
            return Self { view, rows: 0..1, columns: pixels.clone(), flat: true };
        }
        let (first, last) = (pixels.start, pixels.end - 1);
        let read = |axis: usize, first: usize, last: usize| {
            let extent = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
            first * window.stride[axis]..last * window.stride[axis] + extent
        };
        let (top, bottom) = (first / width, last / width);
        let columns = if top == bottom { first % width..last % width } else { 0..width - 1 };
        let columns = read(1, columns.start, columns.end);
        Self { view, rows: read(0, top, bottom), columns, flat: false }
    }
}

/// A region to be turned into integers, each pixel from a word of its own on.
struct Quantize<'a> {
    source: Source,
    region: &'a Region,
    input: InputScale,
    /// Words of a pixel.
    words: usize,
    integers: &'a mut [u32],
}

dispatch_words! {
    /// Turns the floats of a region into integers.
    ///
    /// # Safety
    /// The processor must have the instruction set, and no other thread may write the region.
    unsafe fn quantize_region(task: &mut Quantize<'_>) = quantize
}

#[inline(always)]
unsafe fn quantize<W: Words>(task: &mut Quantize<'_>) {
    let Quantize { source, region, input, words, integers } = task;
    let values = size_of::<u32>() / size_of::<W::Value>();
    let (view, columns) = (&region.view, &region.columns);
    let (channels, side_by_side) = (view.channels, view.pixel == view.channels);
    for (row, to) in region.rows.clone().zip(integers.chunks_exact_mut(columns.len() * *words)) {
        // Safety: the source is checked for all floats, and the words have room for as many values.
        unsafe {
            let fills_words = *words * values == channels;
            if side_by_side && (fills_words || channels == IMAGE_CHANNELS) {
                let count = columns.len() * channels;
                let from = source.at(view.at(row, columns.start), count);
                let to = to.as_mut_ptr().cast::<W::Value>();
                integers_of(from, to, count, *input);
                if !fills_words {
                    spread(to, columns.len(), *words * values);
                }
                continue;
            }
            for (column, to) in columns.clone().zip(to.chunks_exact_mut(*words)) {
                let from = source.at(view.at(row, column), channels);
                integers_of(from, to.as_mut_ptr().cast::<W::Value>(), channels, *input);
            }
        }
    }
}

/// Moves pixels of [`IMAGE_CHANNELS`] values that lie side by side apart, `width` values from one to the
/// next.
///
/// # Safety
/// There must be room for them.
#[inline(always)]
unsafe fn spread<V: InputValue>(values: *mut V, pixels: usize, width: usize) {
    // The last one first, so that none is overwritten before it has moved.
    for pixel in (0..pixels).rev() {
        // Safety: the caller's duty.
        unsafe {
            let from = values.add(pixel * IMAGE_CHANNELS).cast::<[V; IMAGE_CHANNELS]>();
            let to = values.add(pixel * width).cast::<[V; IMAGE_CHANNELS]>();
            to.write_unaligned(from.read_unaligned());
        }
    }
}

/// The nearest integers; a plain loop, which the compiler turns into vectors.
///
/// # Safety
/// There must be so many floats, and room for as many values.
#[inline(always)]
unsafe fn integers_of<V: InputValue>(
    from: *const f32,
    to: *mut V,
    count: usize,
    input: InputScale,
) {
    /// Added, it leaves an integer in the lowest bits.
    const ROUND: f32 = 8_388_608.0;
    let (factor, zero) = (input.step.recip(), f32::from(input.zero));
    // Safety: the caller's duty.
    let (from, to) = unsafe {
        (std::slice::from_raw_parts(from, count), std::slice::from_raw_parts_mut(to, count))
    };
    for (to, from) in to.iter_mut().zip(from) {
        let value = from * factor + zero;
        let value = if value > 0.0 { value } else { 0.0 };
        let value = if value < 255.0 { value } else { 255.0 };
        *to = V::from_bits((value + ROUND).to_bits());
    }
}

/// Some output pixels and panels.
struct Block<'a> {
    arena: Arena,
    integers: &'a [u32],
    pixels: &'a [PixelOffsets],
    spans: &'a [Span],
    weights: &'a QuantizedWeights,
    panels: Range<usize>,
    /// Where the residual lies, if one is to be added.
    residual: Option<Source>,
    clamp: Clamp,
}

dispatch_words! {
    /// Computes a block.
    ///
    /// # Safety
    /// The processor must have the instruction set that the weights were packed for. No other thread may write the
    /// residual or touch what is written.
    unsafe fn convolve(block: &Block<'_>) = convolve_block
}

#[inline(always)]
unsafe fn convolve_block<W: Words>(block: &Block<'_>) {
    let length: usize = block.spans.iter().map(|span| span.length).sum();
    assert!(length == block.weights.length, "spans and weights of a convolution differ");
    let panels = &block.weights.panels[block.panels.clone()];
    unsafe { sweep(&WordTiles::<W>(block, PhantomData), panels, block.pixels) }
}

/// A block whose tiles are made in vectors of words.
struct WordTiles<'a, W>(&'a Block<'a>, PhantomData<W>);

impl<W: Words> Tiled for WordTiles<'_, W> {
    const REGISTERS: usize = W::REGISTERS;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "constant bounds, to be unrolled")]
    unsafe fn tile<const VECTORS: usize, const PIXELS: usize>(
        &self,
        panel: &Panel,
        pixels: &[PixelOffsets],
    ) {
        let Self(block, _) = self;
        let Block { weights, integers, .. } = block;
        let last = pixels.len() - 1;
        let reach = block.spans.last().map_or(0, |span| span.offset + span.length);
        unsafe {
            let inputs: [*const u32; PIXELS] = std::array::from_fn(|i| {
                let start = pixels[i.min(last)].input;
                integers[start..start + reach].as_ptr()
            });
            let mut sums = [[W::splat(0); VECTORS]; PIXELS];
            for vector in 0..VECTORS {
                let start = W::load(weights.starts.as_ptr().add(panel.channel + vector * W::COUNT));
                for pixel in 0..PIXELS {
                    sums[pixel][vector] = start;
                }
            }

            let mut row = weights.words.as_ptr().add(panel.weights);
            for span in block.spans {
                let (mut at, end) = (span.offset, span.offset + span.length);
                while at + UNROLLED <= end {
                    sums = accumulate::<W, VECTORS, PIXELS, UNROLLED>(sums, &inputs, at, row);
                    at += UNROLLED;
                    row = row.add(UNROLLED * VECTORS * W::COUNT);
                }
                while at < end {
                    sums = accumulate::<W, VECTORS, PIXELS, 1>(sums, &inputs, at, row);
                    at += 1;
                    row = row.add(VECTORS * W::COUNT);
                }
            }

            let load = |from: &[f32]| -> [W::Floats; VECTORS] {
                let from = from.as_ptr().add(panel.channel);
                std::array::from_fn(|vector| W::Floats::load(from.add(vector * W::COUNT)))
            };
            let (steps, bias) = (load(&weights.steps), load(&weights.bias));
            // Not fused, so that it is the same on every instruction set.
            let mut values = [[W::Floats::splat(0.0); VECTORS]; PIXELS];
            for pixel in 0..PIXELS {
                for vector in 0..VECTORS {
                    let sum = sums[pixel][vector].to_floats();
                    values[pixel][vector] = sum.mul(steps[vector]).add(bias[vector]);
                }
            }
            let Block { arena, residual, clamp, .. } = block;
            let output = TileOutput { arena: *arena, panel, pixels, residual: *residual, clamp };
            output.store(values);
        }
    }
}

/// Adds the products of every pixel's `WORDS` words from `at` on with their weights.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as in `Tiled::tile`")]
unsafe fn accumulate<W: Words, const VECTORS: usize, const PIXELS: usize, const WORDS: usize>(
    mut sums: [[W; VECTORS]; PIXELS],
    inputs: &[*const u32; PIXELS],
    at: usize,
    weights: *const i32,
) -> [[W; VECTORS]; PIXELS] {
    for word in 0..WORDS {
        unsafe {
            let weights = weights.add(word * VECTORS * W::COUNT);
            let row: [W; VECTORS] =
                std::array::from_fn(|vector| W::load(weights.add(vector * W::COUNT)));
            for pixel in 0..PIXELS {
                let input = W::splat(*inputs[pixel].add(at + word));
                for vector in 0..VECTORS {
                    sums[pixel][vector] = sums[pixel][vector].dot(input, row[vector]);
                }
            }
        }
    }
    sums
}
