//! Eight bits for the inputs and weights of convolutions.
//!
//! Values between the ends of a range stand for 0 to 255, weights of an output channel for -127 to 127 times a factor
//! of its own. Products are summed exactly, so results are the same on every instruction set. What a convolution
//! yields is a float again.

use std::{fmt, str::FromStr};

use rayon::prelude::*;

use crate::{CompileError, Graph, Operation, Plan, RunError, ValueId, Workspace, ops::Convolution};

/// The values that a convolution reads; those beyond are taken for the nearest end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueRange {
    /// The smallest value; above 0 is as 0.
    pub min: f32,
    /// The largest value; below 0 is as 0.
    pub max: f32,
}

/// The ranges of a network: one for each convolution that can multiply in eight bits, in the order of
/// [`Graph::layers`] after [`Graph::fuse`]. As a text, `min:max,min:max` and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRanges(Vec<ValueRange>);

/// A text that holds no ranges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no ranges of values: `{0}`")]
pub struct ParseRangesError(String);

impl InputRanges {
    /// Ranges in the order of their convolutions.
    pub fn new(ranges: Vec<ValueRange>) -> Self {
        Self(ranges)
    }
}

impl fmt::Display for InputRanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, ValueRange { min, max }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(formatter, "{comma}{min}:{max}")?;
        }
        Ok(())
    }
}

impl FromStr for InputRanges {
    type Err = ParseRangesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let range = |text: &str| {
            let (min, max) = text.split_once(':')?;
            Some(ValueRange { min: min.parse().ok()?, max: max.parse().ok()? })
        };
        let ranges = text.split(',').map(|text| range(text).ok_or(text));
        ranges.collect::<Result<_, _>>().map(Self).map_err(|text| ParseRangesError(text.to_owned()))
    }
}

/// How values of a range become integers from 0 to 255.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputScale {
    /// The difference of two neighbours.
    pub(crate) step: f32,
    /// The integer of 0, which padding needs exactly.
    pub(crate) zero: u8,
}

impl ValueRange {
    /// The difference of two neighbouring integers.
    pub fn step(self) -> f32 {
        self.scale().step
    }

    /// The integer of 0.
    pub fn zero(self) -> u8 {
        self.scale().zero
    }

    pub(crate) fn scale(self) -> InputScale {
        let (min, max) = (self.min.min(0.0), self.max.max(0.0));
        // A range without values has no steps, but anything must be divided by them.
        let step = ((max - min) / 255.0).max(f32::MIN_POSITIVE);
        InputScale { step, zero: (-min / step).round_ties_even() as u8 }
    }
}

/// Finds the ranges of values that the convolutions of a network read, by running it on examples.
///
/// Of rare values far from all others a range holds as many as cost least: it is the one with the smallest mean
/// square of what rounding and the range's ends change.
#[derive(Debug)]
pub struct Calibration {
    /// Yields what every convolution reads.
    plan: Plan,
    workspace: Workspace,
    histograms: Vec<Histogram>,
}

impl Calibration {
    /// Begins with a network, as [`Graph::trace`] or [`Graph::fuse`] left it.
    ///
    /// # Errors
    /// If no convolution can be quantised.
    pub fn new(graph: &Graph) -> Result<Self, CompileError> {
        let inputs: Vec<ValueId> =
            graph.quantizable().map(|at| graph.layers[at].inputs[0]).collect();
        let mut observed = graph.clone();
        observed.set_outputs(&inputs)?;
        let histograms = vec![Histogram::default(); inputs.len()];
        Ok(Self { plan: Plan::from_graph(observed)?, workspace: Workspace::new(), histograms })
    }

    /// Runs the network on images of shape `[images, height, width, channels]`.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn observe(&mut self, input: &[f32], shape: [usize; 4]) -> Result<(), RunError> {
        self.plan.run(&mut self.workspace, input, shape)?;
        let workspace = &self.workspace;
        let histograms = self.histograms.par_iter_mut().enumerate();
        histograms.for_each(|(at, histogram)| histogram.add(workspace.output(at).0));
        Ok(())
    }

    /// What [`Graph::quantize`] takes.
    pub fn ranges(&self) -> InputRanges {
        InputRanges(self.histograms.par_iter().map(Histogram::best_range).collect())
    }
}

