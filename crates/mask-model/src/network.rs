//! Backbone and head as one network, and the file that holds both.

use burn::{
    module::Module,
    tensor::{Device, Tensor, activation::softmax},
};
use fused_cpu::InputRanges;
use weights_file::{
    INPUT_RANGES_KEY, Precision, Problem, WeightsError, WeightsFile, WeightsSource, encode,
    named_tensors,
};

use crate::{Backbone, HeadCheckpoint, Labels, MaskHead, MaskHeadConfig, head::borrowed};

/// The name in the metadata of files that hold a backbone with its head.
pub const CLASSIFIER_NAME: &str = "mask-classifier";

/// The default classifier, made by `cargo xtask train` as docs/training.md says.
#[cfg(feature = "embedded-weights")]
const EMBEDDED: Option<&[u8]> = Some(mask_models::MASK_CLASSIFIER);
#[cfg(not(feature = "embedded-weights"))]
const EMBEDDED: Option<&[u8]> = None;

/// Backbone and head, from crops to class probabilities.
#[derive(Module, Debug)]
pub struct ClassifierNetwork {
    /// From crops to features.
    pub backbone: Backbone,
    /// From features to classes.
    pub head: MaskHead,
}

impl ClassifierNetwork {
    /// Class probabilities `[batch, classes]` of crops `[batch, 3, 224, 224]`: RGB in [-1, 1].
    pub fn forward(&self, crops: Tensor<4>) -> Tensor<2> {
        softmax(self.head.forward(self.backbone.forward(crops)), 1)
    }
}

/// A classifier with what its users must know.
#[derive(Debug, Clone)]
pub struct ClassifierCheckpoint {
    /// Both parts; logits are not divided by the temperature.
    pub network: ClassifierNetwork,
    /// What its outputs mean.
    pub labels: Labels,
    /// What it takes to run it in eight bits, if it was calibrated.
    pub input_ranges: Option<InputRanges>,
}

impl ClassifierCheckpoint {
    /// Loads a classifier. If `head` is a head alone, `backbone` is what it was trained on; embedded, that is ImageNet's. A file of both, as the embedded classifier is, uses its own.
    ///
    /// # Errors
    /// If weights cannot be read or belong to other networks.
    pub fn load(
        backbone: &WeightsSource,
        head: &WeightsSource,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        if *head == WeightsSource::Embedded {
            return Self::read(head.open(CLASSIFIER_NAME, EMBEDDED)?, device);
        }
        match HeadCheckpoint::load(head, device) {
            Ok(HeadCheckpoint { layers, labels }) => {
                let backbone = Backbone::load(backbone, device)?;
                let network = ClassifierNetwork { backbone, head: layers };
                Ok(Self { network, labels, input_ranges: None })
            }
            Err(WeightsError { problem: Problem::OtherNetwork { found, .. }, .. })
                if found == CLASSIFIER_NAME =>
            {
                Self::read(head.open(CLASSIFIER_NAME, None)?, device)
            }
            Err(error) => Err(error),
        }
    }

    /// The backbone of a file of its own or of a classifier; embedded, that of the default classifier.
    #[cfg(feature = "train")]
    pub(crate) fn load_backbone(
        source: &WeightsSource,
        device: &Device,
    ) -> Result<Backbone, WeightsError> {
        match source.open(CLASSIFIER_NAME, EMBEDDED) {
            Ok(weights) => Ok(Self::read(weights, device)?.network.backbone),
            Err(WeightsError { problem: Problem::OtherNetwork { .. }, .. }) => {
                Backbone::load(source, device)
            }
            Err(error) => Err(error),
        }
    }

    fn read(weights: WeightsFile, device: &Device) -> Result<Self, WeightsError> {
        let labels = Labels::read(&weights)?;
        let hidden = weights.shape("head.hidden.bias").map_or(0, |shape| shape.iter().product());
        let head = MaskHeadConfig { hidden, ..MaskHeadConfig::new(labels.classes.len()) };
        let network =
            ClassifierNetwork { backbone: Backbone::new(device), head: head.init(device) };
        let input_ranges = weights.parsed_metadata(INPUT_RANGES_KEY)?;
        Ok(Self { network: weights.load_into(network)?, labels, input_ranges })
    }

    /// The bytes of a weights file that holds both parts.
    ///
    /// # Errors
    /// If the container cannot hold the parameters.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>, WeightsError> {
        let mut metadata = self.labels.metadata();
        let ranges = self.input_ranges.as_ref().map(ToString::to_string);
        metadata.extend(ranges.map(|ranges| (INPUT_RANGES_KEY, ranges)));
        encode(CLASSIFIER_NAME, &borrowed(&metadata), named_tensors(&self.network), precision)
    }

    /// The network whose probabilities are calibrated: its logits are divided by the temperature.
    pub fn calibrated(self) -> ClassifierNetwork {
        let ClassifierNetwork { backbone, head } = self.network;
        ClassifierNetwork { backbone, head: head.with_temperature(self.labels.temperature) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use geometry::Crop;

    use super::*;
    use crate::HEAD_NAME;

    #[test]
    fn both_parts_come_back_from_one_file() {
        let device = Device::flex();
        let head = MaskHeadConfig { hidden: 5, ..MaskHeadConfig::new(3) }.init(&device);
        let network = ClassifierNetwork { backbone: Backbone::new(&device), head };
        let labels = Labels {
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            crop: Crop { margin: 0.2, square: true },
            temperature: 0.7,
        };
        let input_ranges = Some("0:1,-0.5:2".parse().unwrap());
        let saved = ClassifierCheckpoint { network, labels: labels.clone(), input_ranges };
        let file = WeightsSource::from(saved.to_bytes(Precision::F32).unwrap());
        let absent = WeightsSource::File("absent.bpk".into());
        let read = ClassifierCheckpoint::load(&absent, &file, &device).unwrap();
        assert_eq!((read.labels, read.input_ranges), (labels, saved.input_ranges.clone()));
        assert_eq!(named_tensors(&read.network), named_tensors(&saved.network));
        // A head's reader says what the file is.
        let refused = HeadCheckpoint::load(&file, &device).unwrap_err().to_string();
        assert!(refused.contains(CLASSIFIER_NAME) && refused.contains(HEAD_NAME), "{refused}");
    }
}
