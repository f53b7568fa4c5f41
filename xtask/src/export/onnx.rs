//! A traced network as ONNX, operator set 13, channels first.

use fused_cpu::{
    Epilogue, Pooling, Window,
    graph::{Convolution, Layer, Operation},
};

use super::network::{Network, Output};
use crate::onnx::{Attribute, Graph, Side};

const INPUT: &str = "input";

/// The bytes of the ONNX file.
pub(super) fn encode(network: &Network) -> anyhow::Result<Vec<u8>> {
    let mut writer = Writer { onnx: Graph::named(network.name) };
    let size = |name| if network.free_size { Side::Free(name) } else { Side::Fixed(network.side) };
    let sides = [Side::Free("batch"), Side::Fixed(3), size("height"), size("width")];
    writer.onnx.add_input(INPUT, &sides);
    for layer in &network.graph.layers {
        writer.layer(layer, &network.graph.channels);
    }
    for (value, output) in network.graph.outputs.iter().zip(&network.outputs) {
        writer.output(*value, output);
    }
    let metadata: Vec<(&str, &str)> =
        network.metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Ok(writer.onnx.encode("mask-detector xtask export", &metadata))
}

struct Writer {
    onnx: Graph,
}

/// The name of a value.
fn named(value: usize) -> String {
    if value == 0 { INPUT.to_owned() } else { format!("value{value}") }
}

