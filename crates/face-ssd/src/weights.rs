//! The network's weights.

use burn::tensor::Device;
use weights_file::{WeightsError, WeightsSource};

use crate::network::Res10Ssd;

/// The name in the metadata of the network's weights files.
pub const NETWORK_NAME: &str = "res10-ssd";

#[cfg(feature = "embedded-weights")]
const EMBEDDED: Option<&[u8]> = Some(mask_models::RES10_SSD);
#[cfg(not(feature = "embedded-weights"))]
const EMBEDDED: Option<&[u8]> = None;

impl Res10Ssd {
    /// Loads the network.
    ///
    /// # Errors
    /// If the weights cannot be read or belong to another network.
    pub fn load(source: &WeightsSource, device: &Device) -> Result<Self, WeightsError> {
        source.open(NETWORK_NAME, EMBEDDED)?.load_into(Self::new(device))
    }
}
