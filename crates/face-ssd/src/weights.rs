//! The network's weights.

use burn::tensor::Device;
use weights_file::{Precision, Problem, WeightsError, WeightsSource, encode, named_tensors};

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

/// The network as the bytes of a weights file.
///
/// # Errors
/// If the container cannot hold it.
pub fn encode_weights(
    network: &Res10Ssd,
    priors: PriorLayout,
    precision: Precision,
) -> Result<Vec<u8>, WeightsError> {
    let layout = priors.to_string();
    let metadata: &[(&str, &str)] = match priors {
        PriorLayout::Squares => &[(PRIORS_KEY, &layout)],
        PriorLayout::Corrected | PriorLayout::Caffe => &[],
    };
    encode(NETWORK_NAME, metadata, named_tensors(network), precision)
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
        let file = source.open(NETWORK_NAME, EMBEDDED)?;
        let priors = match file.optional_metadata(PRIORS_KEY) {
            None => PriorLayout::Corrected,
            Some(name) => {
                name.parse().map_err(|_| file.error(Problem::Metadata(PRIORS_KEY.to_owned())))?
            }
        };
        let mut network = Self::new(priors, device);
        if file.shape(TOP_DOWN).is_some() {
            network = network.with_top_down(device);
        }
        Ok((file.load_into(network)?, priors))
    }
}
