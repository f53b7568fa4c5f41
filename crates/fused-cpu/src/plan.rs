//! From a graph to steps with packed weights, and where every value lies.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rayon::prelude::*;

use crate::{
    Activation, CompileError, Graph, Isa, Operation,
    graph::{Layer, ValueId},
    ops::{Halo, Kernel, Packed, PackedWeights, Part, QuantizedDense, SizeRule},
};

/// A frozen network, compiled: runs on images of any size and batches of any length.
///
/// A plan never changes and may be shared between threads; what changes when it runs is in a
/// [`Workspace`](crate::Workspace).
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tells plans apart, so that a workspace knows whose layout it holds.
    pub(crate) number: u64,
    pub(crate) isa: Isa,
    pub(crate) steps: Vec<Step>,
    /// By [`ValueId`]. Those made by copying come last.
    pub(crate) values: Vec<Value>,
    pub(crate) outputs: Vec<ValueId>,
}

/// One kernel over all pixels of a value.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) input: Operand,
    /// What is added: a residual or a summand.
    pub(crate) other: Option<Operand>,
    pub(crate) output: ValueId,
    pub(crate) activation: Activation,
}

/// What a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    /// The plan's input, as the caller holds it.
    Input,
    Value(ValueId),
}

/// Images that a step makes or that others make up.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) channels: usize,
    /// Zeros around the image.
    pub(crate) halo: Halo,
    /// The value that this one lies in, if it has no place of its own.
    pub(crate) inside: Option<Inside>,
    /// Height and width, by those of other values; none for the network's input.
    pub(crate) size: Option<(SizeRule, Vec<ValueId>)>,
}

/// How a value lies in another one.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    pub(crate) parent: ValueId,
    pub(crate) part: Part,
}

impl Plan {
    /// Compiles a graph for this processor's best instruction set.
    ///
    /// # Errors
    /// If the graph yields nothing.
    pub fn from_graph(graph: Graph) -> Result<Self, CompileError> {
        Self::from_graph_for(Isa::best(), graph)
    }

    /// As [`Plan::from_graph`], for an instruction set of choice.
    ///
    /// # Errors
    /// As [`Plan::from_graph`], and if this processor lacks the instruction set.
    pub fn from_graph_for(isa: Isa, mut graph: Graph) -> Result<Self, CompileError> {
        if !isa.is_available() {
            return Err(CompileError::Isa(isa));
        }
        if graph.outputs.is_empty() {
            return Err(CompileError::Output);
        }
        graph.fuse();
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

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Floats from row to row of a value of a width that has a place of its own.
    pub(crate) fn row_floats(&self, value: ValueId, width: usize) -> usize {
        let Value { channels, halo, .. } = self.values[value.index()];
        (halo.begin[1] + width + halo.end[1]) * channels
    }

    /// Bytes of the packed weights.
    pub fn weight_bytes(&self) -> usize {
        self.steps.iter().map(|step| step.kernel.weight_bytes()).sum()
    }
}

struct Builder {
    isa: Isa,
    values: Vec<Value>,
    steps: Vec<Step>,
}

impl Builder {
    /// Knows every value's channels, size, halo and place.
    fn new(isa: Isa, graph: &Graph) -> Self {
        let value = |channels: &usize| Value {
            channels: *channels,
            halo: Halo::NONE,
            inside: None,
            size: None,
        };
        let values = graph.channels.iter().map(value).collect();
        let mut builder = Self { isa, values, steps: Vec::new() };
        for layer in &graph.layers {
            let description = layer.operation.describe();
            builder.values[layer.inputs[0].index()].halo.widen(description.halo());
            builder.values[layer.output.index()].size =
                Some((description.size_rule(), layer.inputs.clone()));
        }
        // Backwards, so that a value's own place is known before its parts'.
        for at in (0..graph.layers.len()).rev() {
            builder.place_parts(graph, at);
        }
        builder
    }

    /// How the inputs of a joining layer lie in its output; none for other layers.
    fn parts(&self, operation: &Operation, inputs: &[ValueId]) -> Vec<Part> {
        let Packed::Join(join) = operation.describe().pack(self.isa) else { return Vec::new() };
        let channels: Vec<usize> =
            inputs.iter().map(|input| self.values[input.index()].channels).collect();
        (0..inputs.len()).map(|at| join.part(inputs, &channels, at)).collect()
    }

    /// Whether a layer reads a value after an activation has replaced the value that it would lie in: its
    /// `parent`, or what that lies in.
    fn is_read_too_late(&self, graph: &Graph, value: ValueId, parent: ValueId) -> bool {
        let reads = |layer: &Layer| layer.reads().any(|read| read == value);
        let last = graph.layers.iter().rposition(reads);
        let mut around = Some(parent);
        while let Some(place) = around {
            let replaced = graph
                .producer(place)
                .filter(|producer| graph.layers[*producer].activation != Activation::NONE);
            if replaced.is_some() && last > replaced {
                return true;
            }
            around = self.values[place.index()].inside.as_ref().map(|inside| inside.parent);
        }
        false
    }

    /// Whether a value that is made by flattening would lie among other channels, as a `part` of its
    /// parent or with this: its floats must follow one another.
    fn is_torn(&self, graph: &Graph, value: ValueId, parent: ValueId, part: &Part) -> bool {
        let producer = graph.producer(value).map(|producer| &graph.layers[producer].operation);
        if !matches!(producer, Some(Operation::Flatten(_))) {
            return false;
        }
        let is_among = |part: &Part| matches!(part, Part::Channels(_));
        let mut around = self.values[parent.index()].inside.as_ref();
        let mut torn = is_among(part);
        while let Some(inside) = around {
            torn |= is_among(&inside.part);
            around = self.values[inside.parent.index()].inside.as_ref();
        }
        torn
    }

