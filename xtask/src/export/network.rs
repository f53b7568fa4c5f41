//! A network as what an export needs of it.

use std::path::Path;

use anyhow::{Context, ensure};
use burn::tensor::{Device, Tensor};
use face_ssd::{
    FaceCheckpoint, InputSize, PostprocessConfig, PriorBoxes, VARIANCES, WeightsSource,
    network::{Res10Ssd, SsdOutput},
};
use fused_cpu::{Graph, InputRanges, Plan};
use geometry::ImageSize;
use image_input::Normalization;
use mask_model::{ClassifierCheckpoint, ClassifierNetwork, INPUT_SIZE, Labels};
use onnx_export::{BoxDecoding, Export, ExportOutput, ImageInput, OperatorSetVersion, Storage};
use weights_file::{NamedTensor, named_tensors};

use super::NetworkName;

/// Side of the images that the face network is traced and checked with; others do as well.
const FACE_SIDE: usize = 304;

/// How a network is written as ONNX.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnnxOptions {
    pub(super) storage: Storage,
    pub(super) operator_set: OperatorSetVersion,
    /// Images are taken and, by the face network, boxes given.
    pub(super) end_to_end: bool,
}

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
    /// What it takes to run it in eight bits, if it was calibrated.
    ranges: Option<InputRanges>,
    /// What it does with colours first.
    normalization: Normalization,
    /// What becomes of its outputs, if it finds faces.
    boxes: Option<BoxDecoding>,
}

impl Network {
    /// `size` is that of the images that a face network takes end to end.
    pub(super) fn load(
        name: NetworkName,
        head: Option<&Path>,
        face_weights: Option<&Path>,
        size: ImageSize,
    ) -> anyhow::Result<Self> {
        match name {
            NetworkName::Classifier => Self::classifier(head),
            NetworkName::Faces => Self::faces(face_weights, size),
        }
    }

    fn classifier(head: Option<&Path>) -> anyhow::Result<Self> {
        let (embedded, head) = (WeightsSource::Embedded, WeightsSource::from(head));
        let checkpoint = ClassifierCheckpoint::load(&embedded, &head, &Device::flex())?;
        // What is written is calibrated already.
        let labels = Labels { temperature: 1.0, ..checkpoint.labels.clone() };
        let ranges = checkpoint.input_ranges.clone();
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
            ranges,
            normalization: mask_model::NORMALIZATION,
            boxes: None,
        })
    }

    fn faces(weights: Option<&Path>, size: ImageSize) -> anyhow::Result<Self> {
        let FaceCheckpoint { network, priors, input_ranges } =
            FaceCheckpoint::load(&WeightsSource::from(weights), &Device::flex())?;
        let sides = [size.width, size.height];
        let step = network.input_step();
        ensure!(
            sides.iter().all(|side| side.is_multiple_of(step) && *side >= InputSize::MIN_SIDE),
            "--input-size: {} x {}: the sides of this network's input are multiples of {step}",
            size.width,
            size.height
        );
        let defaults = PostprocessConfig::default();
        let boxes = PriorBoxes::new(priors, size);
        let boxes = BoxDecoding {
            size: sides.map(|side| side as usize),
            candidates: defaults.max_candidates.min(boxes.as_slice().len()),
            priors: boxes
                .as_slice()
                .iter()
                .map(|prior| [prior.center_x, prior.center_y, prior.width, prior.height])
                .collect(),
            variances: [VARIANCES[0], VARIANCES[2]],
            iou_threshold: defaults.iou_threshold,
            voting_iou: defaults.voting_iou,
            voting_score: PostprocessConfig::VOTING_SCORE,
        };
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
            ranges: input_ranges,
            normalization: face_ssd::NORMALIZATION,
            boxes: Some(boxes),
        })
    }

    /// The metadata, borrowed.
    pub(super) fn metadata(&self) -> Vec<(&str, &str)> {
        self.metadata.iter().map(|(key, value)| (*key, value.as_str())).collect()
    }

    /// Its name as a file that takes images, without what ends it.
    pub(super) fn end_to_end_name(&self) -> String {
        match &self.boxes {
            Some(BoxDecoding { size: [width, height], .. }) => {
                format!("{}-{width}x{height}", self.name)
            }
            None => format!("{}-rgb", self.name),
        }
    }

    /// The network as an ONNX file.
    pub(super) fn encode(&self, options: OnnxOptions) -> anyhow::Result<Vec<u8>> {
        let metadata = self.metadata();
        let mut graph = self.graph.clone();
        if options.storage == Storage::Bytes {
            let ranges = self.ranges.as_ref().with_context(|| {
                format!(
                    "--precision int8: {} is not calibrated; see cargo xtask calibrate",
                    self.name
                )
            })?;
            graph.quantize(ranges)?;
        }
        let mut export = self.export(&graph, &metadata);
        export.storage = options.storage;
        export.operator_set = options.operator_set;
        if options.end_to_end {
            let Normalization { bgr, divisor, offset } = self.normalization;
            export.image = Some(ImageInput { blue_first: bgr, divisor, offset });
            if let Some(boxes) = &self.boxes {
                export.input_size = Some([boxes.size[1], boxes.size[0]]);
                export.boxes = Some(boxes);
            }
        }
        Ok(export.encode("mask-detector xtask export")?)
    }

    /// How far another runtime's results of a file of the network alone are from the plan's, as a fraction of the
    /// largest.
    pub(super) fn verify(&self, bytes: &[u8]) -> anyhow::Result<f32> {
        let metadata = self.metadata();
        let plan = Plan::from_graph(self.graph.clone())?;
        let export = self.export(&self.graph, &metadata);
        Ok(onnx_export::verify(bytes, &export, &plan, self.side, self.input_range)?)
    }

    fn export<'a>(&'a self, graph: &'a Graph, metadata: &'a [(&'a str, &'a str)]) -> Export<'a> {
        let input_size = (!self.free_size).then_some([self.side; 2]);
        Export { input_size, metadata, ..Export::new(self.name, graph, &self.outputs) }
    }
}
