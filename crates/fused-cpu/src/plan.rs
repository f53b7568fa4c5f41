//! From a fused graph to steps with packed weights, and where every value lies.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::{module::Module, tensor::Tensor};

use crate::{
    CompileError, Isa,
    graph::{Convolution, Graph, Layer, Operation, ValueId},
    kernel::{Epilogue, Window, convolution::PackedWeights, pooling::Pooling, winograd},
    trace::Outputs,
};

/// A frozen network, compiled: runs on pictures of any size and batches of any length.
///
/// A plan never changes and may be shared between threads; what changes when it runs is in a
/// [`Workspace`](crate::Workspace).
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tells plans apart, so that a workspace knows whose layout it holds.
    pub(crate) number: u64,
    pub(crate) isa: Isa,
    pub(crate) steps: Vec<Step>,
    pub(crate) values: Vec<Value>,
    pub(crate) outputs: Vec<ValueId>,
}

/// One kernel over all pixels of a value.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) kernel: Kernel,
    pub(crate) input: Source,
    /// What is added: a residual or a summand.
    pub(crate) other: Option<ValueId>,
    pub(crate) output: ValueId,
    pub(crate) epilogue: Epilogue,
}

/// What a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The plan's input, as the caller holds it.
    Input,
    Value(ValueId),
}

#[derive(Debug, Clone)]
pub(crate) enum Kernel {
    Convolution {
        weights: PackedWeights,
        inputs: usize,
        window: Window,
    },
    /// A 3 x 3 convolution with weights transformed, a matrix a place.
    Winograd {
        weights: Vec<PackedWeights>,
        bias: Vec<f32>,
        inputs: usize,
        window: Window,
    },
    /// Weights `[kernel height, kernel width, channels]`.
    Depthwise {
        weights: Vec<f32>,
        bias: Vec<f32>,
        window: Window,
    },
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Copy,
    Add,
    Pool {
        window: Window,
        pooling: Pooling,
    },
    GlobalAverage,
    L2Norm {
        epsilon: f32,
    },
    Softmax,
    /// Tells only that the value is made of others, which lie in it.
    Joined(Join),
}

/// How a value is made of others.
#[derive(Debug, Clone)]
pub(crate) enum Join {
    Flatten,
    Pixels(Vec<ValueId>),
    Channels(Vec<ValueId>),
}

/// A batch of pictures that a step makes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Value {
    pub(crate) channels: usize,
    /// Zeros around the picture: above, left, below, right.
    pub(crate) halo: Halo,
    /// The value that this one lies in, if it has no place of its own.
    pub(crate) inside: Option<Inside>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Halo {
    pub(crate) before: [usize; 2],
    pub(crate) after: [usize; 2],
}

impl Halo {
    pub(crate) const NONE: Self = Self { before: [0; 2], after: [0; 2] };

    fn widen(&mut self, other: Self) {
        for axis in 0..2 {
            self.before[axis] = self.before[axis].max(other.before[axis]);
            self.after[axis] = self.after[axis].max(other.after[axis]);
        }
    }
}

/// How a value lies in another one.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    pub(crate) parent: ValueId,
    pub(crate) part: Part,
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// All of it, seen as pictures again.
    Whole,
    /// Behind the pixels of these.
    PixelsAfter(Vec<ValueId>),
    /// Behind so many channels.
    Channels(usize),
}

impl Plan {
    /// Compiles what `forward` does with `module` and an input of shape `[batch, channels, height,
    /// width]`, for this processor's best instruction set.
    ///
    /// `forward` runs once, on an input of shape `example` and on a device that records operations
    /// without executing them: it must not look at values. The plan then runs on any number of
    /// pictures of any size.
    ///
    /// # Errors
    /// If the network does something that a plan cannot, see the [crate's documentation](crate).
    pub fn compile<M: Module, O: Outputs>(
        module: &M,
        example: [usize; 4],
        forward: impl FnOnce(&M, Tensor<4>) -> O,
    ) -> Result<Self, CompileError> {
        Self::compile_for(Isa::best(), module, example, forward)
    }

    /// As [`Plan::compile`], for an instruction set of choice.
    ///
    /// # Errors
    /// As [`Plan::compile`], and if this processor lacks the instruction set.
    pub fn compile_for<M: Module, O: Outputs>(
        isa: Isa,
        module: &M,
        example: [usize; 4],
        forward: impl FnOnce(&M, Tensor<4>) -> O,
    ) -> Result<Self, CompileError> {
        if !isa.is_available() {
            return Err(CompileError::Isa(isa));
        }
        let graph = Graph::trace(module, example, forward)?;
        Ok(Builder::new(isa, &graph).build(graph))
    }