impl Writer {
    /// Writes a layer; what its operation makes passes through the epilogue's clamp.
    fn layer(&mut self, layer: &Layer, channels: &[usize]) {
        let output = named(layer.output);
        let clamped = layer.epilogue != Epilogue::NONE;
        let plain = if clamped { format!("{output}.plain") } else { output.clone() };
        let inputs: Vec<String> = layer.inputs.iter().map(|value| named(*value)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let first = inputs.first().copied().unwrap_or(INPUT);
        match &layer.operation {
            Operation::Convolution(convolution) => {
                self.convolution(convolution, first, inputs.get(1).copied(), &plain);
            }
            Operation::Affine { scale, shift } => {
                let (factor, offset) = (format!("{plain}.scale"), format!("{plain}.shift"));
                self.onnx.initializer(&factor, &[1, scale.len(), 1, 1], scale);
                self.onnx.initializer(&offset, &[1, shift.len(), 1, 1], shift);
                let scaled = format!("{plain}.scaled");
                self.onnx.node("Mul", &scaled, &[first, &factor], vec![]);
                self.onnx.node("Add", &plain, &[&scaled, &offset], vec![]);
            }
            Operation::Clamp => self.onnx.node("Identity", &plain, &[first], vec![]),
            Operation::Add => self.onnx.node("Add", &plain, &inputs, vec![]),
            Operation::Pool { window, pooling } => self.pool(window, *pooling, first, &plain),
            Operation::GlobalAverage => {
                self.onnx.node("GlobalAveragePool", &plain, &[first], vec![]);
            }
            Operation::L2Norm { epsilon } => self.l2_norm(*epsilon, first, &plain),
            Operation::Softmax => {
                self.onnx.node("Softmax", &plain, &[first], vec![Attribute::int("axis", 1)]);
            }
            Operation::Flatten => self.flatten(first, channels[layer.output], &plain),
            Operation::ConcatPixels => {
                self.onnx.node("Concat", &plain, &inputs, vec![Attribute::int("axis", 3)]);
            }
            Operation::ConcatChannels => {
                self.onnx.node("Concat", &plain, &inputs, vec![Attribute::int("axis", 1)]);
            }
        }
        if clamped {
            self.clamp(layer.epilogue, &plain, &output);
        }
    }

    fn convolution(
        &mut self,
        convolution: &Convolution,
        input: &str,
        summand: Option<&str>,
        to: &str,
    ) {
        let Convolution { weights, bias, inputs, depthwise, window } = convolution;
        let (group, each) = if *depthwise { (*inputs, 1) } else { (1, *inputs) };
        let (kernel, offset) = (format!("{to}.weight"), format!("{to}.bias"));
        let shape = [bias.len(), each, window.kernel[0], window.kernel[1]];
        self.onnx.initializer(&kernel, &shape, weights);
        self.onnx.initializer(&offset, &[bias.len()], bias);
        let mut attributes = attributes(window);
        attributes.push(Attribute::ints("dilations", &window.dilation));
        attributes.push(Attribute::int("group", group));
        let Some(summand) = summand else {
            self.onnx.node("Conv", to, &[input, &kernel, &offset], attributes);
            return;
        };
        let convolved = format!("{to}.convolved");
        self.onnx.node("Conv", &convolved, &[input, &kernel, &offset], attributes);
        self.onnx.node("Add", to, &[&convolved, summand], vec![]);
    }

    fn pool(&mut self, window: &Window, pooling: Pooling, input: &str, to: &str) {
        let mut attributes = attributes(window);
        attributes.push(Attribute::int("ceil_mode", window.ceil.into()));
        let operation = match pooling {
            Pooling::Max => "MaxPool",
            Pooling::Average { count_padding } => {
                attributes.push(Attribute::int("count_include_pad", count_padding.into()));
                "AveragePool"
            }
        };
        self.onnx.node(operation, to, &[input], attributes);
    }

    fn l2_norm(&mut self, epsilon: f32, input: &str, to: &str) {
        let part = |name: &str| format!("{to}.{name}");
        self.onnx.node("Mul", &part("squares"), &[input, input], vec![]);
        self.onnx.integers(&part("axes"), &[1]);
        let keep = vec![Attribute::int("keepdims", 1)];
        self.onnx.node("ReduceSum", &part("sum"), &[&part("squares"), &part("axes")], keep);
        self.onnx.initializer(&part("epsilon"), &[1], &[epsilon]);
        self.onnx.node("Add", &part("shifted"), &[&part("sum"), &part("epsilon")], vec![]);
        self.onnx.node("Sqrt", &part("norm"), &[&part("shifted")], vec![]);
        self.onnx.node("Div", to, &[input, &part("norm")], vec![]);
    }

    /// Channels go innermost, where a plan has them, and out again after the reshape.
    fn flatten(&mut self, input: &str, channels: usize, to: &str) {
        let part = |name: &str| format!("{to}.{name}");
        let inner = vec![Attribute::ints("perm", &[0, 2, 3, 1])];
        self.onnx.node("Transpose", &part("inner"), &[input], inner);
        self.onnx.integers(&part("shape"), &[0, 1, -1, channels as i64]);
        self.onnx.node("Reshape", &part("row"), &[&part("inner"), &part("shape")], vec![]);
        let outer = vec![Attribute::ints("perm", &[0, 3, 1, 2])];
        self.onnx.node("Transpose", to, &[&part("row")], outer);
    }

    fn clamp(&mut self, bounds: Epilogue, from: &str, to: &str) {
        if bounds.min == 0.0 && bounds.max == f32::INFINITY {
            self.onnx.node("Relu", to, &[from], vec![]);
            return;
        }
        let (least, most) = (format!("{to}.least"), format!("{to}.most"));
        self.onnx.initializer(&least, &[], &[bounds.min.max(f32::MIN)]);
        self.onnx.initializer(&most, &[], &[bounds.max.min(f32::MAX)]);
        self.onnx.node("Clip", to, &[from, &least, &most], vec![]);
    }

    /// Brings a value into the shape that users expect and declares it.
    fn output(&mut self, value: usize, output: &Output) {
        let (name, from) = (output.name, named(value));
        let part = |part: &str| format!("{name}.{part}");
        let values = Side::Fixed(output.values);
        let inner = vec![Attribute::ints("perm", &[0, 2, 3, 1])];
        self.onnx.node("Transpose", &part("inner"), &[&from], inner);
        let (shape, sides) = match output.priors {
            true => (
                vec![0, -1, output.values as i64],
                vec![Side::Free("batch"), Side::Free("priors"), values],
            ),
            false => (vec![0, output.values as i64], vec![Side::Free("batch"), values]),
        };
        self.onnx.integers(&part("shape"), &shape);
        self.onnx.node("Reshape", name, &[&part("inner"), &part("shape")], vec![]);
        self.onnx.add_output(name, &sides);
    }
}

/// What convolutions and pools have in common.
fn attributes(window: &Window) -> Vec<Attribute> {
    let [above, left] = window.before;
    let [below, right] = window.after;
    vec![
        Attribute::ints("kernel_shape", &window.kernel),
        Attribute::ints("strides", &window.stride),
        Attribute::ints("pads", &[above, left, below, right]),
    ]
}
