//! Backbone and head as one network, and the file that holds both.

use burn::{
    module::Module,
    tensor::{Device, Tensor, activation::softmax},
};
use geometry::Crop;
use weights_file::{
    Precision, Problem, WeightsError, WeightsFile, WeightsSource, encode, named_tensors,
};

use crate::{
    Backbone, HeadCheckpoint, MaskHead, MaskHeadConfig,
    head::{labels, read_labels},
};

/// The name in the metadata of files that hold a backbone with its head.
pub const CLASSIFIER_NAME: &str = "mask-classifier";

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
    /// Both parts.
    pub network: ClassifierNetwork,
    /// Names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// How faces' boxes become crops: as in training.
    pub crop: Crop,
}

impl ClassifierCheckpoint {
    /// Loads a head over a backbone. If `head` is a file of both, its own backbone is used.
    ///
    /// # Errors
    /// If weights cannot be read or belong to other networks.
    pub fn load(
        backbone: &WeightsSource,
        head: &WeightsSource,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        match HeadCheckpoint::load(head, device) {
            Ok(HeadCheckpoint { layers, classes, crop }) => {
                let backbone = Backbone::load(backbone, device)?;
                Ok(Self { network: ClassifierNetwork { backbone, head: layers }, classes, crop })
            }
            Err(WeightsError { problem: Problem::OtherNetwork { found, .. }, .. })
                if found == CLASSIFIER_NAME =>
            {
                Self::read(head.open(CLASSIFIER_NAME, None)?, device)
            }
            Err(error) => Err(error),
        }
    }

    fn read(weights: WeightsFile, device: &Device) -> Result<Self, WeightsError> {
        let (classes, crop) = read_labels(&weights)?;
        let hidden = weights.shape("head.hidden.bias").map_or(0, |shape| shape.iter().product());
        let head = MaskHeadConfig { hidden, ..MaskHeadConfig::new(classes.len()) };
        let network =
            ClassifierNetwork { backbone: Backbone::new(device), head: head.init(device) };
        Ok(Self { network: weights.load_into(network)?, classes, crop })
    }

    /// The bytes of a weights file that holds both parts.
    ///
    /// # Errors
    /// If the container cannot hold the parameters.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>, WeightsError> {
        let labels = labels(&self.classes, self.crop);
        let metadata: Vec<(&str, &str)> =
            labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
        encode(CLASSIFIER_NAME, &metadata, named_tensors(&self.network), precision)
    }

    /// The head alone, for those who keep the backbone.
    pub fn into_head(self) -> HeadCheckpoint {
        HeadCheckpoint { layers: self.network.head, classes: self.classes, crop: self.crop }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::HEAD_NAME;

    #[test]
    fn both_parts_come_back_from_one_file() {
        let device = Device::flex();
        let head = MaskHeadConfig { hidden: 5, ..MaskHeadConfig::new(3) }.init(&device);
        let network = ClassifierNetwork { backbone: Backbone::new(&device), head };
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let crop = Crop { margin: 0.2, square: true };
        let saved = ClassifierCheckpoint { network, classes: classes.clone(), crop };
        let file = WeightsSource::from(saved.to_bytes(Precision::F32).unwrap());
        let absent = WeightsSource::File("absent.bpk".into());
        let read = ClassifierCheckpoint::load(&absent, &file, &device).unwrap();
        assert_eq!((read.classes, read.crop), (classes, crop));
        assert_eq!(named_tensors(&read.network), named_tensors(&saved.network));
        // A head's reader says what the file is.
        let refused = HeadCheckpoint::load(&file, &device).unwrap_err().to_string();
        assert!(refused.contains(CLASSIFIER_NAME) && refused.contains(HEAD_NAME), "{refused}");
    }
}