    /// Channels of the input.
    pub fn input_channels(&self) -> usize {
        self.values[0].channels
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes of the packed weights.
    pub fn weight_bytes(&self) -> usize {
        let bytes = |step: &Step| match &step.kernel {
            Kernel::Convolution { weights, .. } => weights.bytes(),
            Kernel::Winograd { weights, bias, .. } => {
                weights.iter().map(PackedWeights::bytes).sum::<usize>() + 4 * bias.len()
            }
            Kernel::Depthwise { weights, bias, .. } => 4 * (weights.len() + bias.len()),
            Kernel::Affine { scale, shift } => 4 * (scale.len() + shift.len()),
            _ => 0,
        };
        self.steps.iter().map(bytes).sum()
    }
}

struct Builder {
    isa: Isa,
    values: Vec<Value>,
    steps: Vec<Step>,
}

impl Builder {
    /// Knows every value's channels, halo and place.
    fn new(isa: Isa, graph: &Graph) -> Self {
        let values = graph
            .channels
            .iter()
            .map(|channels| Value { channels: *channels, ..Value::default() })
            .collect();
        let mut builder = Self { isa, values, steps: Vec::new() };
        for layer in &graph.layers {
            if let Operation::Convolution(Convolution { window, .. }) = &layer.operation {
                let halo = Halo { before: window.before, after: window.after };
                builder.values[layer.inputs[0]].halo.widen(halo);
            }
        }
        // Backwards, so that a value's own place is known before its parts'.
        for layer in graph.layers.iter().rev() {
            builder.place_parts(layer, &graph.outputs);
        }
        builder
    }

    /// How an input of a joining layer lies in its output; `None` for other layers.
    fn part(&self, operation: &Operation, inputs: &[ValueId], at: usize) -> Option<Part> {
        let before = &inputs[..at];
        match operation {
            Operation::Flatten => Some(Part::Whole),
            Operation::ConcatPixels => Some(Part::PixelsAfter(before.to_vec())),
            Operation::ConcatChannels => {
                Some(Part::Channels(before.iter().map(|part| self.values[*part].channels).sum()))
            }
            _ => None,
        }
    }

    /// Lays the inputs of a joining layer into its output where that is possible.
    fn place_parts(&mut self, layer: &Layer, outputs: &[ValueId]) {
        let parent = layer.output;
        for (at, &value) in layer.inputs.iter().enumerate() {
            let Some(part) = self.part(&layer.operation, &layer.inputs, at) else { return };
            // The input is the caller's; an output must be by itself; a value lies in one place;
            // and only pictures side by side, in a place of their own, can share a halo.
            let shares_halo =
                matches!(part, Part::Channels(_)) && self.values[parent].inside.is_none();
            let Value { halo, ref inside, .. } = self.values[value];
            let free = value != 0 && !outputs.contains(&value) && inside.is_none();
            if free && (shares_halo || halo == Halo::NONE) {
                self.values[value].inside = Some(Inside { parent, part });
                self.values[parent].halo.widen(halo);
            }
        }
    }

    fn build(mut self, graph: Graph) -> Plan {
        // A first operation on single pixels reads the caller's input; before any other, it is
        // copied to a place with a halo.
        let uses = graph.layers.iter().filter(|layer| layer.inputs.contains(&0)).count();
        let first = graph.layers.iter().find(|layer| layer.inputs.contains(&0));
        let direct = uses == 1
            && !graph.outputs.contains(&0)
            && first.is_some_and(|layer| {
                matches!(layer.operation, Operation::Affine { .. } | Operation::Clamp)
            });
        if !direct {
            self.copy(Source::Input, 0);
        }
        for layer in graph.layers {
            self.layer(layer, direct);
        }
        let outputs = graph.outputs.into_iter().map(|value| self.dense(value)).collect();
        static PLANS: AtomicU64 = AtomicU64::new(1);
        let number = PLANS.fetch_add(1, Ordering::Relaxed);
        Plan { number, isa: self.isa, steps: self.steps, values: self.values, outputs }
    }

    fn copy(&mut self, input: Source, output: ValueId) {
        let epilogue = Epilogue::NONE;
        self.steps.push(Step { kernel: Kernel::Copy, input, other: None, output, epilogue });
    }

