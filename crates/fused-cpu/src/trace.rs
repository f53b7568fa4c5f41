//! From a Burn module to a [`Graph`], through Burn's operation capture.
//!
//! Tensors are `[batch, channels, height, width]` in the module and stay so in name; the plan holds
//! them with the channels innermost. What Burn records as several operations (a norm, a mean over
//! two axes) passes through the unfinished forms of [`Traced`].

use std::collections::HashMap;

use burn::{
    backend::{
        capture::{CaptureBackend, CapturedGraph, TensorId},
        ir::{
            ActivationOperationIr, BaseOperationIr, BinaryOpIr, Conv2dOpIr, FloatOperationIr,
            ModuleOperationIr, NumericOperationIr, OperationIr, ReduceDimOpIr, ScalarIr, ShapeOpIr,
            TensorIr,
        },
    },
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use crate::{
    CompileError,
    graph::{Convolution, Graph, Operation, ValueId},
    kernel::{Epilogue, Window, pooling::Pooling},
};

/// Tensors that a network returns: one, a tuple of two, or a vector.
pub trait Outputs {
    /// The tensors' numbers in the recording.
    ///
    /// # Errors
    /// If a tensor was not made from the network's input.
    fn ids(self) -> Result<Vec<TensorId>, CompileError>;
}

impl<const D: usize> Outputs for Tensor<D> {
    fn ids(self) -> Result<Vec<TensorId>, CompileError> {
        let primitive =
            self.try_into_primitive::<CaptureBackend>().map_err(|_| CompileError::Output)?;
        Ok(vec![primitive.id()])
    }
}

impl<A: Outputs, B: Outputs> Outputs for (A, B) {
    fn ids(self) -> Result<Vec<TensorId>, CompileError> {
        Ok([self.0.ids()?, self.1.ids()?].concat())
    }
}

impl<T: Outputs> Outputs for Vec<T> {
    fn ids(self) -> Result<Vec<TensorId>, CompileError> {
        Ok(self.into_iter().map(T::ids).collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// Records what `forward` does with an input of the shape of `example`.
pub(crate) fn trace<M: Module, O: Outputs>(
    module: &M,
    example: [usize; 4],
    forward: impl FnOnce(&M, Tensor<4>) -> O,
) -> Result<Graph, CompileError> {
    // A device of its own, so that traces on several threads do not meet.
    let device = Device::capture();
    let mut boundary = Err(CompileError::Output);
    let captured = device
        .capture_scope(|scope| {
            let module = module.clone().to_device(&device);
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
    translate(&captured, input, &outputs, example[1])
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
    Constant(Vec<f32>),
    /// The means along one of the axes 2 and 3.
    MeansAlong(usize, ValueId),
    Squares(ValueId),
    /// Sums of squares over the channels and what is added to them.
    SquareSums(ValueId, f32),
    /// The square roots of those.
    Norms(ValueId, f32),
}

fn translate(
    captured: &CapturedGraph,
    input: TensorId,
    outputs: &[TensorId],
    channels: usize,
) -> Result<Graph, CompileError> {
    let graph = Graph { layers: Vec::new(), channels: vec![channels], outputs: Vec::new() };
    let traced = HashMap::from([(input, Traced::Map(0))]);
    let mut translation = Translation { captured, graph, traced };
    for operation in &captured.graph.operations {
        translation.operation(operation)?;
    }
    let Translation { mut graph, traced, .. } = translation;
    graph.outputs = outputs
        .iter()
        .map(|id| match traced.get(id) {
            Some(Traced::Map(value) | Traced::ChannelsLast(value) | Traced::Row(value)) => {
                Ok(*value)
            }
            _ => Err(CompileError::Output),
        })
        .collect::<Result<_, _>>()?;
    Ok(graph)
}

struct Translation<'a> {
    captured: &'a CapturedGraph,
    graph: Graph,
    traced: HashMap<TensorId, Traced>,
}

type Translated = Result<Traced, CompileError>;

fn unsupported(what: impl std::fmt::Debug) -> CompileError {
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
        Ok(Traced::Constant(values))
    }

    fn constant(&self, tensor: &TensorIr) -> Result<Vec<f32>, CompileError> {
        match self.get(tensor)? {
            Traced::Constant(values) => Ok(values),
            _ => Err(CompileError::Unsupported("weights that depend on the input".to_owned())),
        }
    }

    fn map(&self, tensor: &TensorIr) -> Result<ValueId, CompileError> {
        match self.get(tensor)? {
            Traced::Map(value) => Ok(value),
            other => Err(unsupported(other)),
        }
    }

    /// Adds a layer that keeps the kind of its first input, a map or a row.
    fn like(&mut self, traced: &Traced, operation: Operation, more: &[ValueId]) -> Translated {
        self.with_epilogue(traced, operation, more, Epilogue::NONE)
    }

    fn with_epilogue(
        &mut self,
        traced: &Traced,
        operation: Operation,
        more: &[ValueId],
        epilogue: Epilogue,
    ) -> Translated {
        let (Traced::Map(value) | Traced::Row(value)) = traced else {
            return Err(unsupported(traced));
        };
        let channels = self.graph.channels[*value];
        let inputs = [&[*value], more].concat();
        let output = self.graph.push(operation, inputs, channels, epilogue);
        Ok(match traced {
            Traced::Map(_) => Traced::Map(output),
            _ => Traced::Row(output),
        })
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
                let none = Epilogue::NONE;
                let traced = match (rows, maps) {
                    (Some(rows), _) if cat.out.shape.num_dims() == 3 => {
                        let channels = self.graph.channels[rows[0]];
                        let concat = Operation::ConcatPixels;
                        Traced::Row(self.graph.push(concat, rows, channels, none))
                    }
                    (_, Some(maps)) => {
                        let channels = maps.iter().map(|map| self.graph.channels[*map]).sum();
                        let concat = Operation::ConcatChannels;
                        Traced::Map(self.graph.push(concat, maps, channels, none))
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
            (Traced::Constant(values), _) => Ok(Traced::Constant(values)),
            // A single pixel, whatever the size of the input: only a global mean makes one.
            (Traced::Map(value), [_, channels])
                if self.is_pixel(value) && *channels == self.graph.channels[value] =>
            {
                Ok(Traced::Row(value))
            }
            (Traced::ChannelsLast(value), [_, _, channels])
                if self.graph.channels[value].is_multiple_of(*channels) =>
            {
                let operation = Operation::Flatten;
                let none = Epilogue::NONE;
                Ok(Traced::Row(self.graph.push(operation, vec![value], *channels, none)))
            }
            (same, _) if from == to => Ok(same),
            _ => Err(unsupported(reshape)),
        }
    }

    /// Whether a value is one pixel a picture at every size of the input.
    fn is_pixel(&self, value: ValueId) -> bool {
        self.graph.layers.iter().find(|layer| layer.output == value).is_some_and(
            |layer| match layer.operation {
                Operation::GlobalAverage => true,
                Operation::Affine { .. } | Operation::Clamp => self.is_pixel(layer.inputs[0]),
                _ => false,
            },
        )
    }

    fn numeric<'o>(
        &mut self,
        operation: &'o NumericOperationIr,
    ) -> Result<(&'o TensorIr, Traced), CompileError> {
        use NumericOperationIr as N;
        match operation {
            N::Add(o) => Ok((&o.out, self.sum(o)?)),
            N::Sub(o) => {
                let shift = self.constant(&o.rhs)?.iter().map(|value| -value).collect::<Vec<_>>();
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.affine(&lhs, &[1.0], &shift)?))
            }
            N::Mul(o) => Ok((&o.out, self.product(o)?)),
            N::Div(o) => Ok((&o.out, self.quotient(o)?)),
            N::AddScalar(o) => {
                let (lhs, addend) = (self.get(&o.lhs)?, scalar(o.rhs));
                let traced = match lhs {
                    Traced::SquareSums(value, epsilon) => {
                        Traced::SquareSums(value, epsilon + addend)
                    }
                    lhs => self.affine(&lhs, &[1.0], &[addend])?,
                };
                Ok((&o.out, traced))
            }
            N::SubScalar(o) => {
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.affine(&lhs, &[1.0], &[-scalar(o.rhs)])?))
            }
            N::MulScalar(o) => {
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.affine(&lhs, &[scalar(o.rhs)], &[0.0])?))
            }
            N::DivScalar(o) => {
                let lhs = self.get(&o.lhs)?;
                Ok((&o.out, self.affine(&lhs, &[1.0 / scalar(o.rhs)], &[0.0])?))
            }
            N::Clamp(o) => {
                let epilogue = Epilogue { min: scalar(o.min), max: scalar(o.max) };
                let input = self.get(&o.tensor)?;
                Ok((&o.out, self.with_epilogue(&input, Operation::Clamp, &[], epilogue)?))
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
                self.affine(&value, &[1.0], &shift)
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
                self.affine(&value, &scale, &[0.0])
            }
            (Traced::Map(left), Traced::Map(right)) if left == right => Ok(Traced::Squares(left)),
            other => Err(unsupported(other)),
        }
    }

    fn quotient(&mut self, quotient: &BinaryOpIr) -> Translated {
        match (self.get(&quotient.lhs)?, self.get(&quotient.rhs)?) {
            (value, Traced::Constant(divisor)) => {
                let scale: Vec<f32> = divisor.iter().map(|divisor| 1.0 / divisor).collect();
                self.affine(&value, &scale, &[0.0])
            }
            (Traced::Map(value), Traced::Norms(of, epsilon)) if value == of => {
                self.like(&Traced::Map(value), Operation::L2Norm { epsilon }, &[])
            }
            other => Err(unsupported(other)),
        }
    }

    /// A factor and an offset a channel, each given once a channel or once for all.
    fn affine(&mut self, value: &Traced, scale: &[f32], shift: &[f32]) -> Translated {
        let (Traced::Map(id) | Traced::Row(id)) = value else { return Err(unsupported(value)) };
        let channels = self.graph.channels[*id];
        let spread = |values: &[f32]| match values {
            [value] => Ok(vec![*value; channels]),
            values if values.len() == channels => Ok(values.to_vec()),
            values => Err(unsupported(("a constant of values", values.len()))),
        };
        let operation = Operation::Affine { scale: spread(scale)?, shift: spread(shift)? };
        self.like(value, operation, &[])
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

    /// A dense layer, whose weights are `[inputs, outputs]`: a 1 x 1 convolution of a row.
    fn dense(
        &mut self,
        input: &TensorIr,
        weight: &TensorIr,
        bias: Option<&TensorIr>,
    ) -> Translated {
        let Traced::Row(value) = self.get(input)? else { return Err(unsupported(input)) };
        let inputs = self.graph.channels[value];
        let transposed = self.constant(weight)?;
        let outputs = transposed.len() / inputs;
        let weights = (0..outputs * inputs)
            .map(|at| transposed[at % inputs * outputs + at / inputs])
            .collect();
        let bias = match bias {
            Some(bias) => self.constant(bias)?,
            None => vec![0.0; outputs],
        };
        let window = Window {
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            after: [0; 2],
            ceil: false,
        };
        let dense = Convolution { weights, bias, inputs, depthwise: false, window };
        let operation = Operation::Convolution(dense);
        Ok(Traced::Row(self.graph.push(operation, vec![value], outputs, Epilogue::NONE)))
    }

    fn module<'o>(
        &mut self,
        operation: &'o ModuleOperationIr,
    ) -> Result<(&'o TensorIr, Traced), CompileError> {
        match operation {
            ModuleOperationIr::Conv2d(conv) => Ok((&conv.out, self.convolution(conv)?)),
            ModuleOperationIr::Linear(linear) => {
                let dense = self.dense(&linear.x, &linear.weight, linear.bias.as_ref())?;
                Ok((&linear.out, dense))
            }
            ModuleOperationIr::BatchNorm(norm) => {
                let [gamma, beta, mean, variance] =
                    [&norm.gamma, &norm.beta, &norm.mean, &norm.variance]
                        .map(|tensor| self.constant(tensor));
                let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
                let epsilon = scalar(norm.epsilon);
                let deviations = variance.iter().map(|variance| (variance + epsilon).sqrt());
                let scale: Vec<f32> = gamma
                    .iter()
                    .zip(deviations)
                    .map(|(gamma, deviation)| gamma / deviation)
                    .collect();
                let shift: Vec<f32> = (beta.iter().zip(&mean).zip(&scale))
                    .map(|((beta, mean), scale)| beta - mean * scale)
                    .collect();
                let input = self.get(&norm.x)?;
                Ok((&norm.out, self.affine(&input, &scale, &shift)?))
            }
            ModuleOperationIr::MaxPool2d(pool) => {
                let window = Window {
                    kernel: pool.kernel_size,
                    stride: pool.stride,
                    dilation: pool.dilation,
                    before: pool.padding,
                    after: pool.padding,
                    ceil: pool.ceil_mode,
                };
                let input = Traced::Map(self.map(&pool.x)?);
                let operation = Operation::Pool { window, pooling: Pooling::Max };
                Ok((&pool.out, self.like(&input, operation, &[])?))
            }
            ModuleOperationIr::AvgPool2d(pool) => {
                let window = Window {
                    kernel: pool.kernel_size,
                    stride: pool.stride,
                    dilation: [1; 2],
                    before: pool.padding,
                    after: pool.padding,
                    ceil: pool.ceil_mode,
                };
                let pooling = Pooling::Average { count_padding: pool.count_include_pad };
                let input = Traced::Map(self.map(&pool.x)?);
                Ok((&pool.out, self.like(&input, Operation::Pool { window, pooling }, &[])?))
            }
            ModuleOperationIr::AdaptiveAvgPool2d(pool) if pool.output_size == [1; 2] => {
                let input = Traced::Map(self.map(&pool.x)?);
                Ok((&pool.out, self.like(&input, Operation::GlobalAverage, &[])?))
            }
            other => Err(unsupported(other)),
        }
    }

    fn convolution(&mut self, conv: &Conv2dOpIr) -> Translated {
        let input = self.map(&conv.x)?;
        let inputs = self.graph.channels[input];
        let outputs = conv.weight.shape[0];
        let options = &conv.options;
        let depthwise = options.groups > 1;
        if depthwise && (options.groups != inputs || outputs != inputs) {
            return Err(CompileError::Unsupported(format!(
                "a convolution of {inputs} to {outputs} channels in {} groups",
                options.groups
            )));
        }
        let [(top, bottom), (left, right)] = options.padding;
        let window = Window {
            kernel: [conv.weight.shape[2], conv.weight.shape[3]],
            stride: options.stride,
            dilation: options.dilation,
            before: [top, left],
            after: [bottom, right],
            ceil: false,
        };
        let weights = self.constant(&conv.weight)?;
        let bias = match &conv.bias {
            Some(bias) => self.constant(bias)?,
            None => vec![0.0; outputs],
        };
        let convolution = Convolution { weights, bias, inputs, depthwise, window };
        let operation = Operation::Convolution(convolution);
        Ok(Traced::Map(self.graph.push(operation, vec![input], outputs, Epilogue::NONE)))
    }

    fn activation<'o>(
        &mut self,
        operation: &'o ActivationOperationIr,
    ) -> Result<(&'o TensorIr, Traced), CompileError> {
        match operation {
            ActivationOperationIr::Relu(relu) => {
                let epilogue = Epilogue { min: 0.0, max: f32::INFINITY };
                let input = self.get(&relu.input)?;
                Ok((&relu.out, self.with_epilogue(&input, Operation::Clamp, &[], epilogue)?))
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
