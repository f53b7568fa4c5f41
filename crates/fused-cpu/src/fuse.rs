//! Fusing a graph: fewer operations, the same results.

use crate::{
    Activation, Operation,
    graph::{Graph, Layer, ValueId},
    ops::Affine,
};

impl Graph {
    /// Folds factors and offsets into convolutions, additions into their sums, activations into
    /// whatever they follow, and drops what nobody reads.
    pub fn fuse(&mut self) {
        self.drop_unused();
        let mut at = 0;
        while at < self.layers.len() {
            // A layer that was fused leaves its place to the next one.
            if !self.fuse_layer(at) {
                at += 1;
            }
        }
    }

    fn drop_unused(&mut self) {
        for at in (0..self.layers.len()).rev() {
            if self.uses(self.layers[at].output) == 0 {
                self.layers.remove(at);
            }
        }
    }

    /// How often layers and outputs read a value.
    fn uses(&self, value: ValueId) -> usize {
        let layers = self.layers.iter().flat_map(Layer::reads);
        layers.chain(self.outputs.iter().copied()).filter(|used| *used == value).count()
    }

    /// The layer that makes `value`, if nothing but one consumer sees it and it has no activation.
    fn fusible(&self, value: ValueId) -> Option<usize> {
        let producer = self.producer(value)?;
        let plain = self.layers[producer].activation == Activation::NONE;
        (plain && self.uses(value) == 1).then_some(producer)
    }

    /// Fuses the layer at `at` with the one that makes its input; whether it is gone.
    fn fuse_layer(&mut self, at: usize) -> bool {
        let layer = &self.layers[at];
        let producer = layer.inputs.first().and_then(|input| self.fusible(*input));
        match (&layer.operation, producer) {
            (Operation::Activate, Some(producer)) => {
                self.absorb(at, producer);
                true
            }
            (Operation::Affine(affine), Some(producer)) => {
                let affine = affine.clone();
                if !self.can_scale(producer) {
                    return false;
                }
                self.scale(producer, &affine);
                self.absorb(at, producer);
                true
            }
            (Operation::Add, _) => self.fuse_sum(at),
            _ => false,
        }
    }

    /// Lets the layer `producer` make what the layer `at` made, which goes.
    fn absorb(&mut self, at: usize, producer: usize) {
        let Layer { output, activation, .. } = self.layers.remove(at);
        self.layers[producer].output = output;
        self.layers[producer].activation = activation;
    }

    /// Whether a factor and an offset per channel can move into a layer.
    fn can_scale(&self, at: usize) -> bool {
        let layer = &self.layers[at];
        match layer.operation {
            Operation::Affine(_) => true,
            Operation::Convolution(_) => layer.residual.is_none_or(|residual| {
                self.fusible(residual).is_some_and(|residual| self.can_scale(residual))
            }),
            _ => false,
        }
    }

    fn scale(&mut self, at: usize, by: &Affine) {
        let residual = self.layers[at].residual;
        match &mut self.layers[at].operation {
            Operation::Affine(own) => own.then(by),
            Operation::Convolution(convolution) => convolution.scale(by),
            _ => {}
        }
        if let Some(residual) = residual.and_then(|residual| self.fusible(residual)) {
            // The offset was added once already.
            let shift = vec![0.0; by.shift.len()];
            self.scale(residual, &Affine { scale: by.scale.clone(), shift });
        }
    }

    /// Moves the later of two convolutions that are added to the place of the sum, with the other
    /// summand as its residual.
    fn fuse_sum(&mut self, at: usize) -> bool {
        let &[left, right] = self.layers[at].inputs.as_slice() else { return false };
        let candidate = |value| {
            let producer = self.fusible(value)?;
            let layer = &self.layers[producer];
            let adds = matches!(&layer.operation, Operation::Convolution(c) if c.adds_residual());
            (adds && layer.residual.is_none()).then_some(producer)
        };
        let (producer, residual) = match (candidate(left), candidate(right)) {
            (Some(a), Some(b)) if a > b => (a, right),
            (_, Some(b)) => (b, left),
            (Some(a), None) => (a, right),
            (None, None) => return false,
        };
        let sum = self.layers[at].clone();
        let mut convolution = self.layers.remove(producer);
        convolution.residual = Some(residual);
        convolution.output = sum.output;
        convolution.activation = sum.activation;
        // Everything behind the convolution moved up by one.
        self.layers[at - 1] = convolution;
        true
    }
}