    /// The value itself if its pictures lie one behind the other without gaps, else a copy.
    fn dense(&mut self, value: ValueId) -> ValueId {
        if self.values[value].halo == Halo::NONE && self.values[value].inside.is_none() {
            return value;
        }
        let channels = self.values[value].channels;
        self.values.push(Value { channels, ..Value::default() });
        let copy = self.values.len() - 1;
        self.copy(Source::Value(value), copy);
        copy
    }

    fn layer(&mut self, layer: Layer, direct: bool) {
        let Layer { operation, inputs, output, epilogue } = layer;
        let input = if direct && inputs[0] == 0 { Source::Input } else { Source::Value(inputs[0]) };
        let parts: Vec<Part> =
            (0..inputs.len()).filter_map(|at| self.part(&operation, &inputs, at)).collect();
        let kernel = match operation {
            Operation::Convolution(convolution) => self.convolution(convolution),
            Operation::Affine { scale, shift } => Kernel::Affine { scale, shift },
            Operation::Clamp => Kernel::Copy,
            Operation::Add => Kernel::Add,
            Operation::Pool { window, pooling } => Kernel::Pool { window, pooling },
            Operation::GlobalAverage => Kernel::GlobalAverage,
            Operation::L2Norm { epsilon } => Kernel::L2Norm { epsilon },
            Operation::Softmax => Kernel::Softmax,
            Operation::Flatten => Kernel::Joined(Join::Flatten),
            Operation::ConcatPixels => Kernel::Joined(Join::Pixels(inputs.clone())),
            Operation::ConcatChannels => Kernel::Joined(Join::Channels(inputs.clone())),
        };
        let other = if parts.is_empty() { inputs.get(1).copied() } else { None };
        self.steps.push(Step { kernel, input, other, output, epilogue });

        // Parts that lie elsewhere, or here already at another's place, are copied.
        for (at, (&value, part)) in inputs.iter().zip(parts).enumerate() {
            let first = !inputs[..at].contains(&value);
            let inside = self.values[value].inside.as_ref();
            if first && inside.is_some_and(|inside| inside.parent == output) {
                continue;
            }
            let channels = self.values[value].channels;
            let inside = Some(Inside { parent: output, part });
            self.values.push(Value { channels, inside, ..Value::default() });
            self.copy(Source::Value(value), self.values.len() - 1);
        }
    }

    fn convolution(&self, convolution: Convolution) -> Kernel {
        let Convolution { weights, bias, inputs, depthwise, window } = convolution;
        let taps = window.kernel[0] * window.kernel[1];
        if depthwise {
            let channels = bias.len();
            let weights = (0..taps * channels)
                .map(|at| weights[at % channels * taps + at / channels])
                .collect();
            return Kernel::Depthwise { weights, bias, window };
        }
        if pays_as_winograd(inputs, bias.len(), &window) {
            return self.winograd(&weights, bias, inputs, window);
        }
        let values = taps * inputs;
        // Values run over the channels of a tap first, as the picture's floats do.
        let start = |value: usize| value % inputs * taps + value / inputs;
        let lanes = self.isa.lanes();
        let packed = PackedWeights::pack(lanes, values, &bias, &weights, start, values);
        Kernel::Convolution { weights: packed, inputs, window }
    }

    fn winograd(&self, weights: &[f32], bias: Vec<f32>, inputs: usize, window: Window) -> Kernel {
        let mut places = vec![Vec::new(); winograd::PLACES];
        for weights in weights.as_chunks::<9>().0 {
            for (place, value) in places.iter_mut().zip(winograd::transform_weights(weights)) {
                place.push(value);
            }
        }
        let (lanes, no_bias) = (self.isa.lanes(), vec![0.0; bias.len()]);
        let weights = places
            .iter()
            .map(|place| PackedWeights::pack(lanes, inputs, &no_bias, place, |input| input, inputs))
            .collect();
        Kernel::Winograd { weights, bias, inputs, window }
    }
}

/// Whether a convolution goes Winograd's way: a square one of enough channels that the transforms
/// cost little beside the multiplications they save. Fewer than 32 were not tried.
fn pays_as_winograd(inputs: usize, outputs: usize, window: &Window) -> bool {
    window.kernel == [3; 2] && window.stride == [1; 2] && inputs >= 32 && outputs >= 32
}
