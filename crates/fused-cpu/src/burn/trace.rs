//! From a Burn module to a [`Graph`], through Burn's operation capture.
//!
//! Tensors are `[batch, channels, height, width]` in the module and stay so in name; the plan holds
//! them with the channels innermost. What Burn records as several operations (a norm, a mean over
//! two axes) passes through the unfinished forms of [`Traced`].

mod layers;

use std::collections::HashMap;

use burn::{
    backend::{
        capture::{CapturedGraph, TensorId},
        ir::{
            ActivationOperationIr, BaseOperationIr, BinaryOpIr, FloatOperationIr,
            NumericOperationIr, OperationIr, ReduceDimOpIr, ScalarIr, ShapeOpIr, TensorIr,
        },
    },
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use super::{
    Outputs,
    constant::{Constant, parameter_names},
};
use crate::{
    Activation, Clamp, CompileError, Graph, Operation, Parameter, Slot, ValueId,
    ops::{Affine, Flatten, L2Norm},
};

/// Records what `forward` does with an input of the shape of `example`.
pub(super) fn trace<M: Module, O: Outputs>(
    module: &M,
    example: [usize; 4],
    forward: impl FnOnce(&M, Tensor<4>) -> O,
) -> Result<(Graph, Vec<Parameter>), CompileError> {
    // A device of its own, so that traces on several threads do not meet.
    let device = Device::capture();
    let mut boundary = Err(CompileError::Output);
    let mut names = HashMap::new();
    let captured = device
        .capture_scope(|scope| {
            let module = module.clone().to_device(&device);
            names = parameter_names(&module);
            let data = TensorData::zeros::<f32, _>(example);
            let input = Tensor::<4>::from_data(data, &device);
            let outputs = forward(&module, input.clone());
            boundary = input.ids().and_then(|input| Ok((input[0], outputs.ids()?)));
            match &boundary {
                Ok((input, outputs)) => scope.complete([*input], unique(outputs)),
                Err(_) => scope.complete([], []),
            }
        })
        .map_err(CompileError::Capture)?;
    let (input, outputs) = boundary?;
    translate(&captured, names, input, &outputs, example[1])
}

fn unique(ids: &[TensorId]) -> Vec<TensorId> {
    let mut unique = ids.to_vec();
    unique.sort();
    unique.dedup();
    unique
}

/// What a recorded tensor is.
#[derive(Debug, Clone)]
enum Traced {
    /// `[batch, channels, height, width]`.
    Map(ValueId),
    /// `[batch, height, width, channels]`.
    ChannelsLast(ValueId),
    /// `[batch, pixels, channels]`, or `[batch, channels]` of a single pixel.
    Row(ValueId),
    Constant(Constant),
    /// The means along one of the axes 2 and 3.
    MeansAlong(usize, ValueId),
    Squares(ValueId),
    /// Sums of squares over the channels and what is added to them.
    SquareSums(ValueId, f32),
    /// The square roots of those.
    Norms(ValueId, f32),
}

/// What a value is of another, so that their product can be told to be an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Sigmoid,
    HardSigmoid,
}

fn translate(
    captured: &CapturedGraph,
    names: HashMap<TensorId, String>,
    input: TensorId,
    outputs: &[TensorId],
    channels: usize,
) -> Result<(Graph, Vec<Parameter>), CompileError> {
    let graph = Graph::new(channels);
    let traced = HashMap::from([(input, Traced::Map(ValueId::INPUT))]);
    let (gates, parameters) = (HashMap::new(), Vec::new());
    let mut translation = Translation { captured, names, graph, traced, gates, parameters };
    for operation in &captured.graph.operations {
        translation.operation(operation)?;
    }
    let Translation { mut graph, traced, parameters, .. } = translation;
    let outputs: Vec<ValueId> = outputs
        .iter()
        .map(|id| match traced.get(id) {
            Some(Traced::Map(value) | Traced::ChannelsLast(value) | Traced::Row(value)) => {
                Ok(*value)
            }
            _ => Err(CompileError::Output),
        })
        .collect::<Result<_, _>>()?;
    graph.set_outputs(&outputs)?;
    Ok((graph, parameters))
}

