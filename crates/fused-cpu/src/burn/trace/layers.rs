//! Layers with weights, norms, pools and resizing.

use burn::backend::ir::{Conv2dOpIr, InterpolateModeIr, ModuleOperationIr, TensorIr};

use super::{Traced, Translated, Translation, scalar, unsupported};
use crate::{
    CompileError, Operation, Parameter, Slot, ValueId, Window,
    burn::constant::Constant,
    ops::{Affine, Convolution, Pool, Pooling, Upsample},
};

impl Translation<'_> {
    /// A dense layer, whose weights are `[inputs, outputs]`: a 1 x 1 convolution of a row.
    pub(super) fn dense(
        &mut self,
        input: &TensorIr,
        weight: &TensorIr,
        bias: Option<&TensorIr>,
    ) -> Translated {
        let Traced::Row(value) = self.get(input)? else { return Err(unsupported(input)) };
        let inputs = self.graph.channels(value)?;
        let Constant { shape, values: transposed, .. } = self.constant(weight)?;
        // A product with a row `[batch, inputs]` may have a leading axis of one.
        let &[ref leading @ .., rows, outputs] = shape.as_slice() else {
            return Err(unsupported(("dense weights of shape", shape)));
        };
        if rows != inputs || leading.iter().any(|side| *side != 1) {
            return Err(CompileError::Weights {
                what: "weights of a dense layer",
                expected: inputs * outputs,
                found: transposed.len(),
            });
        }
        let weights = (0..outputs * inputs)
            .map(|at| transposed[at % inputs * outputs + at / inputs])
            .collect();
        let bias = match bias {
            Some(bias) => self.channel_values("bias of a dense layer", bias, outputs)?,
            None => vec![0.0; outputs],
        };
        let dense = Convolution { weights, bias, inputs, groups: 1, window: Window::POINT };
        Ok(Traced::Row(self.graph.add(Operation::Convolution(dense), &[value])?))
    }

    pub(super) fn module<'o>(
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
                let input = self.map(&norm.x)?;
                let channels = self.graph.channels(input)?;
                let values = |what, tensor| self.channel_values(what, tensor, channels);
                let gamma = values("gamma of a batch norm", &norm.gamma)?;
                let beta = values("beta of a batch norm", &norm.beta)?;
                let mean = values("mean of a batch norm", &norm.mean)?;
                let variance = values("variance of a batch norm", &norm.variance)?;
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
                let affine = Operation::Affine(Affine { scale, shift });
                Ok((&norm.out, self.like(&Traced::Map(input), affine, &[])?))
            }
            ModuleOperationIr::MaxPool2d(pool) => {
                let window = Window {
                    kernel: pool.kernel_size,
                    stride: pool.stride,
                    dilation: pool.dilation,
                    padding_begin: pool.padding,
                    padding_end: pool.padding,
                    ceil: pool.ceil_mode,
                };
                let input = Traced::Map(self.map(&pool.x)?);
                let operation = Operation::Pool(Pool { window, pooling: Pooling::Max });
                Ok((&pool.out, self.like(&input, operation, &[])?))
            }
            ModuleOperationIr::AvgPool2d(pool) => {
                let window = Window {
                    kernel: pool.kernel_size,
                    stride: pool.stride,
                    dilation: [1; 2],
                    padding_begin: pool.padding,
                    padding_end: pool.padding,
                    ceil: pool.ceil_mode,
                };
                let pooling = Pooling::Average { count_padding: pool.count_include_pad };
                let input = Traced::Map(self.map(&pool.x)?);
                let operation = Operation::Pool(Pool { window, pooling });
                Ok((&pool.out, self.like(&input, operation, &[])?))
            }
            ModuleOperationIr::AdaptiveAvgPool2d(pool) if pool.output_size == [1; 2] => {
                let input = Traced::Map(self.map(&pool.x)?);
                Ok((&pool.out, self.like(&input, Operation::GlobalAverage, &[])?))
            }
            ModuleOperationIr::Interpolate(o) if o.options.mode == InterpolateModeIr::Nearest => {
                // The recorded size stands for a factor, which must be whole to fit every size.
                let factor = |axis: usize| {
                    let (from, to) = (o.x.shape[2 + axis], o.output_size[axis]);
                    to.is_multiple_of(from).then(|| to / from)
                };
                let (Some(down), Some(right)) = (factor(0), factor(1)) else {
                    return Err(unsupported(o));
                };
                let input = Traced::Map(self.map(&o.x)?);
                let upsample = Operation::Upsample(Upsample { factors: [down, right] });
                Ok((&o.out, self.like(&input, upsample, &[])?))
            }
            other => Err(unsupported(other)),
        }
    }

    pub(super) fn convolution(&mut self, conv: &Conv2dOpIr) -> Translated {
        let input = self.map(&conv.x)?;
        let inputs = self.graph.channels(input)?;
        let options = &conv.options;
        let Constant { shape, values: weights, parameter } = self.constant(&conv.weight)?;
        let &[outputs, each, height, width] = shape.as_slice() else {
            return Err(unsupported(("weights of shape", shape)));
        };
        if each.checked_mul(options.groups) != Some(inputs) {
            return Err(CompileError::Channels { operation: "a convolution", found: vec![inputs] });
        }
        let [(top, bottom), (left, right)] = options.padding;
        let window = Window {
            kernel: [height, width],
            stride: options.stride,
            dilation: options.dilation,
            padding_begin: [top, left],
            padding_end: [bottom, right],
            ceil: false,
        };
        let bias = match &conv.bias {
            Some(bias) => self.channel_values("bias of a convolution", bias, outputs)?,
            None => vec![0.0; outputs],
        };
        let bias_parameter = conv.bias.as_ref().and_then(|bias| self.names.get(&bias.id)).cloned();
        let convolution = Convolution { weights, bias, inputs, groups: options.groups, window };
        let output = self.graph.add(Operation::Convolution(convolution), &[input])?;
        self.record(output, [(Slot::Weights, parameter), (Slot::Bias, bias_parameter)]);
        Ok(Traced::Map(output))
    }

    /// Notes which parameters of the module the layer holds that makes `output`.
    pub(super) fn record(&mut self, output: ValueId, slots: [(Slot, Option<String>); 2]) {
        for (slot, name) in slots {
            self.parameters.extend(name.map(|name| Parameter { name, layer: output, slot }));
        }
    }
}
