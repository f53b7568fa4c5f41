//! The network: a ResNet-10 trunk with pre-activated blocks, four extra feature maps and an SSD
//! head on six maps. Written after `deploy.prototxt` of OpenCV's face detector; batch norms that
//! follow a convolution are folded into it, the others are `ChannelAffine`. What OpenCV's network has
//! not: the second map may add to the first.

mod basic_block;
mod channel_affine;
mod extra_layer;
mod l2_norm;
mod multibox_head;
mod pre_activation_block;
mod stem;
mod top_down;

use basic_block::BasicBlock;
use channel_affine::ChannelAffine;
use extra_layer::{ExtraLayer, ExtraLayerConfig};
use l2_norm::L2Norm;
use multibox_head::MultiBoxHead;
use pre_activation_block::{PreActivationBlock, PreActivationBlockConfig};
use stem::Stem;
use top_down::TopDown;

use burn::{
    module::Module,
    nn::{
        Initializer, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, activation::relu},
};

use crate::PriorLayout;

/// Channels of the six feature maps that the heads read.
const MAP_CHANNELS: [usize; 6] = [128, 256, 256, 128, 128, 128];

/// The pre-activated blocks: input, inner and output channels, stride of the first convolution,
/// dilation of the second. The last one keeps its resolution and dilates instead.
#[rustfmt::skip]
const BLOCKS: [PreActivationBlockConfig; 3] = [
    PreActivationBlockConfig { input: 32, inner: 128, output: 128, stride: 2, dilation: 1 },
    PreActivationBlockConfig { input: 128, inner: 256, output: 256, stride: 2, dilation: 1 },
    PreActivationBlockConfig { input: 256, inner: 128, output: 256, stride: 1, dilation: 2 },
];

/// The layers that make the extra maps.
#[rustfmt::skip]
const EXTRAS: [ExtraLayerConfig; 4] = [
    ExtraLayerConfig { input: 256, inner: 128, output: 256, stride: 2 },
    ExtraLayerConfig { input: 256, inner: 64, output: 128, stride: 2 },
    ExtraLayerConfig { input: 128, inner: 64, output: 128, stride: 1 },
    ExtraLayerConfig { input: 128, inner: 64, output: 128, stride: 1 },
];

/// The res10 SSD.
#[derive(Module, Debug)]
pub struct Res10Ssd {
    stem: Stem,
    block_64: BasicBlock,
    block_128: PreActivationBlock,
    block_256: PreActivationBlock,
    block_512: PreActivationBlock,
    final_norm: ChannelAffine,
    extras: Vec<ExtraLayer>,
    l2_norm: L2Norm,
    top_down: Option<TopDown>,
    heads: Vec<MultiBoxHead>,
}

/// The network's output for every prior box.
#[derive(Debug, Clone)]
pub struct SsdOutput {
    /// Offsets of centre and size, Caffe's `mbox_loc`: `[batch, priors, 4]`.
    pub box_deltas: Tensor<3>,
    /// Logits of background and face, Caffe's `mbox_conf`: `[batch, priors, 2]`.
    pub class_logits: Tensor<3>,
}

#[doc(hidden)]
/// The activations inside the network, each `[batch, channels, height, width]`, for comparison with
/// other implementations. Named as in `deploy.prototxt`.
#[derive(Debug, Clone)]
pub struct FeatureMaps {
    /// `layer_64_1_sum`.
    pub layer_64: Tensor<4>,
    /// `layer_128_1_sum`.
    pub layer_128: Tensor<4>,
    /// `layer_256_1_sum`.
    pub layer_256: Tensor<4>,
    /// `layer_512_1_sum`, before the last batch norm.
    pub layer_512: Tensor<4>,
    /// The six maps that the heads read: `conv4_3_norm` with what the second adds to it, `fc7`
    /// (`last_relu`), `conv6_2` to `conv9_2`.
    pub maps: [Tensor<4>; 6],
}

