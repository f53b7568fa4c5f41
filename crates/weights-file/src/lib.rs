//! Network weights in a [burnpack](burn_pack) file that says whose they are.
//!
//! A file carries the network's name, this crate's [`FORMAT_VERSION`], free-text metadata and the
//! parameters by module path, in `f32` or in half precision. Loading checks all of it, names what
//! does not fit, and always yields `f32` parameters.
//!
//! ```
//! use burn::{module::Module, nn::LinearConfig, tensor::Device};
//! use weights_file::{NamedTensor, Precision, WeightsFile, encode};
//!
//! let tensors = vec![
//!     NamedTensor::new("weight", [2, 1], vec![0.5, -0.25]),
//!     NamedTensor::new("bias", [1], vec![1.0]),
//! ];
//! let bytes = encode("tiny", &[("classes", "[\"a\"]")], tensors, Precision::F16)?;
//!
//! let file = WeightsFile::from_bytes(bytes, "tiny")?;
//! assert_eq!(file.metadata("classes")?, "[\"a\"]");
//! let linear = file.load_into(LinearConfig::new(2, 1).init(&Device::flex()))?;
//! assert_eq!(linear.num_params(), 3);
//! # Ok::<(), weights_file::WeightsError>(())
//! ```

mod error;
mod read;
mod source;
mod write;

pub use error::{Origin, Problem, WeightsError};
pub use read::WeightsFile;
pub use source::WeightsSource;
pub use write::{NamedTensor, Precision, encode, named_tensors};

/// Version of the metadata written beside the tensors; a file of another version is refused.
pub const FORMAT_VERSION: &str = "1";

/// Metadata key of the ranges of values that networks' convolutions read, which running them in eight
/// bits takes.
pub const INPUT_RANGES_KEY: &str = "input_ranges";

/// Metadata key of the network's name.
const NETWORK_KEY: &str = "network";

/// Metadata key of [`FORMAT_VERSION`].
const VERSION_KEY: &str = "format_version";