/// How often values were seen, from the smallest to the largest.
#[derive(Debug, Clone)]
struct Histogram {
    seen: ValueRange,
    /// Of values from `-BINS / 2 * width` on; the first above 0 is in the middle.
    counts: Vec<u64>,
    /// Values of a bin are less than this apart.
    width: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        let seen = ValueRange { min: 0.0, max: 0.0 };
        Self { seen, counts: vec![0; Self::BINS], width: f32::MIN_POSITIVE * Self::BINS as f32 }
    }
}

impl Histogram {
    const BINS: usize = 1 << 13;
    /// Parts of the whole range that are tried.
    const PARTS: u32 = 100;

    fn add(&mut self, values: &[f32]) {
        let values = || values.iter().copied().filter(|value| value.is_finite());
        let seen = &mut self.seen;
        for value in values() {
            *seen = ValueRange { min: seen.min.min(value), max: seen.max.max(value) };
        }
        let most = seen.max.max(-seen.min);
        while most >= self.width * (Self::BINS / 2) as f32 {
            self.widen();
        }
        let factor = self.width.recip();
        for value in values() {
            let bin = (value * factor).floor() as isize + (Self::BINS / 2) as isize;
            self.counts[bin.clamp(0, Self::BINS as isize - 1) as usize] += 1;
        }
    }

    /// Lets bins hold twice the range.
    fn widen(&mut self) {
        let mut counts = vec![0; Self::BINS];
        for (bin, count) in self.counts.iter().enumerate() {
            counts[Self::BINS / 4 + bin / 2] += count;
        }
        (self.counts, self.width) = (counts, 2.0 * self.width);
    }

    fn best_range(&self) -> ValueRange {
        let part = |part: u32| {
            let part = part as f32 / Self::PARTS as f32;
            ValueRange { min: part * self.seen.min, max: part * self.seen.max }
        };
        let ranges = (1..=Self::PARTS).rev().map(part);
        ranges.min_by(|a, b| self.error(*a).total_cmp(&self.error(*b))).unwrap_or(self.seen)
    }

    /// The sum of the squares by which values change.
    fn error(&self, range: ValueRange) -> f64 {
        let (min, max) = (f64::from(range.min), f64::from(range.max));
        // Rounding changes a value by up to half a step, all changes being as frequent.
        let rounding = ((max - min) / 255.0).powi(2) / 12.0;
        let bins = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        bins.map(|(bin, count)| {
            let middle = bin as f64 + 0.5 - (Self::BINS / 2) as f64;
            let value = middle * f64::from(self.width);
            let beyond = (min - value).max(value - max).max(0.0);
            *count as f64 * (rounding + beyond * beyond)
        })
        .sum()
    }
}

impl Graph {
    /// Lets convolutions of a fused graph multiply in eight bits; see [`Calibration`].
    ///
    /// # Errors
    /// If there is another number of ranges, or one is not finite.
    pub fn quantize(&mut self, ranges: &InputRanges) -> Result<(), CompileError> {
        let InputRanges(ranges) = ranges;
        let layers: Vec<usize> = self.quantizable().collect();
        let finite = ranges.iter().all(|range| range.min.is_finite() && range.max.is_finite());
        if layers.len() != ranges.len() || !finite {
            return Err(CompileError::Ranges { expected: layers.len(), found: ranges.len() });
        }
        for (layer, range) in layers.into_iter().zip(ranges) {
            self.layers[layer].input_range = Some(*range);
        }
        Ok(())
    }

    /// Positions of the layers that can multiply in eight bits.
    fn quantizable(&self) -> impl Iterator<Item = usize> + '_ {
        let can = |operation: &Operation| matches!(operation, Operation::Convolution(convolution) if convolution.is_quantizable());
        (0..self.layers.len()).filter(move |at| can(&self.layers[*at].operation))
    }
}

impl Convolution {
    /// Whether it can multiply in eight bits: a dense one, whose sums fit 32 bits.
    fn is_quantizable(&self) -> bool {
        let most = i32::MAX / (255 * 127);
        self.groups == 1 && self.weights.len() / self.outputs() < most as usize
    }
}
