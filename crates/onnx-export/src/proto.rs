//! The part of ONNX's `onnx.proto` that a convolutional network needs, and a builder for it.
//!
//! Lists of numbers are written unpacked: some readers know no other form.

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
    #[prost(float, tag = "2")]
    f: f32,
    #[prost(int64, tag = "3")]
    i: i64,
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
        let kind = AttributeType::Int.into();
        Self {
            name: name.to_owned(),
            f: 0.0,
            i: value as i64,
            ints: Vec::new(),
            text: Vec::new(),
            kind,
        }
    }

    /// A fraction.
    pub fn float(name: &str, value: f32) -> Self {
        let kind = AttributeType::Float.into();
        Self { name: name.to_owned(), f: value, i: 0, ints: Vec::new(), text: Vec::new(), kind }
    }

    /// A word.
    pub fn text(name: &str, value: &str) -> Self {
        let (kind, text) = (AttributeType::String.into(), value.as_bytes().to_vec());
        Self { name: name.to_owned(), f: 0.0, i: 0, ints: Vec::new(), text, kind }
    }

    /// A list of numbers.
    pub fn ints(name: &str, values: &[usize]) -> Self {
        let ints = values.iter().map(|value| *value as i64).collect();
        Self {
            name: name.to_owned(),
            f: 0.0,
            i: 0,
            ints,
            text: Vec::new(),
            kind: AttributeType::Ints.into(),
        }
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
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&str], attribute: Vec<Attribute>) {
        self.node.push(Node {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
        });
    }

    /// Appends a constant array.
    pub fn initializer(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.initializer.push(Tensor {
            dims: shape.iter().map(|side| *side as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }

    /// Appends a constant list of integers.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        self.initializer.push(Tensor {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }

    /// The bytes of an ONNX file of operator set 13.
    pub fn encode(self, producer: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
        let entry = |(key, value): &(&str, &str)| StringStringEntry {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        Model {
            ir_version: 8,
            producer_name: producer.to_owned(),
            graph: Some(self),
            opset_import: vec![OperatorSet { domain: String::new(), version: 13 }],
            metadata_props: metadata.iter().map(entry).collect(),
        }
        .encode_to_vec()
    }
}
