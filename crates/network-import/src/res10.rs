//! The face network's weights under the names of `face_ssd::network::Res10Ssd`, batch norms folded
//! into the convolutions they follow.

use anyhow::ensure;
use weights_file::NamedTensor;

use crate::caffe::CaffeNet;

/// Caffe's default `eps` of `BatchNorm` layers.
const EPSILON: f64 = 1e-5;

/// A batch norm with its scale layer as `scale * x + bias` per channel.
struct Affine {
    scale: Vec<f64>,
    bias: Vec<f64>,
}

impl Affine {
    fn read(net: &CaffeNet, norm: &str, scale: &str) -> anyhow::Result<Self> {
        let [mean, variance, factor] = net.blobs(norm)?;
        let [gamma, beta] = net.blobs(scale)?;
        // Caffe stores sums with their weight.
        let weight = match factor.values.as_slice() {
            [0.0] | [] => 1.0,
            [factor, ..] => 1.0 / f64::from(*factor),
        };
        let scale: Vec<f64> = gamma
            .values
            .iter()
            .zip(&variance.values)
            .map(|(gamma, variance)| {
                f64::from(*gamma) / (f64::from(*variance) * weight + EPSILON).sqrt()
            })
            .collect();
        let bias = beta
            .values
            .iter()
            .zip(&mean.values)
            .zip(&scale)
            .map(|((beta, mean), scale)| f64::from(*beta) - f64::from(*mean) * weight * scale)
            .collect();
        Ok(Self { scale, bias })
    }
}

/// Collects named tensors from layers.
struct Collector<'a> {
    net: &'a CaffeNet,
    tensors: Vec<NamedTensor>,
}

impl Collector<'_> {
    fn push(&mut self, name: String, shape: &[usize], values: Vec<f32>) {
        self.tensors.push(NamedTensor::new(name, shape.to_vec(), values));
    }

    /// A batch norm of its own.
    fn affine(&mut self, name: &str, norm: &str, scale: &str) -> anyhow::Result<()> {
        let affine = Affine::read(self.net, norm, scale)?;
        for (part, values) in [("scale", affine.scale), ("bias", affine.bias)] {
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            self.push(format!("{name}.{part}"), &[values.len()], values);
        }
        Ok(())
    }

    /// A convolution without bias.
    fn conv(&mut self, name: &str, layer: &str) -> anyhow::Result<()> {
        let [weight] = self.net.blobs(layer)?;
        self.push(format!("{name}.weight"), &weight.shape, weight.values.clone());
        Ok(())
    }

    /// A convolution with bias.
    fn biased_conv(&mut self, name: &str, layer: &str) -> anyhow::Result<()> {
        let [weight, bias] = self.net.blobs(layer)?;
        self.push(format!("{name}.weight"), &weight.shape, weight.values.clone());
        self.push(format!("{name}.bias"), &bias.shape, bias.values.clone());
        Ok(())
    }

    /// A convolution with the batch norm that follows it; `bias` is the convolution's own, if any.
    fn folded_conv(
        &mut self,
        name: &str,
        layer: &str,
        norm: [&str; 2],
        has_bias: bool,
    ) -> anyhow::Result<()> {
        let affine = Affine::read(self.net, norm[0], norm[1])?;
        let channels = affine.scale.len();
        let (weight, own_bias) = if has_bias {
            let [weight, bias] = self.net.blobs(layer)?;
            (weight, bias.values.clone())
        } else {
            let [weight] = self.net.blobs(layer)?;
            (weight, vec![0.0; channels])
        };
        ensure!(weight.shape[0] == channels, "{layer} and {} differ in channels", norm[0]);
        let per_channel = weight.values.len() / channels;
        let folded = weight
            .values
            .chunks(per_channel)
            .zip(&affine.scale)
            .flat_map(|(kernel, scale)| {
                kernel.iter().map(move |value| (f64::from(*value) * scale) as f32)
            })
            .collect();
        let bias = own_bias
            .iter()
            .zip(affine.scale.iter().zip(&affine.bias))
            .map(|(own, (scale, bias))| (f64::from(*own) * scale + bias) as f32)
            .collect();
        self.push(format!("{name}.weight"), &weight.shape, folded);
        self.push(format!("{name}.bias"), &[channels], bias);
        Ok(())
    }
}

/// All parameters of `Res10Ssd`. Layer names are those of `deploy.prototxt`.
pub(crate) fn tensors(net: &CaffeNet) -> anyhow::Result<Vec<NamedTensor>> {
    let mut collect = Collector { net, tensors: Vec::new() };

    collect.affine("stem.input", "data_bn", "data_scale")?;
    collect.folded_conv("stem.conv", "conv1_h", ["conv1_bn_h", "conv1_scale_h"], true)?;

    let norm = ["layer_64_1_bn2_h", "layer_64_1_scale2_h"];
    collect.folded_conv("block_64.conv1", "layer_64_1_conv1_h", norm, false)?;
    collect.conv("block_64.conv2", "layer_64_1_conv2_h")?;

    collect.affine("block_128.norm", "layer_128_1_bn1_h", "layer_128_1_scale1_h")?;
    let norm = ["layer_128_1_bn2", "layer_128_1_scale2"];
    collect.folded_conv("block_128.conv1", "layer_128_1_conv1_h", norm, false)?;
    collect.conv("block_128.conv2", "layer_128_1_conv2")?;
    collect.conv("block_128.shortcut", "layer_128_1_conv_expand_h")?;

    collect.affine("block_256.norm", "layer_256_1_bn1", "layer_256_1_scale1")?;
    let norm = ["layer_256_1_bn2", "layer_256_1_scale2"];
    collect.folded_conv("block_256.conv1", "layer_256_1_conv1", norm, false)?;
    collect.conv("block_256.conv2", "layer_256_1_conv2")?;
    collect.conv("block_256.shortcut", "layer_256_1_conv_expand")?;

    collect.affine("block_512.norm", "layer_512_1_bn1", "layer_512_1_scale1")?;
    let norm = ["layer_512_1_bn2_h", "layer_512_1_scale2_h"];
    collect.folded_conv("block_512.conv1", "layer_512_1_conv1_h", norm, false)?;
    collect.conv("block_512.conv2", "layer_512_1_conv2_h")?;
    collect.conv("block_512.shortcut", "layer_512_1_conv_expand_h")?;

    collect.affine("final_norm", "last_bn_h", "last_scale_h")?;
    for (index, layer) in ["conv6", "conv7", "conv8", "conv9"].into_iter().enumerate() {
        for part in 1..=2 {
            let name = format!("extras.{index}.conv{part}");
            collect.biased_conv(&name, &format!("{layer}_{part}_h"))?;
        }
    }

    let [scale] = net.blobs("conv4_3_norm")?;
    collect.push("l2_norm.scale".to_owned(), &[scale.values.len()], scale.values.clone());
    let maps = ["conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2"];
    for (index, map) in maps.into_iter().enumerate() {
        for (part, layer) in [("box_deltas", "loc"), ("class_logits", "conf")] {
            let name = format!("heads.{index}.{part}");
            collect.biased_conv(&name, &format!("{map}_mbox_{layer}"))?;
        }
    }
    Ok(collect.tensors)
}