struct Translation<'a> {
    captured: &'a CapturedGraph,
    names: HashMap<TensorId, String>,
    graph: Graph,
    traced: HashMap<TensorId, Traced>,
    gates: HashMap<ValueId, (Gate, ValueId)>,
    parameters: Vec<Parameter>,
}

type Translated = Result<Traced, CompileError>;

/// The value of a map or a row.
fn single(traced: &Traced) -> Result<ValueId, CompileError> {
    match traced {
        Traced::Map(value) | Traced::Row(value) => Ok(*value),
        other => Err(unsupported(other)),
    }
}

/// A value seen as a map or a row, as another one is.
fn same_kind(like: &Traced, value: ValueId) -> Traced {
    match like {
        Traced::Map(_) => Traced::Map(value),
        _ => Traced::Row(value),
    }
}

pub(super) fn unsupported(what: impl std::fmt::Debug) -> CompileError {
    let text = format!("{what:?}");
    CompileError::Unsupported(text.chars().take(300).collect())
}

impl Translation<'_> {
    fn operation(&mut self, operation: &OperationIr) -> Result<(), CompileError> {
        let (out, traced) = match operation {
            OperationIr::Init(_) | OperationIr::Drop(_) => return Ok(()),
            OperationIr::BaseFloat(operation) => self.base(operation)?,
            OperationIr::NumericFloat(_, operation) => self.numeric(operation)?,
            OperationIr::Float(_, operation) => self.float(operation)?,
            OperationIr::Module(operation) => self.module(operation)?,
            OperationIr::Activation(operation) => self.activation(operation)?,
            other => return Err(unsupported(other)),
        };
        self.traced.insert(out.id, traced);
        Ok(())
    }

    fn get(&self, tensor: &TensorIr) -> Translated {
        if let Some(traced) = self.traced.get(&tensor.id) {
            return Ok(traced.clone());
        }
        let data = self.captured.values.get(&tensor.id).ok_or(CompileError::Output)?;
        let values = data.try_to_vec_as::<f32>().map_err(unsupported)?;
        let parameter = self.names.get(&tensor.id).cloned();
        Ok(Traced::Constant(Constant { shape: data.shape().to_vec(), values, parameter }))
    }

    fn constant(&self, tensor: &TensorIr) -> Result<Constant, CompileError> {
        match self.get(tensor)? {
            Traced::Constant(constant) => Ok(constant),
            _ => Err(CompileError::Unsupported("weights that depend on the input".to_owned())),
        }
    }

    /// A parameter of one value per channel.
    fn channel_values(
        &self,
        what: &'static str,
        tensor: &TensorIr,
        channels: usize,
    ) -> Result<Vec<f32>, CompileError> {
        let Constant { shape, values, .. } = self.constant(tensor)?;
        if shape != [channels] {
            let (expected, found) = (channels, values.len());
            return Err(CompileError::Weights { what, expected, found });
        }
        Ok(values)
    }

    fn map(&self, tensor: &TensorIr) -> Result<ValueId, CompileError> {
        match self.get(tensor)? {
            Traced::Map(value) => Ok(value),
            other => Err(unsupported(other)),
        }
    }

    /// Adds a layer that keeps the kind of its first input, a map or a row.
    fn like(&mut self, traced: &Traced, operation: Operation, more: &[ValueId]) -> Translated {
        let value = single(traced)?;
        let output = self.graph.add(operation, &[&[value], more].concat())?;
        Ok(same_kind(traced, output))
    }

    fn activate(&mut self, traced: &Traced, activation: Activation) -> Translated {
        let output = self.graph.activate(single(traced)?, activation)?;
        Ok(same_kind(traced, output))
    }

    fn base<'o>(
        &mut self,
        operation: &'o BaseOperationIr,
    ) -> Result<(&'o TensorIr, Traced), CompileError> {
        match operation {
            BaseOperationIr::Reshape(operation) => Ok((&operation.out, self.reshape(operation)?)),
            BaseOperationIr::Permute(permute) if permute.axes == [0, 2, 3, 1] => {
                Ok((&permute.out, Traced::ChannelsLast(self.map(&permute.input)?)))
            }
            BaseOperationIr::Cat(cat) if cat.dim == 1 => {
                let parts: Vec<Traced> =
                    cat.tensors.iter().map(|part| self.get(part)).collect::<Result<_, _>>()?;
                let values = |kind: fn(&Traced) -> Option<ValueId>| {
                    parts.iter().map(kind).collect::<Option<Vec<_>>>()
                };
                let rows = values(|part| match part {
                    Traced::Row(value) => Some(*value),
                    _ => None,
                });
                let maps = values(|part| match part {
                    Traced::Map(value) => Some(*value),
                    _ => None,
                });
                let traced = match (rows, maps) {
                    (Some(rows), _) if cat.out.shape.num_dims() == 3 => {
                        Traced::Row(self.graph.add(Operation::ConcatPixels, &rows)?)
                    }
                    (_, Some(maps)) => {
                        Traced::Map(self.graph.add(Operation::ConcatChannels, &maps)?)
                    }
                    _ => return Err(unsupported(operation)),
                };
                Ok((&cat.out, traced))
            }
            other => Err(unsupported(other)),
        }
    }

    fn reshape(&mut self, reshape: &ShapeOpIr) -> Translated {
        let from: Vec<usize> = reshape.input.shape.iter().copied().collect();
        let to: Vec<usize> = reshape.out.shape.iter().copied().collect();
        match (self.get(&reshape.input)?, to.as_slice()) {
            (Traced::Constant(constant), _) => {
                Ok(Traced::Constant(Constant { shape: to, ..constant }))
            }
            // A single pixel, whatever the size of the input: only a global mean makes one.
            (Traced::Map(value), [_, channels])
                if self.is_pixel(value) && *channels == self.graph.channels(value)? =>
            {
                Ok(Traced::Row(value))
            }
            (Traced::Row(value), [_, 1, channels])
                if self.is_pixel(value) && *channels == self.graph.channels(value)? =>
            {
                Ok(Traced::Row(value))
            }
            (Traced::ChannelsLast(value), &[_, _, channels]) => {
                let flatten = Operation::Flatten(Flatten { channels });
                Ok(Traced::Row(self.graph.add(flatten, &[value])?))
            }
            (same, _) if from == to => Ok(same),
            _ => Err(unsupported(reshape)),
        }
    }

    /// Whether a value is one pixel per image at every size of the input.
    fn is_pixel(&self, value: ValueId) -> bool {
        let producer = self.graph.layers().iter().find(|layer| layer.output == value);
        producer.is_some_and(|layer| match layer.operation {
            Operation::GlobalAverage => true,
            Operation::Affine(_) | Operation::Activate => self.is_pixel(layer.inputs[0]),
            _ => false,
        })
    }

    fn numeric<'o>(
        &mut self,
        operation: &'o NumericOperationIr,
    ) -> Result<(&'o TensorIr, Traced), CompileError> {
        use NumericOperationIr as N;
        match operation {
            N::Add(o) => Ok((&o.out, self.sum(o)?)),
            N::Sub(o) => {
                let shift = self.constant(&o.rhs)?.map(|value| -value);
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.affine(&lhs, Constant::scalar(1.0), shift)?))
            }
            N::Mul(o) => Ok((&o.out, self.product(o)?)),
            N::Div(o) => Ok((&o.out, self.quotient(o)?)),
            N::AddScalar(o) => {
                let (lhs, addend) = (self.get(&o.lhs)?, scalar(o.rhs));
                let traced = match lhs {
                    Traced::SquareSums(value, epsilon) => {
                        Traced::SquareSums(value, epsilon + addend)
                    }
                    lhs => self.scalar_affine(&lhs, 1.0, addend)?,
                };
                Ok((&o.out, traced))
            }
            N::SubScalar(o) => {
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.scalar_affine(&lhs, 1.0, -scalar(o.rhs))?))
            }
            N::MulScalar(o) => {
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.scalar_affine(&lhs, scalar(o.rhs), 0.0)?))
            }
            N::DivScalar(o) => {
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.scalar_affine(&lhs, 1.0 / scalar(o.rhs), 0.0)?))
            }
            N::Clamp(o) => {
                let clamp = Clamp { min: scalar(o.min), max: scalar(o.max) };
                let input = self.get(&o.tensor)?;
                Ok((&o.out, self.activate(&input, Activation::Clamp(clamp))?))
            }
            N::SumDim(o) => match self.get(&o.input)? {
                Traced::Squares(value) if o.axis == 1 => {
                    Ok((&o.out, Traced::SquareSums(value, 0.0)))
                }
                other => Err(unsupported((operation, other))),
            },
            N::MeanDim(o) => Ok((&o.out, self.mean(o)?)),
            other => Err(unsupported(other)),
        }
    }

    fn mean(&mut self, mean: &ReduceDimOpIr) -> Translated {
        match (self.get(&mean.input)?, mean.axis) {
            (Traced::Map(value), axis @ (2 | 3)) => Ok(Traced::MeansAlong(axis, value)),
            (Traced::MeansAlong(first, value), axis @ (2 | 3)) if first != axis => {
                self.like(&Traced::Map(value), Operation::GlobalAverage, &[])
            }
            (other, _) => Err(unsupported(other)),
        }
    }

    fn sum(&mut self, sum: &BinaryOpIr) -> Translated {
        match (self.get(&sum.lhs)?, self.get(&sum.rhs)?) {
            (value, Traced::Constant(shift)) | (Traced::Constant(shift), value) => {
                self.affine(&value, Constant::scalar(1.0), shift)
            }
            (left @ Traced::Map(_), Traced::Map(right))
            | (left @ Traced::Row(_), Traced::Row(right))
                if sum.lhs.shape == sum.rhs.shape =>
            {
                self.like(&left, Operation::Add, &[right])
            }
            other => Err(unsupported(other)),
        }
    }

    fn product(&mut self, product: &BinaryOpIr) -> Translated {
        match (self.get(&product.lhs)?, self.get(&product.rhs)?) {
            (value, Traced::Constant(scale)) | (Traced::Constant(scale), value) => {
                self.affine(&value, scale, Constant::scalar(0.0))
            }
            (Traced::Map(left), Traced::Map(right)) if left == right => Ok(Traced::Squares(left)),
            (left @ Traced::Map(_), right @ Traced::Map(_)) => self.gated(&left, &right),
            other => Err(unsupported(other)),
        }
    }

    /// The product of a value and an activation of it, either way around.
    fn gated(&mut self, left: &Traced, right: &Traced) -> Translated {
        for (value, gate) in [(left, right), (right, left)] {
            let activation = match self.gates.get(&single(gate)?) {
                Some((Gate::Sigmoid, of)) if *of == single(value)? => Activation::Silu,
                Some((Gate::HardSigmoid, of)) if *of == single(value)? => Activation::HardSwish,
                _ => continue,
            };
            return self.activate(value, activation);
        }
        Err(unsupported(("a product of", left, right)))
    }

    fn quotient(&mut self, quotient: &BinaryOpIr) -> Translated {
        match (self.get(&quotient.lhs)?, self.get(&quotient.rhs)?) {
            (value, Traced::Constant(divisor)) => {
                let scale = divisor.map(|divisor| 1.0 / divisor);
                self.affine(&value, scale, Constant::scalar(0.0))
            }
            (Traced::Map(value), Traced::Norms(of, epsilon)) if value == of => {
                self.like(&Traced::Map(value), Operation::L2Norm(L2Norm { epsilon }), &[])
            }
            other => Err(unsupported(other)),
        }
    }

    fn scalar_affine(&mut self, value: &Traced, scale: f32, shift: f32) -> Translated {
        self.affine(value, Constant::scalar(scale), Constant::scalar(shift))
    }

    /// A factor and an offset, each for all channels or one per channel.
    fn affine(&mut self, value: &Traced, scale: Constant, shift: Constant) -> Translated {
        let channels = self.graph.channels(single(value)?)?;
        // Channels are axis 1 of a map, and the last one of a row.
        let axis = |constant: &Constant| match value {
            Traced::Map(_) => 1,
            _ => constant.shape.len().saturating_sub(1),
        };
        let (scale_axis, shift_axis) = (axis(&scale), axis(&shift));
        let names = [(Slot::Scale, &scale), (Slot::Shift, &shift)]
            .map(|(slot, constant)| (slot, constant.parameter.clone()));
        let affine = Affine {
            scale: scale.per_channel(scale_axis, channels)?,
            shift: shift.per_channel(shift_axis, channels)?,
        };
        let traced = self.like(value, Operation::Affine(affine), &[])?;
        self.record(single(&traced)?, names);
        Ok(traced)
    }

    fn float<'o>(
        &mut self,
        operation: &'o FloatOperationIr,
    ) -> Result<(&'o TensorIr, Traced), CompileError> {
        match operation {
            FloatOperationIr::Sqrt(sqrt) => match self.get(&sqrt.input)? {
                Traced::SquareSums(value, epsilon) => {
                    Ok((&sqrt.out, Traced::Norms(value, epsilon)))
                }
                other => Err(unsupported(other)),
            },
            FloatOperationIr::Matmul(matmul) => {
                Ok((&matmul.out, self.dense(&matmul.lhs, &matmul.rhs, None)?))
            }
            other => Err(unsupported(other)),
        }
    }

    fn activation<'o>(
        &mut self,
        operation: &'o ActivationOperationIr,
    ) -> Result<(&'o TensorIr, Traced), CompileError> {
        match operation {
            ActivationOperationIr::Relu(relu) => {
                let input = self.get(&relu.input)?;
                Ok((&relu.out, self.activate(&input, Activation::RELU)?))
            }
            ActivationOperationIr::Sigmoid(sigmoid) => {
                let input = self.get(&sigmoid.input)?;
                let traced = self.activate(&input, Activation::Sigmoid)?;
                self.gates.insert(single(&traced)?, (Gate::Sigmoid, single(&input)?));
                Ok((&sigmoid.out, traced))
            }
            ActivationOperationIr::HardSigmoid(o) => {
                let input = self.get(&o.tensor)?;
                let (alpha, beta) = (scalar(o.alpha), scalar(o.beta));
                let line = self.scalar_affine(&input, alpha, beta)?;
                let clamp = Clamp { min: 0.0, max: 1.0 };
                let traced = self.activate(&line, Activation::Clamp(clamp))?;
                if (alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5 {
                    self.gates.insert(single(&traced)?, (Gate::HardSigmoid, single(&input)?));
                }
                Ok((&o.out, traced))
            }
            ActivationOperationIr::PRelu(o) => {
                let input = self.get(&o.lhs)?;
                let channels = self.graph.channels(single(&input)?)?;
                let slopes = self.constant(&o.rhs)?.per_channel(1, channels)?;
                Ok((&o.out, self.activate(&input, Activation::Prelu(slopes))?))
            }
            ActivationOperationIr::LeakyRelu(o) => {
                let input = self.get(&o.lhs)?;
                let channels = self.graph.channels(single(&input)?)?;
                let slopes = vec![scalar(o.rhs); channels];
                Ok((&o.out, self.activate(&input, Activation::Prelu(slopes))?))
            }
            ActivationOperationIr::Softmax(softmax) => {
                let input = self.get(&softmax.input)?;
                let over_channels = match input {
                    Traced::Map(_) => softmax.axis == 1,
                    _ => softmax.axis + 1 == softmax.input.shape.num_dims(),
                };
                if !over_channels {
                    return Err(unsupported(operation));
                }
                Ok((&softmax.out, self.like(&input, Operation::Softmax, &[])?))
            }
            other => Err(unsupported(other)),
        }
    }
}

fn scalar(scalar: ScalarIr) -> f32 {
    scalar.elem()
}
