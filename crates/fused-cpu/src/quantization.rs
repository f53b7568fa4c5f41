//! Eight bits for the inputs and weights of convolutions.
//!
//! Values between the ends of a range stand for 0 to 255, weights of an output channel for -127 to 127 times a factor
//! of its own. Products are summed exactly, so results are the same on every instruction set. What a convolution
//! yields is a float again.

use std::{fmt, str::FromStr};

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
    pub(crate) fn scale(self) -> InputScale {
        let (min, max) = (self.min.min(0.0), self.max.max(0.0));
        // A range without values has no steps, but anything must be divided by them.
        let step = ((max - min) / 255.0).max(f32::MIN_POSITIVE);
        InputScale { step, zero: (-min / step).round_ties_even() as u8 }
    }
}

/// Finds the ranges of values that the convolutions of a network read, by running it on examples.
#[derive(Debug)]
pub struct Calibration {
    /// Yields what every convolution reads.
    plan: Plan,
    workspace: Workspace,
    ranges: Vec<ValueRange>,
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
        let ranges = vec![ValueRange { min: 0.0, max: 0.0 }; inputs.len()];
        Ok(Self { plan: Plan::from_graph(observed)?, workspace: Workspace::new(), ranges })
    }

    /// Runs the network on images of shape `[images, height, width, channels]`.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn observe(&mut self, input: &[f32], shape: [usize; 4]) -> Result<(), RunError> {
        self.plan.run(&mut self.workspace, input, shape)?;
        for (at, range) in self.ranges.iter_mut().enumerate() {
            for value in self.workspace.output(at).0 {
                range.min = range.min.min(*value);
                range.max = range.max.max(*value);
            }
        }
        Ok(())
    }

    /// What [`Graph::quantize`] takes.
    pub fn ranges(&self) -> InputRanges {
        InputRanges(self.ranges.clone())
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
