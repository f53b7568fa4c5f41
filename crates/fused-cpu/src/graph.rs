//! A network as layers on pictures, before and after they are fused.

use burn::{module::Module, tensor::Tensor};

use crate::{
    CompileError, Outputs,
    kernel::{Epilogue, Window, pooling::Pooling},
    trace::trace,
};

/// Number of a value: a batch of pictures that a layer makes.
pub type ValueId = usize;

/// What a network computes: for those who compile it, and for those who write it down in another
/// format.
#[derive(Debug, Clone)]
pub struct Graph {
    /// In an order in which they can run.
    pub layers: Vec<Layer>,
    /// Channels of every value. The network's input is value 0.
    pub channels: Vec<usize>,
    /// The values that the network yields.
    pub outputs: Vec<ValueId>,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it does.
    pub operation: Operation,
    /// The values that it reads.
    pub inputs: Vec<ValueId>,
    /// The value that it makes.
    pub output: ValueId,
    /// What is done with the results at last.
    pub epilogue: Epilogue,
}

/// What a layer does. All but the convolutions treat channels alike or one by one.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Of the first input; a second one is added to the result before the epilogue.
    Convolution(Convolution),
    /// A factor and an offset a channel.
    Affine {
        /// The factors.
        scale: Vec<f32>,
        /// The offsets.
        shift: Vec<f32>,
    },
    /// Nothing but the epilogue.
    Clamp,
    /// The sum of two values.
    Add,
    /// The largest or mean value of a window.
    Pool {
        /// The window.
        window: Window,
        /// What is kept of it.
        pooling: Pooling,
    },
    /// The mean of all pixels.
    GlobalAverage,
    /// Division by the L2 norm over the channels.
    L2Norm {
        /// Added to the sum of squares.
        epsilon: f32,
    },
    /// Over the channels.
    Softmax,
    /// The same floats, channels innermost, as one row of pixels of other channels.
    Flatten,
    /// Rows of pixels behind one another.
    ConcatPixels,
    /// Pixels of several pictures side by side.
    ConcatChannels,
}

/// A convolution with its weights.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// `[output channels, input channels / groups, kernel height, kernel width]`.
    pub weights: Vec<f32>,
    /// `[output channels]`.
    pub bias: Vec<f32>,
    /// Input channels.
    pub inputs: usize,
    /// Whether every channel is convolved by itself; else each output sees all inputs.
    pub depthwise: bool,
    /// How the kernel moves.
    pub window: Window,
}

impl Graph {
    /// Records what `forward` does with an input of shape `example`, `[batch, channels, height,
    /// width]`, and fuses what can be fused.
    ///
    /// # Errors
    /// If the network does something that the [crate's documentation](crate) does not name.
    pub fn trace<M: Module, O: Outputs>(
        module: &M,
        example: [usize; 4],
        forward: impl FnOnce(&M, Tensor<4>) -> O,
    ) -> Result<Self, CompileError> {
        let mut graph = trace(module, example, forward)?;
        graph.fuse();
        Ok(graph)
    }

    /// Adds a layer and returns its output.
    pub(crate) fn push(
        &mut self,
        operation: Operation,
        inputs: Vec<ValueId>,
        channels: usize,
        epilogue: Epilogue,
    ) -> ValueId {
        let output = self.channels.len();
        self.channels.push(channels);
        self.layers.push(Layer { operation, inputs, output, epilogue });
        output
    }

    /// How often layers and outputs read a value.
    fn uses(&self, value: ValueId) -> usize {
        let layers = self.layers.iter().flat_map(|layer| &layer.inputs);
        layers.chain(&self.outputs).filter(|used| **used == value).count()
    }

    /// The layer that makes `value`, if nothing but one consumer sees it and no epilogue stands
    /// between.
    fn fusible(&self, value: ValueId) -> Option<usize> {
        let producer = self.layers.iter().position(|layer| layer.output == value)?;
        let plain = self.layers[producer].epilogue == Epilogue::NONE;
        (plain && self.uses(value) == 1).then_some(producer)
    }

