//! The part of ONNX's `onnx.proto` that a convolutional network needs, and a builder for it.
//!
//! Lists of numbers are written unpacked: some readers know no other form.

use half::f16;
use prost::{Enumeration, Message, Oneof};

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntry>,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
struct StringStringEntry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

/// `AttributeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    // Optional, so that a zero is written, too: OpenCV misses it otherwise.
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(enumeration = "AttributeType", tag = "20")]
    kind: i32,
}

/// `AttributeProto.AttributeType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Enumeration)]
#[repr(i32)]
enum AttributeType {
    Undefined = 0,
    Float = 1,
    Int = 2,
    String = 3,
    Ints = 7,
}

/// `TensorProto`; values as little-endian bytes.
#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

/// `TensorProto.DataType.FLOAT`.
const FLOAT: i32 = 1;
/// `TensorProto.DataType.INT64`.
const INT64: i32 = 7;
/// `TensorProto.DataType.UINT8`.
const UINT8: i32 = 2;
/// `TensorProto.DataType.INT8`.
const INT8: i32 = 3;
/// `TensorProto.DataType.FLOAT16`.
const FLOAT16: i32 = 10;

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}

/// `TypeProto`.
#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    value: Option<DimensionValue>,
}

/// The value of a dimension: a number or a name.
#[derive(Clone, PartialEq, Oneof)]
enum DimensionValue {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Parameter(String),
}

impl Attribute {
    /// A number.
    pub fn int(name: &str, value: usize) -> Self {
        Self { i: Some(value as i64), ..Self::named(name, AttributeType::Int) }
    }

    /// A fraction.
    pub fn float(name: &str, value: f32) -> Self {
        Self { f: Some(value), ..Self::named(name, AttributeType::Float) }
    }

    /// A word.
    pub fn text(name: &str, value: &str) -> Self {
        Self { text: value.as_bytes().to_vec(), ..Self::named(name, AttributeType::String) }
    }

    /// A list of numbers.
    pub fn ints(name: &str, values: &[usize]) -> Self {
        let ints = values.iter().map(|value| *value as i64).collect();
        Self { ints, ..Self::named(name, AttributeType::Ints) }
    }

    fn named(name: &str, kind: AttributeType) -> Self {
        Self { name: name.to_owned(), kind: kind.into(), ..Self::default() }
    }
}

/// A dimension of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// A number of elements.
    Fixed(usize),
    /// Any number, under a name.
    Symbolic(&'static str),
}

fn value_info(name: &str, dims: &[Dim]) -> ValueInfo {
    let dim = dims.iter().map(|dim| match dim {
        Dim::Fixed(length) => DimensionValue::Value(*length as i64),
        Dim::Symbolic(name) => DimensionValue::Parameter((*name).to_owned()),
    });
    let dim = dim.map(|value| Dimension { value: Some(value) }).collect();
    let tensor = TensorType { elem_type: FLOAT, shape: Some(Shape { dim }) };
    ValueInfo { name: name.to_owned(), kind: Some(Type { tensor_type: Some(tensor) }) }
}

impl Graph {
    /// A graph without inputs and outputs.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Declares an input of floats.
    pub fn add_input(&mut self, name: &str, dims: &[Dim]) {
        self.input.push(value_info(name, dims));
    }

    /// Declares an output of floats.
    pub fn add_output(&mut self, name: &str, dims: &[Dim]) {
        self.output.push(value_info(name, dims));
    }

    /// Appends an operation; its output bears its name.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<Attribute>) {
        self.node_with_outputs(op, inputs, &[name], attributes);
    }

    /// Appends an operation of several outputs, that bears the first one's name.
    pub fn node_with_outputs(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<Attribute>,
    ) {
        self.node.push(Node {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: outputs.iter().map(|output| (*output).to_owned()).collect(),
            name: outputs.first().copied().unwrap_or_default().to_owned(),
            op_type: op.to_owned(),
            attribute,
        });
    }

    /// Appends a constant array.
    pub fn initializer(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, FLOAT, bytes);
    }

    /// Appends a constant array that is stored in half precision, and its widening.
    pub fn half_initializer(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let stored = format!("{name}.half");
        let bytes = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        self.constant(&stored, shape, FLOAT16, bytes);
        self.node("Cast", name, &[&stored], vec![Attribute::int("to", FLOAT as usize)]);
    }

    /// Appends a constant array of outputs' weights that is stored as bytes, and its widening: each output has a step of
    /// its own.
    pub fn byte_initializer(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let part = |part: &str| format!("{name}.{part}");
        let outputs = shape.first().copied().unwrap_or(1).max(1);
        let rows = || values.chunks(values.len().div_ceil(outputs).max(1));
        let most = |row: &[f32]| row.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let steps: Vec<f32> =
            rows().map(|row| (most(row) / 127.0).max(f32::MIN_POSITIVE)).collect();
        let bytes = rows().zip(&steps).flat_map(|(row, step)| {
            row.iter().map(move |value| (value / step).round_ties_even() as i8 as u8)
        });
        self.constant(&part("bytes"), shape, INT8, bytes.collect());
        self.initializer(&part("steps"), &[outputs], &steps);
        self.constant(&part("zeros"), &[outputs], INT8, vec![0; outputs]);
        let inputs = [&*part("bytes"), &part("steps"), &part("zeros")];
        self.node("DequantizeLinear", name, &inputs, vec![Attribute::int("axis", 0)]);
    }

    /// Appends a value's way into bytes and back: `step` is the difference of two, `zero` that of 0.
    pub fn through_bytes(&mut self, from: &str, step: f32, zero: u8, to: &str) {
        let part = |part: &str| format!("{to}.{part}");
        self.initializer(&part("step"), &[], &[step]);
        self.constant(&part("zero"), &[], UINT8, vec![zero]);
        let (step, zero, bytes) = (part("step"), part("zero"), part("bytes"));
        self.node("QuantizeLinear", &bytes, &[from, &step, &zero], vec![]);
        self.node("DequantizeLinear", to, &[&bytes, &step, &zero], vec![]);
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) {
        let dims = shape.iter().map(|side| *side as i64).collect();
        self.initializer.push(Tensor { dims, data_type, name: name.to_owned(), raw_data });
    }

    /// Appends a constant list of integers.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, &[values.len()], INT64, bytes);
    }

    /// The bytes of an ONNX file of an operator set.
    pub fn encode(
        self,
        producer: &str,
        operator_set: OperatorSetVersion,
        metadata: &[(&str, &str)],
    ) -> Vec<u8> {
        let entry = |(key, value): &(&str, &str)| StringStringEntry {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        let OperatorSetVersion(version) = operator_set;
        Model {
            // Whoever knows the operator set knows this version of the format, too.
            ir_version: if version < 21 { 8 } else { 10 },
            producer_name: producer.to_owned(),
            graph: Some(self),
            opset_import: vec![OperatorSet { domain: String::new(), version: version.into() }],
            metadata_props: metadata.iter().map(entry).collect(),
        }
        .encode_to_vec()
    }
}

/// The version of ONNX's operators that a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorSetVersion(u32);

impl OperatorSetVersion {
    /// What the files need at least, and what most programs know.
    pub const OLDEST: Self = Self(13);
    /// The newest in which the operators that are used mean the same.
    pub const NEWEST: Self = Self(25);

    /// A version, if files can be of it.
    pub fn new(version: u32) -> Option<Self> {
        (Self::OLDEST.0..=Self::NEWEST.0).contains(&version).then_some(Self(version))
    }
}

impl Default for OperatorSetVersion {
    fn default() -> Self {
        Self::OLDEST
    }
}
