//! Training: a forward pass that keeps what the gradient needs, and the backward pass.
//!
//! The forward pass is a plan like any other, with more outputs, so it runs as fast as inference.
//! The backward pass goes through the layers of the graph one by one, over the whole batch.
//! Parameters' gradients are made image by image and added in the images' order: the number of
//! threads does not change them.

mod convolution;
mod pointwise;
mod product;

use std::collections::HashMap;

use convolution::ToImage;

use crate::{
    Activation, CompileError, Graph, Operation, Parameter, Plan, RunError, Slot, ValueId,
    Workspace, graph::Layer, layout::apply,
};

/// The shape of a value of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Images {
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl Images {
    /// Floats of one image.
    fn each(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn floats(&self) -> usize {
        self.count * self.each()
    }

    fn shape(&self) -> [usize; 4] {
        [self.count, self.height, self.width, self.channels]
    }
}

/// A network in training on the CPU.
///
/// Leading layers that hold nothing to train run as a plan of their own and keep nothing.
///
/// ```
/// use fused_cpu::{Graph, Operation, Parameter, Slot, TrainingPlan, ValueId, Window, ops};
///
/// let mut graph = Graph::new(1);
/// let point = ops::Convolution {
///     weights: vec![3.0],
///     bias: vec![0.0],
///     inputs: 1,
///     groups: 1,
///     window: Window::POINT,
/// };
/// let output = graph.add(Operation::Convolution(point), &[ValueId::INPUT])?;
/// graph.set_outputs(&[output])?;
/// let name = "factor".to_owned();
/// let parameters = vec![Parameter { name, layer: output, slot: Slot::Weights }];
///
/// let mut plan = TrainingPlan::new(graph, parameters)?;
/// plan.forward(&[1.0, 2.0], [1, 1, 2, 1])?;
/// assert_eq!(plan.output(0).0, [3.0, 6.0]);
/// assert_eq!(plan.backward(&[&[1.0, 10.0]])?, [[1.0 + 20.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TrainingPlan {
    graph: Graph,
    parameters: Vec<Parameter>,
    /// The leading layers, which do not change.
    frozen: Option<(Plan, Workspace)>,
    forward: Plan,
    workspace: Workspace,
    /// How convolutions pass gradients on, by the values that they make.
    to_image: HashMap<ValueId, ToImage>,
    /// Values that the backward pass reads, and their places among the outputs of `forward`.
    kept: HashMap<ValueId, usize>,
    /// Values whose gradient is needed, by number.
    wanted: Vec<bool>,
    /// The input of the last forward pass, behind the frozen layers.
    input: Vec<f32>,
    input_images: Images,
}

impl TrainingPlan {
    /// Prepares a network for training `parameters`; everything else in it is frozen.
    ///
    /// # Errors
    /// If there are no parameters or outputs, a layer does not have such a parameter, or the
    /// gradient would have to pass through an operation that has none here: convolutions in groups
    /// other than depthwise ones, SiLU, hard-swish and PReLU.
    pub fn new(graph: Graph, parameters: Vec<Parameter>) -> Result<Self, CompileError> {
        let holds = |layer: &Layer| parameters.iter().any(|one| one.layer == layer.output);
        let Some(first) = graph.layers().iter().position(holds) else {
            return Err(CompileError::Unsupported("training without parameters".to_owned()));
        };
        let (frozen, graph, moved) = split(graph, first)?;
        let frozen = frozen.map(Plan::from_graph).transpose()?;
        let parameters: Vec<Parameter> = parameters
            .into_iter()
            .map(|parameter| Parameter { layer: moved(parameter.layer), ..parameter })
            .collect();
        for parameter in &parameters {
            slot_of(&graph, parameter)?;
        }
        let wanted = wanted(&graph, &parameters);
        let kept = kept(&graph, &parameters, &wanted)?;
        let nothing = Images { count: 0, height: 0, width: 0, channels: 0 };
        let mut plan = Self {
            forward: forward_plan(&graph, &kept)?,
            graph,
            parameters,
            frozen: frozen.map(|plan| (plan, Workspace::new())),
            workspace: Workspace::new(),
            to_image: HashMap::new(),
            kept,
            wanted,
            input: Vec::new(),
            input_images: nothing,
        };
        plan.prepare_backward()?;
        Ok(plan)
    }

