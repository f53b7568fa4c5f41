//! A network as what an export needs of it.

use std::path::Path;

use burn::tensor::{Device, Tensor, activation::softmax};
use face_ssd::{
    WeightsSource,
    network::{Res10Ssd, SsdOutput},
};
use fused_cpu::{Graph, Plan};
use mask_model::{Backbone, CROP_SIDE, Head, MaskHead, PREPROCESSING};
use weights_file::{NamedTensor, named_tensors};

use super::NetworkName;

/// Side of the pictures that the face network is traced and checked with; others do as well.
const FACE_SIDE: usize = 300;

/// A network, traced.
pub(super) struct Network {
    pub(super) name: &'static str,
    pub(super) graph: Graph,
    /// The same network, ready to run.
    pub(super) plan: Plan,
    pub(super) tensors: Vec<NamedTensor>,
    pub(super) metadata: Vec<(&'static str, String)>,
    /// Side of the square input for checks.
    pub(super) side: usize,
    /// Whether pictures of other sizes may be fed.
    pub(super) free_size: bool,
    /// Largest absolute value of an input for checks.
    pub(super) input_range: f32,
    pub(super) outputs: Vec<Output>,
}

/// An output, `[batch, values]` or, of priors, `[batch, priors, values]`.
pub(super) struct Output {
    pub(super) name: &'static str,
    pub(super) values: usize,
    pub(super) priors: bool,
}

impl Network {
    pub(super) fn load(name: NetworkName, head: Option<&Path>) -> anyhow::Result<Self> {
        match name {
            NetworkName::Classifier => Self::classifier(head),
            NetworkName::Faces => Self::faces(),
        }
    }

    fn classifier(head: Option<&Path>) -> anyhow::Result<Self> {
        let device = Device::flex();
        let Head { layers, classes } = Head::load(head, &device)?;
        let network = (Backbone::load(None, &device)?, layers);
        let forward = |(backbone, head): &(Backbone, MaskHead), crops: Tensor<4>| {
            softmax(head.forward(backbone.forward(crops)), 1)
        };
        let side = CROP_SIDE as usize;
        let example = [1, 3, side, side];
        let mut tensors = Vec::new();
        for (part, named) in
            [("backbone", named_tensors(&network.0)), ("head", named_tensors(&network.1))]
        {
            tensors.extend(named.into_iter().map(|tensor| tensor.under(part)));
        }
        Ok(Self {
            name: "mask-classifier",
            graph: Graph::trace(&network, example, forward)?,
            plan: Plan::compile(&network, example, forward)?,
            tensors,
            metadata: vec![
                ("classes", serde_json::to_string(&classes)?),
                ("preprocessing", PREPROCESSING.to_owned()),
            ],
            side,
            free_size: false,
            input_range: 1.0,
            outputs: vec![Output { name: "probabilities", values: classes.len(), priors: false }],
        })
    }

    fn faces() -> anyhow::Result<Self> {
        let network = Res10Ssd::load(&WeightsSource::Embedded, &Device::flex())?;
        let forward = |network: &Res10Ssd, input: Tensor<4>| {
            let SsdOutput { locations, confidences } = network.forward(input);
            (locations, confidences)
        };
        let example = [1, 3, FACE_SIDE, FACE_SIDE];
        let preprocessing = "BGR, bilinear, less the mean 104, 177, 123; decode the locations with \
                             the prior boxes of face-ssd";
        Ok(Self {
            name: "face-detector",
            graph: Graph::trace(&network, example, forward)?,
            plan: Plan::compile(&network, example, forward)?,
            tensors: named_tensors(&network),
            metadata: vec![
                ("classes", r#"["background","face"]"#.to_owned()),
                ("preprocessing", preprocessing.to_owned()),
            ],
            side: FACE_SIDE,
            free_size: true,
            input_range: 128.0,
            outputs: vec![
                Output { name: "locations", values: 4, priors: true },
                Output { name: "confidences", values: 2, priors: true },
            ],
        })
    }
}
