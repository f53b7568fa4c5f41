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
//! A data set goes this way: [`class_folders`] or [`read_voc`] list it, [`scan`] reads every picture
//! once, [`find_copies`] groups what looks alike, [`grouped_split`] divides it, and [`load_views`]
//! yields augmented pictures.

mod augment;
mod class_folders;
mod copies;
mod decode;
mod discover;
mod loader;
mod sample;
mod scan;
pub mod seed;
mod split;
mod voc;
mod warp;

pub use augment::Augmentation;
pub use class_folders::class_folders;
pub use copies::{COPY_DISTANCE, Copies, CopyPair, find_copies};
pub use decode::{DecodeLimits, PictureError, PictureProblem, decode, decode_file};
pub use discover::{DiscoverError, is_picture_name, pictures_in};
pub use loader::{PictureCache, View, load_views};
pub use sample::{DatasetError, LabelledSet, Region, Sample};
pub use scan::{PictureFacts, ScannedSet, scan};
pub use split::{Split, SplitError, SplitFile, grouped_split};
pub use voc::{VocCrops, VocObject, VocPicture, read_voc, voc_folders, voc_samples};
pub use warp::Warp;
