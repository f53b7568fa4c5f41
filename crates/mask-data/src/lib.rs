//! Pictures for the mask detector: finding and decoding them. Knows no network.
//!
//! ```
//! use mask_data::{DecodeLimits, decode_file, pictures_in};
//!
//! let folder = std::path::Path::new("../../examples");
//! let pictures = pictures_in(folder, None)?;
//! assert!(pictures.contains(&folder.join("astronaut.jpg")));
//!
//! let photo = decode_file(&folder.join("astronaut.jpg"), &DecodeLimits::default())?;
//! assert_eq!(photo.dimensions(), (512, 512));
//!
//! // What is no picture says so, and names the file.
//! let error = decode_file(&folder.join("README.md"), &DecodeLimits::default()).unwrap_err();
//! assert_eq!(error.problem.to_string(), "not an image: its content is of no known format");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod discover;

pub use decode::{DecodeLimits, PictureError, PictureProblem, decode, decode_file};
pub use discover::{DiscoverError, is_picture_name, pictures_in};
