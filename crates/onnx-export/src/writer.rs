//! A graph as ONNX, channels first.

use fused_cpu::{
    Activation, Clamp, CompileError, Graph, Layer, Operation, ValueId, ValueRange, Window,
    ops::{Convolution, Pool, Pooling, Upsample},
};

use crate::{
    BoxDecoding, ImageInput,
    proto::{self, Attribute, Dim, OperatorSetVersion},
};

/// The name of the network's input in the file.
pub const INPUT: &str = "input";

/// A network to be written.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it computes.
    pub graph: &'a Graph,
    /// Height and width of its input; none if it takes any.
    pub input_size: Option<[usize; 2]>,
    /// Its outputs, in the order of the graph's.
    pub outputs: &'a [ExportOutput<'a>],
    /// Keys and values for the file's users.
    pub metadata: &'a [(&'a str, &'a str)],
    /// What images become before the network, if the file is to do it: its input is then called
    /// [`crate::IMAGE`].
    pub image: Option<ImageInput>,
    /// What becomes of the outputs, of which there are two then: offsets of boxes and probabilities.
    pub boxes: Option<&'a BoxDecoding>,
    /// How parameters are stored.
    pub storage: Storage,
    /// The version of the operators.
    pub operator_set: OperatorSetVersion,
}

impl<'a> Export<'a> {
    /// A network by itself, of any input size, in single precision and the oldest operators.
    pub fn new(name: &'a str, graph: &'a Graph, outputs: &'a [ExportOutput<'a>]) -> Self {
        Self {
            name,
            graph,
            input_size: None,
            outputs,
            metadata: &[],
            image: None,
            boxes: None,
            storage: Storage::Single,
            operator_set: OperatorSetVersion::OLDEST,
        }
    }
}

/// How parameters are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// As they are.
    #[default]
    Single,
    /// In half precision, to be widened when the file is read; what is computed with them is in single.
    Half,
    /// As bytes where the graph has ranges for a convolution's input ([`Graph::quantize`]), which then passes through
    /// bytes, too: runtimes that know the pattern multiply bytes.
    Bytes,
}

/// An output of an exported network.
#[derive(Debug, Clone, Copy)]
pub struct ExportOutput<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// Values of an item.
    pub values: usize,
    /// Whether it is `[batch, rows, values]`; else it is `[batch, values]`.
    pub rows: bool,
}

/// Why a network cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The outputs do not fit the graph.
    #[error("the graph has {found} outputs, not {expected}")]
    Outputs {
        /// Outputs named.
        expected: usize,
        /// Outputs of the graph.
        found: usize,
    },
    /// The graph is inconsistent.
    #[error(transparent)]
    Graph(#[from] CompileError),
}

impl Export<'_> {
    /// The bytes of the ONNX file; `producer` is recorded in it. The batch may have any length.
    ///
    /// # Errors
    /// If the outputs do not fit the graph.
    pub fn encode(&self, producer: &str) -> Result<Vec<u8>, ExportError> {
        let (expected, found) = (self.outputs.len(), self.graph.outputs().len());
        if expected != found {
            return Err(ExportError::Outputs { expected, found });
        }
        let mut writer = Writer { onnx: proto::Graph::named(self.name), storage: self.storage };
        let [height, width] = match self.input_size {
            Some(size) => size.map(Dim::Fixed),
            None => [Dim::Symbolic("height"), Dim::Symbolic("width")],
        };
        let channels = self.graph.channels(ValueId::INPUT)?;
        // Boxes are chosen among those of one image.
        let batch = if self.boxes.is_some() { Dim::Fixed(1) } else { Dim::Symbolic("batch") };
        let dims = [batch, Dim::Fixed(channels), height, width];
        match &self.image {
            Some(image) => image.write(&mut writer.onnx, &dims),
            None => writer.onnx.add_input(INPUT, &dims),
        }
        for layer in self.graph.layers() {
            let channels = self.graph.channels(layer.output)?;
            writer.layer(layer, channels);
        }
        for (value, output) in self.graph.outputs().iter().zip(self.outputs) {
            let dims = writer.output(*value, output);
            if self.boxes.is_none() {
                writer.onnx.add_output(output.name, &dims);
            }
        }
        if let (Some(boxes), [offsets, probabilities]) = (self.boxes, self.outputs) {
            boxes.write(&mut writer.onnx, offsets.name, probabilities.name);
        }
        Ok(writer.onnx.encode(producer, self.operator_set, self.metadata))
    }
}

