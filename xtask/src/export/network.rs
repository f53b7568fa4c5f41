//! A network as what an export needs of it.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use face_ssd::{
    WeightsSource,
    network::{Res10Ssd, SsdOutput},
};
use fused_cpu::{Graph, Plan};
use mask_model::{ClassifierCheckpoint, ClassifierNetwork, INPUT_SIZE, Labels};
use onnx_export::{Export, ExportOutput};
use weights_file::{NamedTensor, named_tensors};

use super::NetworkName;

/// Side of the images that the face network is traced and checked with; others do as well.
const FACE_SIDE: usize = 304;

/// A network, traced.
pub(super) struct Network {
    pub(super) name: &'static str,
    graph: Graph,
    pub(super) tensors: Vec<NamedTensor>,
    pub(super) metadata: Vec<(&'static str, String)>,
    /// Side of the square input for checks.
    pub(super) side: usize,
    /// Whether images of other sizes may be fed.
    free_size: bool,
    /// Largest absolute value of an input for checks.
    pub(super) input_range: f32,
    outputs: Vec<ExportOutput<'static>>,
}

impl Network {
    pub(super) fn load(
        name: NetworkName,
        head: Option<&Path>,
        face_weights: Option<&Path>,
    ) -> anyhow::Result<Self> {
        match name {
            NetworkName::Classifier => Self::classifier(head),
            NetworkName::Faces => Self::faces(face_weights),
        }
    }

    fn classifier(head: Option<&Path>) -> anyhow::Result<Self> {
        let (embedded, head) = (WeightsSource::Embedded, WeightsSource::from(head));
        let checkpoint = ClassifierCheckpoint::load(&embedded, &head, &Device::flex())?;
        // What is written is calibrated already.
        let labels = Labels { temperature: 1.0, ..checkpoint.labels.clone() };
        let network = checkpoint.calibrated();
        let side = INPUT_SIZE as usize;
        let outputs =
            vec![ExportOutput { name: "probabilities", values: labels.classes.len(), rows: false }];
        Ok(Self {
            name: "mask-classifier",
            graph: Graph::trace(&network, [1, 3, side, side], ClassifierNetwork::forward)?,
            tensors: named_tensors(&network),
            metadata: labels.metadata(),
            side,
            free_size: false,
            input_range: 1.0,
            outputs,
        })
    }

    fn faces(weights: Option<&Path>) -> anyhow::Result<Self> {
        let (network, priors) = Res10Ssd::load(&WeightsSource::from(weights), &Device::flex())?;
        let forward = |network: &Res10Ssd, input: Tensor<4>| {
            let SsdOutput { box_deltas, class_logits } = network.forward(input);
            // Users of the file get probabilities, as OpenCV's network yields them.
            (box_deltas, burn::tensor::activation::softmax(class_logits, 2))
        };
        let preprocessing = format!(
            "BGR, bilinear, less the mean 104, 177, 123, sides multiples of {}; decode the locations \
             with the prior boxes of face-ssd",
            network.input_step()
        );
        Ok(Self {
            name: "face-detector",
            graph: Graph::trace(&network, [1, 3, FACE_SIDE, FACE_SIDE], forward)?,
            tensors: named_tensors(&network),
            metadata: vec![
                ("classes", r#"["background","face"]"#.to_owned()),
                ("preprocessing", preprocessing),
                ("priors", priors.to_string()),
            ],
            side: FACE_SIDE,
            free_size: true,
            input_range: 128.0,
            outputs: vec![
                ExportOutput { name: "locations", values: 4, rows: true },
                ExportOutput { name: "confidences", values: 2, rows: true },
            ],
        })
    }

    /// The metadata, borrowed.
    pub(super) fn metadata(&self) -> Vec<(&str, &str)> {
        self.metadata.iter().map(|(key, value)| (*key, value.as_str())).collect()
    }

    /// The network as an ONNX file, and how far another runtime's results were from the plan's.
    pub(super) fn to_onnx(&self) -> anyhow::Result<(Vec<u8>, f32)> {
        let metadata = self.metadata();
        let export = Export {
            name: self.name,
            graph: &self.graph,
            input_size: (!self.free_size).then_some([self.side; 2]),
            outputs: &self.outputs,
            metadata: &metadata,
        };
        let bytes = export.encode("mask-detector xtask export")?;
        let plan = Plan::from_graph(self.graph.clone())?;
        let difference =
            onnx_export::verify(bytes.clone(), &export, &plan, self.side, self.input_range)?;
        Ok((bytes, difference))
    }
}
