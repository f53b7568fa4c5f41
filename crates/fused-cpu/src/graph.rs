//! A network as operations on images: built by hand or traced from Burn, compiled into a plan or
//! written down in another format.

use crate::{Activation, CompileError, Operation, ValueRange};

/// A value of a graph: the images that an operation makes, or the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) usize);

impl ValueId {
    /// The network's input.
    pub const INPUT: Self = Self(0);

    /// The position of the value, counted from 0 for the input. Unique in its graph.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a network computes.
///
/// Every operation is checked when it is added, so that a graph is always consistent.
///
/// ```
/// use fused_cpu::{Activation, Graph, Operation, Plan, ValueId, Window, Workspace, ops};
///
/// let mut graph = Graph::new(3);
/// let convolution = ops::Convolution {
///     weights: vec![0.5; 8 * 3],
///     bias: vec![0.0; 8],
///     inputs: 3,
///     groups: 1,
///     window: Window::POINT,
/// };
/// let output = graph.add(Operation::Convolution(convolution), &[ValueId::INPUT])?;
/// let output = graph.activate(output, Activation::RELU)?;
/// graph.set_outputs(&[output])?;
///
/// let plan = Plan::from_graph(graph)?;
/// let mut workspace = Workspace::new();
/// plan.run(&mut workspace, &[1.0; 2 * 2 * 3], [1, 2, 2, 3])?;
/// assert_eq!(workspace.output(0), (&[1.5; 32][..], [1, 2, 2, 8]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Graph {
    /// In an order in which they can run.
    pub(crate) layers: Vec<Layer>,
    /// Channels of every value.
    pub(crate) channels: Vec<usize>,
    pub(crate) outputs: Vec<ValueId>,
}

/// One operation of a graph.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it does.
    pub operation: Operation,
    /// The values that it reads.
    pub inputs: Vec<ValueId>,
    /// A value added to the result of a convolution before the activation.
    pub residual: Option<ValueId>,
    /// The value that it makes.
    pub output: ValueId,
    /// What is done to the results last.
    pub activation: Activation,
    /// The range of the values that a convolution reads, if it multiplies in eight bits: see
    /// [`Graph::quantize`].
    pub input_range: Option<ValueRange>,
}

/// A parameter of a layer that a training can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What the caller calls it: for a Burn module, the path in it.
    pub name: String,
    /// The value that its layer makes.
    pub layer: ValueId,
    /// Which of the layer's parameters it is.
    pub slot: Slot,
}

/// The parameters of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// [`Convolution::weights`](crate::ops::Convolution::weights).
    Weights,
    /// [`Convolution::bias`](crate::ops::Convolution::bias).
    Bias,
    /// [`Affine::scale`](crate::ops::Affine::scale).
    Scale,
    /// [`Affine::shift`](crate::ops::Affine::shift).
    Shift,
}

impl Graph {
    /// A graph without operations, whose input has so many channels.
    pub fn new(input_channels: usize) -> Self {
        Self { layers: Vec::new(), channels: vec![input_channels], outputs: Vec::new() }
    }

    /// Adds an operation and returns the value it makes.
    ///
    /// # Errors
    /// If an input is unknown, has the wrong number of channels, or weights do not fit.
    pub fn add(
        &mut self,
        operation: Operation,
        inputs: &[ValueId],
    ) -> Result<ValueId, CompileError> {
        self.add_activated(operation, inputs, Activation::NONE)
    }

    /// Adds an activation of a value and returns the result.
    ///
    /// # Errors
    /// If the value is unknown or the activation does not fit its channels.
    pub fn activate(
        &mut self,
        value: ValueId,
        activation: Activation,
    ) -> Result<ValueId, CompileError> {
        self.add_activated(Operation::Activate, &[value], activation)
    }

    fn add_activated(
        &mut self,
        operation: Operation,
        inputs: &[ValueId],
        activation: Activation,
    ) -> Result<ValueId, CompileError> {
        let channels: Vec<usize> =
            inputs.iter().map(|input| self.channels(*input)).collect::<Result<_, _>>()?;
        let made = operation.describe().output_channels(&channels)?;
        activation.check(made)?;
        let (output, inputs) = (ValueId(self.channels.len()), inputs.to_vec());
        self.channels.push(made);
        self.layers.push(Layer {
            operation,
            inputs,
            residual: None,
            output,
            activation,
            input_range: None,
        });
        Ok(output)
    }

    /// Declares what the network yields.
    ///
    /// # Errors
    /// If a value is unknown.
    pub fn set_outputs(&mut self, outputs: &[ValueId]) -> Result<(), CompileError> {
        outputs.iter().try_for_each(|output| self.channels(*output).map(drop))?;
        self.outputs = outputs.to_vec();
        Ok(())
    }

    /// The operations, in an order in which they can run.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What the network yields.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// Channels of a value.
    ///
    /// # Errors
    /// If the graph has no such value.
    pub fn channels(&self, value: ValueId) -> Result<usize, CompileError> {
        self.channels.get(value.0).copied().ok_or(CompileError::UnknownValue(value.0))
    }

    /// The layer that makes a value.
    pub(crate) fn producer(&self, value: ValueId) -> Option<usize> {
        self.layers.iter().position(|layer| layer.output == value)
    }
}

impl Layer {
    /// All values that it reads.
    pub fn reads(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.inputs.iter().copied().chain(self.residual)
    }
}
