//! Writing weights.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Bytes, DType, Shape, Tensor, TensorData},
};
use burn_pack::Writer;

use crate::{FORMAT_VERSION, NETWORK_KEY, Origin, Problem, VERSION_KEY, WeightsError};

/// How parameters are stored. Loading yields `f32` from either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats, exact.
    F32,
    /// IEEE half precision: half the size, a relative rounding error of up to 2^-11.
    F16,
}

/// A parameter under its module path, such as `stem.conv.weight`.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    name: String,
    data: TensorData,
}

impl NamedTensor {
    /// A parameter of the given shape; `values` are in row-major order.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>, values: Vec<f32>) -> Self {
        Self { name: name.into(), data: TensorData::new(values, shape) }
    }

    /// The same parameter in a module that is part of another, under the name `part`.
    pub fn under(self, part: &str) -> Self {
        Self { name: format!("{part}.{}", self.name), ..self }
    }

    /// The module path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape.
    pub fn shape(&self) -> Vec<usize> {
        self.data.shape().to_vec()
    }

    /// The values as little-endian `f32`, row-major.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        self.data.iter::<f32>().flat_map(f32::to_le_bytes).collect()
    }
}

/// The float parameters of a module, under their module paths.
pub fn named_tensors<M: Module>(module: &M) -> Vec<NamedTensor> {
    let mut collector = Collector::default();
    module.visit(&mut collector);
    collector.tensors
}

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    tensors: Vec<NamedTensor>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data().convert::<f32>();
        self.tensors.push(NamedTensor { name: self.path.join("."), data });
    }
}

/// Encodes weights of `network` with the given metadata as the bytes of a weights file.
///
/// # Errors
/// If the container cannot hold them.
pub fn encode(
    network: &str,
    metadata: &[(&str, &str)],
    tensors: Vec<NamedTensor>,
    precision: Precision,
) -> Result<Vec<u8>, WeightsError> {
    let tensors = tensors
        .into_iter()
        .map(|NamedTensor { name, data }| {
            let dtype = match precision {
                Precision::F32 => DType::F32,
                Precision::F16 => DType::F16,
            };
            let (bytes, shape, dtype) = data.convert_dtype(dtype).into_parts();
            burn_pack::Tensor::new(name, dtype, shape, None, bytes)
        })
        .collect();
    let mut writer = Writer::new(tensors)
        .with_metadata(NETWORK_KEY, network)
        .with_metadata(VERSION_KEY, FORMAT_VERSION);
    for (key, value) in metadata {
        writer = writer.with_metadata(key, value);
    }
    writer.into_bytes().map(|bytes: Bytes| bytes.to_vec()).map_err(|error| WeightsError {
        origin: Origin::Memory,
        problem: Problem::Encode(error.to_string()),
    })
}
