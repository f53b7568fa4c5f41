//! Pictures and labels for the mask detector: finding and decoding pictures, class folders, VOC
//! boxes, splits that keep copies together, augmentation. Knows no network.
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
//!
//! With the feature `training`, a data set goes this way: [`class_folders`] or [`read_voc`] list it, [`scan`] reads every picture
//! once, [`find_copies`] groups what looks alike, [`grouped_split`] divides it, and [`load_views`]
//! yields augmented pictures.

#[cfg(feature = "training")]
mod augment;
#[cfg(feature = "training")]
mod class_folders;
#[cfg(feature = "training")]
mod copies;
mod decode;
mod discover;
#[cfg(feature = "training")]
mod loader;
#[cfg(feature = "training")]
mod sample;
#[cfg(feature = "training")]
mod scan;
#[cfg(feature = "training")]
pub mod seed;
#[cfg(feature = "training")]
mod split;
#[cfg(feature = "training")]
mod voc;
#[cfg(feature = "training")]
mod warp;

#[cfg(feature = "training")]
pub use augment::Augmentation;
#[cfg(feature = "training")]
pub use class_folders::class_folders;
#[cfg(feature = "training")]
pub use copies::{COPY_DISTANCE, Copies, CopyPair, find_copies};
pub use decode::{DecodeLimits, PictureError, PictureProblem, decode, decode_file};
pub use discover::{DiscoverError, is_picture_name, pictures_in};
#[cfg(feature = "training")]
pub use loader::{PictureCache, View, load_views};
#[cfg(feature = "training")]
pub use sample::{DatasetError, LabelledSet, Region, Sample};
#[cfg(feature = "training")]
pub use scan::{PictureFacts, ScannedSet, scan};
#[cfg(feature = "training")]
pub use split::{Split, SplitError, SplitFile, grouped_split};
#[cfg(feature = "training")]
pub use voc::{VocCrops, VocObject, VocPicture, read_voc, voc_folders, voc_samples};
#[cfg(feature = "training")]
pub use warp::Warp;