    /// Folds factors and offsets into convolutions, additions into their sums, and activations
    /// into whatever they follow.
    fn fuse(&mut self) {
        let mut at = 0;
        while at < self.layers.len() {
            // A layer that was fused leaves its place to the next one.
            if !self.fuse_layer(at) {
                at += 1;
            }
        }
    }

    /// Fuses the layer at `at` with the one that makes its input; whether it is gone.
    fn fuse_layer(&mut self, at: usize) -> bool {
        let layer = &self.layers[at];
        let producer = layer.inputs.first().and_then(|input| self.fusible(*input));
        match (&layer.operation, producer) {
            (Operation::Clamp, Some(producer)) => {
                self.absorb(at, producer);
                true
            }
            (Operation::Affine { scale, shift }, Some(producer)) => {
                let (scale, shift) = (scale.clone(), shift.clone());
                if !self.can_scale(producer) {
                    return false;
                }
                self.scale(producer, &scale, &shift);
                self.absorb(at, producer);
                true
            }
            (Operation::Add, _) => self.fuse_sum(at),
            _ => false,
        }
    }

    /// Lets the layer `producer` make what the layer `at` made, which goes.
    fn absorb(&mut self, at: usize, producer: usize) {
        let Layer { output, epilogue, .. } = self.layers.remove(at);
        self.layers[producer].output = output;
        self.layers[producer].epilogue = epilogue;
    }

    /// Whether a factor and an offset a channel can move into a layer.
    fn can_scale(&self, at: usize) -> bool {
        let layer = &self.layers[at];
        match layer.operation {
            Operation::Affine { .. } => true,
            Operation::Convolution(_) => layer.inputs.get(1).is_none_or(|residual| {
                self.fusible(*residual).is_some_and(|residual| self.can_scale(residual))
            }),
            _ => false,
        }
    }

    fn scale(&mut self, at: usize, scale: &[f32], shift: &[f32]) {
        let residual = self.layers[at].inputs.get(1).copied();
        match &mut self.layers[at].operation {
            Operation::Affine { scale: own, shift: offsets } => {
                for channel in 0..scale.len() {
                    own[channel] *= scale[channel];
                    offsets[channel] = offsets[channel] * scale[channel] + shift[channel];
                }
            }
            Operation::Convolution(convolution) => {
                let per_channel = convolution.weights.len() / convolution.bias.len();
                for (channel, weights) in convolution.weights.chunks_mut(per_channel).enumerate() {
                    weights.iter_mut().for_each(|weight| *weight *= scale[channel]);
                    let bias = &mut convolution.bias[channel];
                    *bias = *bias * scale[channel] + shift[channel];
                }
            }
            _ => {}
        }
        if let Some(residual) = residual.and_then(|residual| self.fusible(residual)) {
            self.scale(residual, scale, &vec![0.0; scale.len()]);
        }
    }

    /// Moves the later of two convolutions that are added to the place of the sum, with the other
    /// summand as its residual.
    fn fuse_sum(&mut self, at: usize) -> bool {
        let &[left, right] = self.layers[at].inputs.as_slice() else { return false };
        let candidate = |value| {
            let producer = self.fusible(value)?;
            let layer = &self.layers[producer];
            let dense = matches!(&layer.operation, Operation::Convolution(c) if !c.depthwise);
            (dense && layer.inputs.len() == 1).then_some(producer)
        };
        let (producer, residual) = match (candidate(left), candidate(right)) {
            (Some(a), Some(b)) if a > b => (a, right),
            (_, Some(b)) => (b, left),
            (Some(a), None) => (a, right),
            (None, None) => return false,
        };
        let sum = self.layers[at].clone();
        let mut convolution = self.layers.remove(producer);
        convolution.inputs.push(residual);
        convolution.output = sum.output;
        convolution.epilogue = sum.epilogue;
        // Everything behind the convolution moved up by one.
        self.layers[at - 1] = convolution;
        true
    }
}