impl Res10Ssd {
    /// The network with zeros for weights, to be loaded.
    pub fn new(priors: PriorLayout, device: &Device) -> Self {
        let [block_128, block_256, block_512] = BLOCKS.map(|block| block.init(device));
        Self {
            stem: Stem::new(device),
            block_64: BasicBlock::new(32, device),
            block_128,
            block_256,
            block_512,
            final_norm: ChannelAffine::new(256, device),
            extras: EXTRAS.map(|layer| layer.init(device)).into(),
            l2_norm: L2Norm::new(MAP_CHANNELS[0], device),
            top_down: None,
            heads: MAP_CHANNELS
                .iter()
                .zip(priors.cell_priors())
                .map(|(channels, cell)| MultiBoxHead::new(*channels, cell.len(), device))
                .collect(),
        }
    }

    /// The network with heads for the squares of [`PriorLayout::Squares`] instead of the reference's
    /// boxes, each of which starts as one of these.
    #[cfg(feature = "train")]
    pub fn with_squares(self) -> Self {
        let cells = PriorLayout::Squares.cell_priors();
        let heads = self.heads.iter().zip(cells).map(|(head, cell)| {
            let starts: Vec<usize> = cell.iter().map(|prior| prior.starts_as).collect();
            head.rearranged(&starts)
        });
        Self { heads: heads.collect(), ..self }
    }

    /// The network in which the second map adds to the first: as yet nothing, if it did not.
    pub fn with_top_down(self, device: &Device) -> Self {
        let [first, second, ..] = MAP_CHANNELS;
        let top_down = self.top_down.unwrap_or_else(|| TopDown::new(second, first, device));
        Self { top_down: Some(top_down), ..self }
    }

    /// Sides of inputs are multiples of this: where one map adds to another, that must be twice as
    /// large.
    pub fn input_step(&self) -> u32 {
        if self.top_down.is_some() { 16 } else { 1 }
    }

    /// Runs the network on `[batch, 3, height, width]`: BGR, 0 to 255 less [`crate::MEAN_BGR`],
    /// height and width multiples of [`Res10Ssd::input_step`].
    pub fn forward(&self, input: Tensor<4>) -> SsdOutput {
        let maps = self.features(input).maps;
        let (deltas, logits): (Vec<_>, Vec<_>) =
            self.heads.iter().zip(maps).map(|(head, map)| head.forward(map)).unzip();
        SsdOutput { box_deltas: Tensor::cat(deltas, 1), class_logits: Tensor::cat(logits, 1) }
    }

    /// Runs the trunk and the extra layers, without the heads. For comparison with other
    /// implementations.
    #[doc(hidden)]
    pub fn features(&self, input: Tensor<4>) -> FeatureMaps {
        let layer_64 = self.block_64.forward(self.stem.forward(input));
        let (_, layer_128) = self.block_128.forward(layer_64.clone());
        let (activated_128, layer_256) = self.block_256.forward(layer_128.clone());
        let (_, layer_512) = self.block_512.forward(layer_256.clone());

        let second = relu(self.final_norm.forward(layer_512.clone()));
        let first = self.l2_norm.forward(activated_128);
        let first = match &self.top_down {
            Some(top_down) => first + top_down.forward(second.clone()),
            None => first,
        };
        let mut previous = second.clone();
        let mut next = |extra: &ExtraLayer| {
            previous = extra.forward(previous.clone());
            previous.clone()
        };
        let maps = [
            first,
            second,
            next(&self.extras[0]),
            next(&self.extras[1]),
            next(&self.extras[2]),
            next(&self.extras[3]),
        ];
        FeatureMaps { layer_64, layer_128, layer_256, layer_512, maps }
    }
}

/// A square convolution that keeps the size (before its stride), with zeros for weights.
struct ConvConfig {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    bias: bool,
}

impl ConvConfig {
    fn init(&self, device: &Device) -> Conv2d {
        let pad = self.dilation * (self.kernel - 1) / 2;
        Conv2dConfig::new([self.input, self.output], [self.kernel; 2])
            .with_stride([self.stride; 2])
            .with_dilation([self.dilation; 2])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(self.bias)
            .with_initializer(Initializer::Zeros)
            .init(device)
    }
}