    /// Lays the inputs of a joining layer into its output where that is possible.
    fn place_parts(&mut self, graph: &Graph, at: usize) {
        let (layer, outputs) = (&graph.layers[at], &graph.outputs);
        let joins = matches!(
            layer.operation,
            Operation::Flatten(_) | Operation::ConcatPixels | Operation::ConcatChannels
        );
        if !joins {
            return;
        }
        let parent = layer.output;
        for (&value, part) in layer.inputs.iter().zip(self.parts(&layer.operation, &layer.inputs)) {
            // The input is the caller's; an output must be by itself; a value lies in one place;
            // and only images side by side, in a place of their own, can share a halo.
            let parent_is_free = self.values[parent.index()].inside.is_none();
            let shares_halo = matches!(part, Part::Channels(_)) && parent_is_free;
            let Value { halo, ref inside, .. } = self.values[value.index()];
            let free = value != ValueId::INPUT
                && !outputs.contains(&value)
                && inside.is_none()
                && !self.is_read_too_late(graph, value, parent)
                && !self.is_torn(graph, value, parent, &part);
            if free && (shares_halo || halo == Halo::NONE) {
                self.values[value.index()].inside = Some(Inside { parent, part });
                self.values[parent.index()].halo.widen(halo);
            }
        }
    }

    fn build(mut self, graph: Graph) -> Plan {
        // Who reads zeros around the input needs a copy that has them.
        let direct = self.values[0].halo == Halo::NONE;
        if !direct {
            self.copy(Operand::Input, ValueId::INPUT);
        }
        // Packing is most of the work.
        let pack = |layer: &Layer| match (&layer.operation, layer.input_range) {
            (Operation::Convolution(convolution), Some(range)) => {
                Packed::Kernel(Arc::new(QuantizedDense::pack(convolution, range, self.isa)))
            }
            (operation, _) => operation.describe().pack(self.isa),
        };
        let packed: Vec<Packed> = graph.layers.par_iter().map(pack).collect();
        for (layer, packed) in graph.layers.into_iter().zip(packed) {
            self.layer(layer, packed, direct);
        }
        let outputs = graph.outputs.into_iter().map(|value| self.dense(value, direct)).collect();
        let kernels = self.steps.iter_mut().filter_map(|step| Arc::get_mut(&mut step.kernel));
        PackedWeights::share(kernels.flat_map(Kernel::matrices).collect());
        static PLANS: AtomicU64 = AtomicU64::new(1);
        let number = PLANS.fetch_add(1, Ordering::Relaxed);
        Plan { number, isa: self.isa, steps: self.steps, values: self.values, outputs }
    }

    fn copy(&mut self, input: Operand, output: ValueId) {
        if let Packed::Kernel(kernel) = Operation::Activate.describe().pack(self.isa) {
            let activation = Activation::NONE;
            self.steps.push(Step { kernel, input, other: None, output, activation });
        }
    }

    /// A new value of the same images as another.
    fn alike(&mut self, value: ValueId, inside: Option<Inside>) -> ValueId {
        let channels = self.values[value.index()].channels;
        let size = Some((SizeRule::Same, vec![value]));
        self.values.push(Value { channels, halo: Halo::NONE, inside, size });
        ValueId(self.values.len() - 1)
    }

    /// The value itself if its images lie one behind the other without gaps, else a copy.
    fn dense(&mut self, value: ValueId, direct: bool) -> ValueId {
        let Value { halo, ref inside, .. } = self.values[value.index()];
        let input = operand(value, direct);
        if halo == Halo::NONE && inside.is_none() && input != Operand::Input {
            return value;
        }
        let copy = self.alike(value, None);
        self.copy(input, copy);
        copy
    }

    fn layer(&mut self, layer: Layer, packed: Packed, direct: bool) {
        let Layer { operation, inputs, residual, output, activation, .. } = layer;
        match packed {
            Packed::Kernel(kernel) => {
                let other = residual.or(inputs.get(1).copied());
                self.steps.push(Step {
                    kernel,
                    input: operand(inputs[0], direct),
                    other: other.map(|value| operand(value, direct)),
                    output,
                    activation,
                });
            }
            Packed::Join(_) => {
                // Parts that lie elsewhere, or here already at another's place, are copied.
                let parts = self.parts(&operation, &inputs);
                for (at, (&value, part)) in inputs.iter().zip(parts).enumerate() {
                    let first = !inputs[..at].contains(&value);
                    let inside = self.values[value.index()].inside.as_ref();
                    if first && inside.is_some_and(|inside| inside.parent == output) {
                        continue;
                    }
                    let copy = self.alike(value, Some(Inside { parent: output, part }));
                    self.copy(operand(value, direct), copy);
                }
                if activation != Activation::NONE {
                    self.activate_in_place(output, activation);
                }
            }
        }
    }

    /// An activation of a value that no kernel makes as a whole.
    fn activate_in_place(&mut self, value: ValueId, activation: Activation) {
        if let Packed::Kernel(kernel) = Operation::Activate.describe().pack(self.isa) {
            let (input, output) = (Operand::Value(value), value);
            self.steps.push(Step { kernel, input, other: None, output, activation });
        }
    }
}

/// A value as a step reads it; `direct` if the input is read where the caller holds it.
fn operand(value: ValueId, direct: bool) -> Operand {
    if direct && value == ValueId::INPUT { Operand::Input } else { Operand::Value(value) }
}