/// The name of a value.
fn named(value: ValueId) -> String {
    if value == ValueId::INPUT { INPUT.to_owned() } else { format!("value{}", value.index()) }
}

struct Writer {
    onnx: proto::Graph,
    storage: Storage,
}

impl Writer {
    /// Writes a layer; what its operation makes passes through the activation. `channels` are
    /// those of its output.
    fn layer(&mut self, layer: &Layer, channels: usize) {
        let output = named(layer.output);
        let activated = layer.activation != Activation::NONE;
        let plain = if activated { format!("{output}.plain") } else { output.clone() };
        let inputs: Vec<String> = layer.inputs.iter().map(|value| named(*value)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let first = inputs.first().copied().unwrap_or(INPUT);
        match &layer.operation {
            Operation::Convolution(convolution) => {
                let residual = layer.residual.map(named);
                let range = layer.input_range.filter(|_| self.storage == Storage::Bytes);
                self.convolution(convolution, first, range, residual.as_deref(), &plain);
            }
            Operation::Affine(affine) => {
                let (factor, offset) = (format!("{plain}.scale"), format!("{plain}.shift"));
                self.onnx.initializer(&factor, &[1, channels, 1, 1], &affine.scale);
                self.onnx.initializer(&offset, &[1, channels, 1, 1], &affine.shift);
                let scaled = format!("{plain}.scaled");
                self.onnx.node("Mul", &scaled, &[first, &factor], vec![]);
                self.onnx.node("Add", &plain, &[&scaled, &offset], vec![]);
            }
            Operation::Activate => self.onnx.node("Identity", &plain, &[first], vec![]),
            Operation::Add => self.onnx.node("Add", &plain, &inputs, vec![]),
            Operation::Pool(pool) => self.pool(pool, first, &plain),
            Operation::GlobalAverage => {
                self.onnx.node("GlobalAveragePool", &plain, &[first], vec![]);
            }
            Operation::L2Norm(norm) => self.l2_norm(norm.epsilon, first, &plain),
            Operation::Softmax => {
                self.onnx.node("Softmax", &plain, &[first], vec![Attribute::int("axis", 1)]);
            }
            Operation::Upsample(upsample) => self.upsample(*upsample, first, &plain),
            Operation::Flatten(_) => self.flatten(first, channels, &plain),
            Operation::ConcatPixels => {
                self.onnx.node("Concat", &plain, &inputs, vec![Attribute::int("axis", 3)]);
            }
            Operation::ConcatChannels => {
                self.onnx.node("Concat", &plain, &inputs, vec![Attribute::int("axis", 1)]);
            }
        }
        if activated {
            self.activation(&layer.activation, &plain, &output);
        }
    }

    fn convolution(
        &mut self,
        convolution: &Convolution,
        input: &str,
        range: Option<ValueRange>,
        summand: Option<&str>,
        to: &str,
    ) {
        let Convolution { weights, bias, inputs, groups, window } = convolution;
        let each = inputs / groups;
        let (kernel, offset) = (format!("{to}.weight"), format!("{to}.bias"));
        let shape = [bias.len(), each, window.kernel[0], window.kernel[1]];
        let through_bytes = format!("{to}.input");
        let input = match range {
            Some(range) => {
                self.onnx.through_bytes(input, range.step(), range.zero(), &through_bytes);
                &through_bytes
            }
            None => input,
        };
        match (self.storage, range) {
            (Storage::Half, _) => self.onnx.half_initializer(&kernel, &shape, weights),
            (Storage::Bytes, Some(_)) => self.onnx.byte_initializer(&kernel, &shape, weights),
            _ => self.onnx.initializer(&kernel, &shape, weights),
        }
        self.onnx.initializer(&offset, &[bias.len()], bias);
        let mut attributes = attributes(window);
        attributes.push(Attribute::ints("dilations", &window.dilation));
        attributes.push(Attribute::int("group", *groups));
        let Some(summand) = summand else {
            self.onnx.node("Conv", to, &[input, &kernel, &offset], attributes);
            return;
        };
        let convolved = format!("{to}.convolved");
        self.onnx.node("Conv", &convolved, &[input, &kernel, &offset], attributes);
        self.onnx.node("Add", to, &[&convolved, summand], vec![]);
    }

    fn pool(&mut self, pool: &Pool, input: &str, to: &str) {
        let mut attributes = attributes(&pool.window);
        attributes.push(Attribute::int("ceil_mode", pool.window.ceil.into()));
        let operation = match pool.pooling {
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

    fn upsample(&mut self, upsample: Upsample, input: &str, to: &str) {
        let [down, right] = upsample.factors.map(|factor| factor as f32);
        let (region, scales) = (format!("{to}.roi"), format!("{to}.scales"));
        self.onnx.initializer(&region, &[0], &[]);
        self.onnx.initializer(&scales, &[4], &[1.0, 1.0, down, right]);
        let nearest = vec![
            Attribute::text("mode", "nearest"),
            Attribute::text("coordinate_transformation_mode", "asymmetric"),
            Attribute::text("nearest_mode", "floor"),
        ];
        self.onnx.node("Resize", to, &[input, &region, &scales], nearest);
    }

    fn activation(&mut self, activation: &Activation, from: &str, to: &str) {
        let part = |name: &str| format!("{to}.{name}");
        match activation {
            Activation::Clamp(bounds) => self.clamp(*bounds, from, to),
            Activation::Sigmoid => self.onnx.node("Sigmoid", to, &[from], vec![]),
            Activation::Silu => {
                self.onnx.node("Sigmoid", &part("gate"), &[from], vec![]);
                self.onnx.node("Mul", to, &[from, &part("gate")], vec![]);
            }
            Activation::HardSwish => {
                // HardSwish itself is younger than operator set 13.
                let line =
                    vec![Attribute::float("alpha", 1.0 / 6.0), Attribute::float("beta", 0.5)];
                self.onnx.node("HardSigmoid", &part("gate"), &[from], line);
                self.onnx.node("Mul", to, &[from, &part("gate")], vec![]);
            }
            Activation::Prelu(slopes) => {
                self.onnx.initializer(&part("slopes"), &[slopes.len(), 1, 1], slopes);
                self.onnx.node("PRelu", to, &[from, &part("slopes")], vec![]);
            }
        }
    }

    fn clamp(&mut self, bounds: Clamp, from: &str, to: &str) {
        if bounds.min == 0.0 && bounds.max == f32::INFINITY {
            self.onnx.node("Relu", to, &[from], vec![]);
            return;
        }
        let (min, max) = (format!("{to}.min"), format!("{to}.max"));
        self.onnx.initializer(&min, &[], &[bounds.min.max(f32::MIN)]);
        self.onnx.initializer(&max, &[], &[bounds.max.min(f32::MAX)]);
        self.onnx.node("Clip", to, &[from, &min, &max], vec![]);
    }

    /// Brings a value into the shape that users expect, which it returns.
    fn output(&mut self, value: ValueId, output: &ExportOutput<'_>) -> Vec<Dim> {
        let (name, from) = (output.name, named(value));
        let part = |part: &str| format!("{name}.{part}");
        let values = Dim::Fixed(output.values);
        let inner = vec![Attribute::ints("perm", &[0, 2, 3, 1])];
        self.onnx.node("Transpose", &part("inner"), &[&from], inner);
        let (shape, dims) = match output.rows {
            true => (
                vec![0, -1, output.values as i64],
                vec![Dim::Symbolic("batch"), Dim::Symbolic("rows"), values],
            ),
            false => (vec![0, output.values as i64], vec![Dim::Symbolic("batch"), values]),
        };
        self.onnx.integers(&part("shape"), &shape);
        self.onnx.node("Reshape", name, &[&part("inner"), &part("shape")], vec![]);
        dims
    }
}

/// What convolutions and pools have in common.
fn attributes(window: &Window) -> Vec<Attribute> {
    let [above, left] = window.padding_begin;
    let [below, right] = window.padding_end;
    vec![
        Attribute::ints("kernel_shape", &window.kernel),
        Attribute::ints("strides", &window.stride),
        Attribute::ints("pads", &[above, left, below, right]),
    ]
}