    /// What is trained, in the order of the gradients.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Gives the parameters new values, in their order.
    ///
    /// # Errors
    /// If values are missing or their numbers do not fit.
    pub fn update(&mut self, values: &[Vec<f32>]) -> Result<(), CompileError> {
        for (at, parameter) in self.parameters.iter().enumerate() {
            let slot = slot_of_mut(&mut self.graph, parameter)?;
            let found = values.get(at).map_or(0, Vec::len);
            match values.get(at) {
                Some(values) if values.len() == slot.len() => slot.copy_from_slice(values),
                _ => {
                    let (what, expected) = ("a parameter in training", slot.len());
                    return Err(CompileError::Weights { what, expected, found });
                }
            }
        }
        self.forward = forward_plan(&self.graph, &self.kept)?;
        self.prepare_backward()
    }

    fn prepare_backward(&mut self) -> Result<(), CompileError> {
        for layer in &self.graph.layers {
            if let Operation::Convolution(convolution) = &layer.operation
                && self.wanted[layer.inputs[0].index()]
            {
                self.to_image.insert(layer.output, ToImage::new(convolution)?);
            }
        }
        Ok(())
    }

    /// Runs the network on images of shape `[images, height, width, channels]` and keeps what
    /// [`TrainingPlan::backward`] needs.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn forward(&mut self, input: &[f32], shape: [usize; 4]) -> Result<(), RunError> {
        let (input, shape) = match &mut self.frozen {
            None => (input, shape),
            Some((plan, workspace)) => {
                plan.run(workspace, input, shape)?;
                workspace.output(0)
            }
        };
        self.forward.run(&mut self.workspace, input, shape)?;
        self.input.clear();
        self.input.extend_from_slice(input);
        let [count, height, width, channels] = shape;
        self.input_images = Images { count, height, width, channels };
        Ok(())
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.graph.outputs.len()
    }

    /// An output of the last forward pass: its values, and their shape `[images, height, width,
    /// channels]`.
    pub fn output(&self, index: usize) -> (&[f32], [usize; 4]) {
        self.workspace.output(index)
    }

    /// The gradients of the parameters, in their order and layout, from those of the outputs of
    /// the last forward pass.
    ///
    /// # Errors
    /// If a gradient does not have as many values as its output.
    pub fn backward(&mut self, gradients: &[&[f32]]) -> Result<Vec<Vec<f32>>, RunError> {
        let sizes = self.sizes()?;
        let mut pass = Backward {
            of_values: vec![None; sizes.len()],
            of_parameters: self
                .parameters
                .iter()
                // Every parameter was looked up when the plan was made.
                .map(|parameter| slot_of(&self.graph, parameter).map_or(0, <[f32]>::len))
                .map(|count| vec![0.0; count])
                .collect(),
            wanted: &self.wanted,
        };
        for (at, &value) in self.graph.outputs.iter().enumerate() {
            let size = sizes[value.index()];
            let gradient = gradients.get(at).copied().unwrap_or_default();
            if gradient.len() != size.floats() {
                return Err(RunError::Input { shape: size.shape(), found: gradient.len() });
            }
            pass.add(value, gradient.to_vec());
        }
        let (workspace, input, kept) = (&self.workspace, &self.input, &self.kept);
        let values = |value: ValueId| match kept.get(&value) {
            Some(place) => workspace.output(*place).0,
            None => input.as_slice(),
        };
        for layer in self.graph.layers.iter().rev() {
            let Some(mut gradient) = pass.of_values[layer.output.index()].take() else { continue };
            let (of, result) = (sizes[layer.inputs[0].index()], sizes[layer.output.index()]);
            if layer.activation != Activation::NONE {
                pointwise::through_activation(
                    &layer.activation,
                    values(layer.output),
                    &mut gradient,
                );
            }
            if let Some(residual) = layer.residual {
                pass.add(residual, gradient.clone());
            }
            let first = layer.inputs[0];
            let trains =
                |slot: Slot| self.parameters.iter().position(|one| one.is(layer.output, slot));
            match &layer.operation {
                Operation::Convolution(convolution) => {
                    let (weights, bias) = (trains(Slot::Weights), trains(Slot::Bias));
                    if weights.is_some() || bias.is_some() {
                        let images = (values(first), of);
                        let (of_weights, of_bias) =
                            convolution::parameters(convolution, images, (&gradient, result));
                        pass.parameter(weights, of_weights);
                        pass.parameter(bias, of_bias);
                    }
                    if let Some(to_image) = self.to_image.get_mut(&layer.output) {
                        let image = to_image.gradient(convolution, of, &gradient, result)?;
                        pass.add(first, image);
                    }
                }
                Operation::Affine(affine) => {
                    let (scale, shift) = (trains(Slot::Scale), trains(Slot::Shift));
                    let images = scale.map(|_| values(first));
                    let (scales, shifts) =
                        pointwise::affine(&affine.scale, images, &mut gradient, of);
                    pass.parameter(scale, scales);
                    pass.parameter(shift, shifts);
                    pass.add(first, gradient);
                }
                Operation::Activate | Operation::Flatten(_) => pass.add(first, gradient),
                Operation::Add => {
                    pass.add(layer.inputs[1], gradient.clone());
                    pass.add(first, gradient);
                }
                Operation::Pool(pool) => {
                    let needs = pool.pooling == crate::ops::Pooling::Max;
                    let images = if needs { values(first) } else { &[] };
                    let pooled = if needs { values(layer.output) } else { &gradient };
                    let gradient = pointwise::pool(
                        &pool.window,
                        pool.pooling,
                        (images, of),
                        (pooled, result),
                        &gradient,
                    );
                    pass.add(first, gradient);
                }
                Operation::GlobalAverage => {
                    pass.add(first, pointwise::global_average(&gradient, of));
                }
                Operation::L2Norm(norm) => {
                    let images = values(first);
                    pointwise::l2_norm(norm.epsilon, images, &mut gradient, of.channels);
                    pass.add(first, gradient);
                }
                Operation::Softmax => {
                    pointwise::softmax(values(layer.output), &mut gradient, result.channels);
                    pass.add(first, gradient);
                }
                Operation::Upsample(upsample) => {
                    pass.add(first, pointwise::upsample(upsample.factors, &gradient, of));
                }
                Operation::ConcatPixels => {
                    pass.add_parts(layer, &sizes, &gradient, result.count, Images::each);
                }
                Operation::ConcatChannels => {
                    let pixels = result.count * result.height * result.width;
                    pass.add_parts(layer, &sizes, &gradient, pixels, |images| images.channels);
                }
            }
        }
        Ok(pass.of_parameters)
    }

    /// The shapes of all values in the last forward pass.
    fn sizes(&self) -> Result<Vec<Images>, RunError> {
        let input = self.input_images;
        let mut sizes = vec![input; self.graph.channels.len()];
        for layer in &self.graph.layers {
            let inputs: Vec<([usize; 2], usize)> = layer
                .inputs
                .iter()
                .map(|value| sizes[value.index()])
                .map(|images| ([images.height, images.width], images.channels))
                .collect();
            let channels = self.graph.channels[layer.output.index()];
            let made = apply(layer.operation.describe().size_rule(), &inputs, channels).flatten();
            let [height, width] =
                made.ok_or(RunError::TooLarge { shape: self.input_images.shape() })?;
            sizes[layer.output.index()] = Images { count: input.count, height, width, channels };
        }
        Ok(sizes)
    }
}

