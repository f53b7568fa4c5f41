//! The trainable layers over the backbone, and the classes they know.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};
use geometry::Crop;
use weights_file::{
    Precision, Problem, WeightsError, WeightsFile, WeightsSource, encode, named_tensors,
};

use crate::{BACKBONE_NAME, FEATURE_DIM};

/// The name in the metadata of heads' weights files.
pub const HEAD_NAME: &str = "mask-head";

/// How images become the backbone's input, for the metadata of heads and exports.
const PREPROCESSING: &str = "RGB, 224 x 224 bilinear, x / 127.5 - 1";

/// Metadata key of [`Crop::margin`], in heads and exports.
const MARGIN_KEY: &str = "margin";

/// Metadata key of [`Crop::square`], in heads and exports.
const SQUARE_KEY: &str = "square";

/// Metadata key of [`Labels::temperature`], in heads. What has none has a temperature of 1.
const TEMPERATURE_KEY: &str = "temperature";

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
            hidden: LinearConfig::new(FEATURE_DIM, self.hidden).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            output: LinearConfig::new(self.hidden, self.classes).init(device),
        }
    }
}

/// Two dense layers: ReLU and dropout after the first, class logits after the second.
#[derive(Module, Debug)]
pub struct MaskHead {
    hidden: Linear,
    dropout: Dropout,
    output: Linear,
}

impl MaskHead {
    /// Class logits, `[batch, classes]`, of features `[batch, 1280]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.dropout.forward(self.hidden_activations(features)))
    }

    /// As [`MaskHead::forward`], with the hidden activations multiplied by `dropout_mask`, `[batch,
    /// hidden]`: dropout that the caller drew.
    pub fn forward_with_dropout_mask(
        &self,
        features: Tensor<2>,
        dropout_mask: Tensor<2>,
    ) -> Tensor<2> {
        self.output.forward(self.hidden_activations(features) * dropout_mask)
    }

    /// The head whose logits are these divided by a temperature.
    pub(crate) fn with_temperature(mut self, temperature: f32) -> Self {
        let Linear { weight, bias, .. } = self.output;
        self.output.weight = weight.map(|weight| weight / temperature);
        self.output.bias = bias.map(|bias| bias.map(|bias| bias / temperature));
        self
    }

    /// The activated hidden layer, `[batch, hidden]`, of features `[batch, 1280]`.
    pub fn hidden_activations(&self, features: Tensor<2>) -> Tensor<2> {
        relu(self.hidden.forward(features))
    }
}

/// A head with what its users must know: what a head's weights file holds.
#[derive(Debug, Clone)]
pub struct HeadCheckpoint {
    /// The layers, whose logits are not divided by the temperature.
    pub layers: MaskHead,
    /// What its outputs mean.
    pub labels: Labels,
}

/// What a classifier's outputs mean, and how its input is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// How faces' boxes become crops: as in training.
    pub crop: Crop,
    /// What logits are divided by, so that probabilities match frequencies: above 0, 1 for no change.
    pub temperature: f32,
}

impl HeadCheckpoint {
    /// Loads a head.
    ///
    /// # Errors
    /// If the weights cannot be read, are not a head's, or are a head's for another backbone.
    pub fn load(source: &WeightsSource, device: &Device) -> Result<Self, WeightsError> {
        let weights = source.open(HEAD_NAME, None)?;
        let backbone = weights.metadata("backbone")?;
        if backbone != BACKBONE_NAME {
            let (expected, found) = (BACKBONE_NAME.to_owned(), backbone.to_owned());
            return Err(weights.error(Problem::OtherNetwork { expected, found }));
        }
        let labels = Labels::read(&weights)?;
        let hidden = weights.shape("hidden.bias").map_or(0, |shape| shape.iter().product());
        let config = MaskHeadConfig { hidden, ..MaskHeadConfig::new(labels.classes.len()) };
        Ok(Self { layers: weights.load_into(config.init(device))?, labels })
    }

    /// The bytes of a weights file that [`HeadCheckpoint::load`] reads, with what a user of the head must know:
    /// classes, backbone, the size and scaling of its input.
    ///
    /// # Errors
    /// If the container cannot hold the parameters.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let metadata = self.labels.metadata();
        encode(HEAD_NAME, &borrowed(&metadata), named_tensors(&self.layers), Precision::F32)
    }
}

impl Labels {
    /// As metadata of a weights file, with the backbone, the size and the scaling of its input.
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        let mut metadata = vec![
            ("classes", serde_json::json!(self.classes).to_string()),
            ("backbone", BACKBONE_NAME.to_owned()),
            (MARGIN_KEY, self.crop.margin.to_string()),
            ("preprocessing", PREPROCESSING.to_owned()),
        ];
        if self.crop.square {
            metadata.push((SQUARE_KEY, true.to_string()));
        }
        if self.temperature != 1.0 {
            metadata.push((TEMPERATURE_KEY, self.temperature.to_string()));
        }
        metadata
    }

    /// From a file's metadata.
    pub(crate) fn read(weights: &WeightsFile) -> Result<Self, WeightsError> {
        let damaged = |key: &str| weights.error(Problem::Metadata(key.to_owned()));
        let number = |key: &str, default| {
            let text = weights.optional_metadata(key);
            let value = text.map_or(Ok(default), |text| text.parse().map_err(|_| damaged(key)))?;
            if f32::is_finite(value) { Ok(value) } else { Err(damaged(key)) }
        };
        let classes = serde_json::from_str(weights.metadata("classes")?);
        let classes: Vec<String> = classes.map_err(|_| damaged("classes"))?;
        // Heads that were written before there were margins and squares have none.
        let margin = number(MARGIN_KEY, 0.0)?;
        let square = weights.optional_metadata(SQUARE_KEY).unwrap_or("false");
        let square = square.parse().map_err(|_| damaged(SQUARE_KEY))?;
        let temperature = number(TEMPERATURE_KEY, 1.0)?;
        if temperature <= 0.0 {
            return Err(damaged(TEMPERATURE_KEY));
        }
        Ok(Self { classes, crop: Crop { margin, square }, temperature })
    }
}

/// Metadata as an encoder takes it.
pub(crate) fn borrowed<'a>(metadata: &'a [(&str, String)]) -> Vec<(&'a str, &'a str)> {
    metadata.iter().map(|(key, value)| (*key, value.as_str())).collect()
}
