//! The trainable layers over the backbone, and the classes they know.

use std::path::Path;

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};
use weights_file::{Precision, Problem, WeightsError, WeightsFile, encode, named_tensors};

use crate::{BACKBONE_NAME, FEATURES};

/// The name in the metadata of heads' weights files.
pub const HEAD_NAME: &str = "mask-head";

/// How pictures become the backbone's input, for the metadata of heads and exports.
pub const PREPROCESSING: &str = "RGB, 224 x 224 bilinear, x / 127.5 - 1";

/// The default head, made by `cargo xtask train` as docs/training.md says.
static EMBEDDED: &[u8] = include_bytes!("../../../models/mask_head.bpk");

/// Shape of a [`MaskHead`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskHeadConfig {
    /// Units of the hidden layer. Default: 128, as the reference.
    pub hidden: usize,
    /// Number of classes.
    pub classes: usize,
    /// Fraction of hidden units left out in training, in [0, 1). Default: 0.5, as the reference.
    pub dropout: f64,
}

impl MaskHeadConfig {
    /// The reference's head for a number of classes.
    pub fn new(classes: usize) -> Self {
        Self { hidden: 128, classes, dropout: 0.5 }
    }

    /// The head with random weights.
    pub fn init(&self, device: &Device) -> MaskHead {
        MaskHead {
            hidden: LinearConfig::new(FEATURES, self.hidden).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            output: LinearConfig::new(self.hidden, self.classes).init(device),
        }
    }
}

/// Two dense layers: ReLU and dropout after the first, class scores after the second.
#[derive(Module, Debug)]
pub struct MaskHead {
    hidden: Linear,
    dropout: Dropout,
    output: Linear,
}

impl MaskHead {
    /// Class scores before the softmax, `[batch, classes]`, of features `[batch, 1280]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.dropout.forward(self.hidden_units(features)))
    }

    /// As [`MaskHead::forward`], with the hidden units scaled by `kept`, `[batch, hidden]`: dropout
    /// whose choice is the caller's.
    #[cfg(feature = "train")]
    pub(crate) fn forward_kept(&self, features: Tensor<2>, kept: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.hidden_units(features) * kept)
    }

    /// The activated hidden layer, `[batch, hidden]`, of features `[batch, 1280]`.
    pub fn hidden_units(&self, features: Tensor<2>) -> Tensor<2> {
        relu(self.hidden.forward(features))
    }
}

/// A head with the names of its classes.
#[derive(Debug, Clone)]
pub struct Head {
    /// The layers.
    pub layers: MaskHead,
    /// Names of the classes, in the order of the scores.
    pub classes: Vec<String>,
}

impl Head {
    /// Loads a head, from a weights file if one is given, else the embedded one.
    ///
    /// # Errors
    /// If the file cannot be read, is no head, or is a head for another backbone.
    pub fn load(file: Option<&Path>, device: &Device) -> Result<Self, WeightsError> {
        let weights = match file {
            None => WeightsFile::from_bytes(EMBEDDED.to_vec(), HEAD_NAME)?,
            Some(path) => WeightsFile::open(path, HEAD_NAME)?,
        };
        let backbone = weights.metadata("backbone")?;
        if backbone != BACKBONE_NAME {
            let (expected, found) = (BACKBONE_NAME.to_owned(), backbone.to_owned());
            return Err(weights.error(Problem::OtherNetwork { expected, found }));
        }
        let classes: Vec<String> = serde_json::from_str(weights.metadata("classes")?)
            .map_err(|_| weights.error(Problem::Metadata("classes".to_owned())))?;
        let hidden = weights.shape("hidden.bias").map_or(0, |shape| shape.iter().product());
        let config = MaskHeadConfig { hidden, ..MaskHeadConfig::new(classes.len()) };
        Ok(Self { layers: weights.load_into(config.init(device))?, classes })
    }

    /// The bytes of a weights file that [`Head::load`] reads, with what a user of the head must know:
    /// classes, backbone, the size and scaling of its input.
    ///
    /// # Errors
    /// If the container cannot hold the parameters.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let classes = serde_json::json!(self.classes).to_string();
        let metadata =
            [("classes", &*classes), ("backbone", BACKBONE_NAME), ("preprocessing", PREPROCESSING)];
        encode(HEAD_NAME, &metadata, named_tensors(&self.layers), Precision::F32)
    }
}
