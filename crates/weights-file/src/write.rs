//! Writing weights.

use burn::tensor::{Bytes, DType, Shape, TensorData};
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
