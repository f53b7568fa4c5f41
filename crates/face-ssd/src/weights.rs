//! The network's weights.

use burn::tensor::Device;
use fused_cpu::InputRanges;
use weights_file::{
    INPUT_RANGES_KEY, Precision, WeightsError, WeightsSource, encode, named_tensors,
};

use crate::{PriorLayout, network::Res10Ssd};

/// The name in the metadata of the network's weights files.
pub const NETWORK_NAME: &str = "res10-ssd";

#[cfg(feature = "embedded-weights")]
const EMBEDDED: Option<&[u8]> = Some(mask_models::RES10_SSD);
#[cfg(not(feature = "embedded-weights"))]
const EMBEDDED: Option<&[u8]> = None;

/// Metadata key of the layout of prior boxes that the weights were trained with. Files without it
/// are of the reference's boxes.
pub(crate) const PRIORS_KEY: &str = "priors";

/// A parameter of what the reference's network has not.
const TOP_DOWN: &str = "top_down.conv.weight";

/// The network with what its users must know: what its weights file holds.
#[derive(Debug, Clone)]
pub struct FaceCheckpoint {
    /// The network.
    pub network: Res10Ssd,
    /// The prior boxes that it was trained with.
    pub priors: PriorLayout,
    /// What it takes to run it in eight bits, if it was calibrated.
    pub input_ranges: Option<InputRanges>,
}

/// The network as the bytes of a weights file.
///
/// # Errors
/// If the container cannot hold it.
pub fn encode_weights(
    network: &Res10Ssd,
    priors: PriorLayout,
    precision: Precision,
) -> Result<Vec<u8>, WeightsError> {
    FaceCheckpoint { network: network.clone(), priors, input_ranges: None }.to_bytes(precision)
}

impl Res10Ssd {
    /// Loads the network; also yields the layout of prior boxes that it was trained with.
    ///
    /// # Errors
    /// If the weights cannot be read or belong to another network.
    pub fn load(
        source: &WeightsSource,
        device: &Device,
    ) -> Result<(Self, PriorLayout), WeightsError> {
        FaceCheckpoint::load(source, device).map(|loaded| (loaded.network, loaded.priors))
    }
}

impl FaceCheckpoint {
    /// Loads the network.
    ///
    /// # Errors
    /// If the weights cannot be read or belong to another network.
    pub fn load(source: &WeightsSource, device: &Device) -> Result<Self, WeightsError> {
        let file = source.open(NETWORK_NAME, EMBEDDED)?;
        let priors = file.parsed_metadata(PRIORS_KEY)?.unwrap_or(PriorLayout::Corrected);
        let input_ranges = file.parsed_metadata(INPUT_RANGES_KEY)?;
        let mut network = Res10Ssd::new(priors, device);
        if file.shape(TOP_DOWN).is_some() {
            network = network.with_top_down(device);
        }
        Ok(Self { network: file.load_into(network)?, priors, input_ranges })
    }

    /// The bytes of a weights file.
    ///
    /// # Errors
    /// If the container cannot hold the network.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>, WeightsError> {
        let layout = self.priors.to_string();
        let ranges = self.input_ranges.as_ref().map(ToString::to_string);
        let mut metadata: Vec<(&str, &str)> = match self.priors {
            PriorLayout::Squares => vec![(PRIORS_KEY, &layout)],
            PriorLayout::Corrected | PriorLayout::Caffe => Vec::new(),
        };
        metadata.extend(ranges.as_deref().map(|ranges| (INPUT_RANGES_KEY, ranges)));
        encode(NETWORK_NAME, &metadata, named_tensors(&self.network), precision)
    }
}