impl Parameter {
    fn is(&self, layer: ValueId, slot: Slot) -> bool {
        (self.layer, self.slot) == (layer, slot)
    }
}

/// The gradients gathered so far.
struct Backward<'a> {
    of_values: Vec<Option<Vec<f32>>>,
    of_parameters: Vec<Vec<f32>>,
    wanted: &'a [bool],
}

impl Backward<'_> {
    /// Adds to the gradient of a value, if anybody wants it.
    fn add(&mut self, value: ValueId, gradient: Vec<f32>) {
        if !self.wanted[value.index()] {
            return;
        }
        match &mut self.of_values[value.index()] {
            Some(sum) => sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value),
            place => *place = Some(gradient),
        }
    }

    fn add_parts(
        &mut self,
        layer: &Layer,
        sizes: &[Images],
        gradient: &[f32],
        rows: usize,
        floats: impl Fn(&Images) -> usize,
    ) {
        let mut before = 0;
        for &value in &layer.inputs {
            let floats = floats(&sizes[value.index()]);
            if self.wanted[value.index()] {
                self.add(value, pointwise::part(gradient, rows, before, floats));
            }
            before += floats;
        }
    }

    fn parameter(&mut self, at: Option<usize>, gradient: Vec<f32>) {
        if let Some(place) = at.and_then(|at| self.of_parameters.get_mut(at)) {
            *place = gradient;
        }
    }
}

