//! Caffe's binary network format: the part of `caffe.proto` that holds names and weights.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use prost::Message;

/// `NetParameter` of caffe.proto.
#[derive(Clone, PartialEq, Message)]
struct NetParameter {
    #[prost(message, repeated, tag = "100")]
    layer: Vec<LayerParameter>,
}

/// `LayerParameter` of caffe.proto.
#[derive(Clone, PartialEq, Message)]
struct LayerParameter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "7")]
    blobs: Vec<BlobProto>,
}

/// `BlobProto` of caffe.proto.
#[derive(Clone, PartialEq, Message)]
struct BlobProto {
    #[prost(float, repeated, tag = "5")]
    data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    shape: Option<BlobShape>,
}

/// `BlobShape` of caffe.proto.
#[derive(Clone, PartialEq, Message)]
struct BlobShape {
    #[prost(int64, repeated, tag = "1")]
    dim: Vec<i64>,
}

/// An array of weights.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    /// Its dimensions.
    pub(crate) shape: Vec<usize>,
    /// Its values, row-major.
    pub(crate) values: Vec<f32>,
}

/// The arrays of every layer that has some.
#[derive(Debug)]
pub(crate) struct CaffeNet(HashMap<String, Vec<Blob>>);

impl CaffeNet {
    /// The `N` arrays of a layer.
    pub(crate) fn blobs<const N: usize>(&self, layer: &str) -> anyhow::Result<&[Blob; N]> {
        let blobs = self.0.get(layer).with_context(|| format!("no layer {layer} with weights"))?;
        let found = blobs.len();
        blobs.as_slice().try_into().with_context(|| format!("{layer} has {found} arrays, not {N}"))
    }
}

/// Reads a `.caffemodel`.
pub(crate) fn read(bytes: &[u8]) -> anyhow::Result<CaffeNet> {
    let net = NetParameter::decode(bytes).context("not a Caffe model")?;
    let mut layers = HashMap::new();
    for layer in net.layer.into_iter().filter(|layer| !layer.blobs.is_empty()) {
        let mut blobs = Vec::new();
        for blob in layer.blobs {
            let dimensions = blob.shape.unwrap_or_default().dim;
            let shape: Vec<usize> = dimensions.iter().map(|dim| *dim as usize).collect();
            ensure!(
                shape.iter().product::<usize>() == blob.data.len(),
                "{}: shape {shape:?} does not hold {} values",
                layer.name,
                blob.data.len()
            );
            blobs.push(Blob { shape, values: blob.data });
        }
        layers.insert(layer.name, blobs);
    }
    Ok(CaffeNet(layers))
}