/// The values of a layer's parameter.
fn slot_of<'g>(graph: &'g Graph, parameter: &Parameter) -> Result<&'g [f32], CompileError> {
    let layer = graph.producer(parameter.layer).map(|at| &graph.layers[at].operation);
    match (layer, parameter.slot) {
        (Some(Operation::Convolution(convolution)), Slot::Weights) => Ok(&convolution.weights),
        (Some(Operation::Convolution(convolution)), Slot::Bias) => Ok(&convolution.bias),
        (Some(Operation::Affine(affine)), Slot::Scale) => Ok(&affine.scale),
        (Some(Operation::Affine(affine)), Slot::Shift) => Ok(&affine.shift),
        _ => Err(no_such_parameter(parameter)),
    }
}

fn slot_of_mut<'g>(
    graph: &'g mut Graph,
    parameter: &Parameter,
) -> Result<&'g mut Vec<f32>, CompileError> {
    let producer = graph.producer(parameter.layer);
    let layer = producer.and_then(|at| graph.layers.get_mut(at)).map(|layer| &mut layer.operation);
    match (layer, parameter.slot) {
        (Some(Operation::Convolution(convolution)), Slot::Weights) => Ok(&mut convolution.weights),
        (Some(Operation::Convolution(convolution)), Slot::Bias) => Ok(&mut convolution.bias),
        (Some(Operation::Affine(affine)), Slot::Scale) => Ok(&mut affine.scale),
        (Some(Operation::Affine(affine)), Slot::Shift) => Ok(&mut affine.shift),
        _ => Err(no_such_parameter(parameter)),
    }
}

fn no_such_parameter(parameter: &Parameter) -> CompileError {
    CompileError::Unsupported(format!("training of `{}`", parameter.name))
}

/// Divides a graph before its first layer with something to train, or earlier: where a single
/// value passes. Yields the leading part, if there is one, the rest, and how values of the whole
/// are numbered in the rest.
fn split(
    graph: Graph,
    first: usize,
) -> Result<(Option<Graph>, Graph, impl Fn(ValueId) -> ValueId), CompileError> {
    let Graph { layers, channels, outputs } = &graph;
    let crossing = |at: usize| {
        let made_before = |value: &ValueId| layers[at..].iter().all(|layer| layer.output != *value);
        let read = layers[at..].iter().flat_map(Layer::reads).chain(outputs.iter().copied());
        let mut values: Vec<ValueId> = read.filter(made_before).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let cut = (1..=first).rev().find_map(|at| match crossing(at)[..] {
        [value] if value != ValueId::INPUT => Some((at, value)),
        _ => None,
    });
    let (at, value) = cut.unwrap_or((0, ValueId::INPUT));
    let frozen = (at > 0).then(|| Graph {
        layers: layers[..at].to_vec(),
        channels: channels.clone(),
        outputs: vec![value],
    });
    // Layers' values are numbered in the layers' order, so that the rest's follow the cut.
    let numbers: HashMap<ValueId, ValueId> = std::iter::once(value)
        .chain(layers[at..].iter().map(|layer| layer.output))
        .enumerate()
        .map(|(number, value)| (value, ValueId(number)))
        .collect();
    let moved = move |value: ValueId| numbers.get(&value).copied().unwrap_or(ValueId::INPUT);
    let mut rest = Graph::new(graph.channels(value)?);
    for layer in &layers[at..] {
        rest.channels.push(graph.channels(layer.output)?);
        rest.layers.push(Layer {
            inputs: layer.inputs.iter().map(|value| moved(*value)).collect(),
            residual: layer.residual.map(&moved),
            output: moved(layer.output),
            ..layer.clone()
        });
    }
    rest.outputs = outputs.iter().map(|value| moved(*value)).collect();
    Ok((frozen, rest, moved))
}

/// Values whose gradient is needed: what parameters make, and what is made of that.
fn wanted(graph: &Graph, parameters: &[Parameter]) -> Vec<bool> {
    let mut wanted = vec![false; graph.channels.len()];
    for layer in &graph.layers {
        let trains = parameters.iter().any(|parameter| parameter.layer == layer.output);
        let passes = layer.reads().any(|value| wanted[value.index()]);
        wanted[layer.output.index()] = trains || passes;
    }
    wanted
}

/// Values that the backward pass reads, numbered behind the network's outputs.
fn kept(
    graph: &Graph,
    parameters: &[Parameter],
    wanted: &[bool],
) -> Result<HashMap<ValueId, usize>, CompileError> {
    let mut kept = Vec::new();
    for layer in graph.layers.iter().filter(|layer| wanted[layer.output.index()]) {
        let trains = |slot| parameters.iter().any(|parameter| parameter.is(layer.output, slot));
        if layer.activation != Activation::NONE {
            pointwise::check(&layer.activation)?;
            kept.push(layer.output);
        }
        match &layer.operation {
            Operation::Convolution(convolution) => {
                if convolution.groups > 1 && !convolution.is_depthwise() {
                    let what = "training through a convolution in groups".to_owned();
                    return Err(CompileError::Unsupported(what));
                }
                if trains(Slot::Weights) || trains(Slot::Bias) {
                    kept.push(layer.inputs[0]);
                }
            }
            Operation::Affine(_) if trains(Slot::Scale) => kept.push(layer.inputs[0]),
            Operation::Pool(pool) if pool.pooling == crate::ops::Pooling::Max => {
                kept.extend([layer.inputs[0], layer.output]);
            }
            Operation::L2Norm(_) => kept.push(layer.inputs[0]),
            Operation::Softmax => kept.push(layer.output),
            Operation::Affine(_)
            | Operation::Activate
            | Operation::Add
            | Operation::Pool(_)
            | Operation::GlobalAverage
            | Operation::Upsample(_)
            | Operation::Flatten(_)
            | Operation::ConcatPixels
            | Operation::ConcatChannels => {}
        }
    }
    kept.sort_unstable();
    kept.dedup();
    // The input is kept anyway.
    kept.retain(|value| *value != ValueId::INPUT);
    Ok(kept.into_iter().enumerate().map(|(at, value)| (value, graph.outputs.len() + at)).collect())
}

/// The graph as a plan that also yields what is kept.
fn forward_plan(graph: &Graph, kept: &HashMap<ValueId, usize>) -> Result<Plan, CompileError> {
    let mut graph = graph.clone();
    let mut kept: Vec<(usize, ValueId)> = kept.iter().map(|(value, at)| (*at, *value)).collect();
    kept.sort_unstable();
    graph.outputs.extend(kept.into_iter().map(|(_, value)| value));
    Plan::from_graph(graph)
}
