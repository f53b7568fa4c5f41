//! Data sets for the mask detector. Knows no network.
//!
//! A [`Dataset`] goes this way: [`class_folders`] or [`annotations`] list it, [`inspect`] reads every
//! image once, [`find_duplicates`] groups what looks alike, [`grouped_split`] divides it, and
//! [`load_samples`] yields augmented samples.
//!
//! ```
//! use mask_data::{Dataset, DatasetConfig};
//!
//! # let folder = tempfile::tempdir()?;
//! # for (class, grey) in [("with_mask", 60), ("without_mask", 200)] {
//! #     std::fs::create_dir(folder.path().join(class))?;
//! #     for number in 0..4u32 {
//! #         let image = image::RgbImage::from_fn(40, 40, |x, y| {
//! #             image::Rgb([grey, ((x * (number + 3)) ^ (y * 5 * (number + 1))) as u8, (x * y) as u8])
//! #         });
//! #         image.save(folder.path().join(class).join(format!("{number}.png")))?;
//! #     }
//! # }
//! # let folder = folder.path();
//! let config = DatasetConfig { duplicate_distance: 10, ..DatasetConfig::default() };
//! let dataset = Dataset::open(folder, &config, &|| ())?;
//! assert_eq!(dataset.set.classes, ["with_mask", "without_mask"]);
//! let split = dataset.split(0.25, 42)?;
//! assert_eq!((split.train.len(), split.validation.len()), (6, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod augment;
mod class_folders;
mod dataset;
mod duplicates;
mod inspect;
mod loader;
mod overlay;
mod sample;
mod scene;
mod scene_set;
pub mod seed;
mod split;
mod warp;

pub use augment::{Augmentation, AugmentationError};
pub use class_folders::{DividedFolders, class_folders, divided_folders};
pub use dataset::{Dataset, DatasetConfig, SampleRegions};
pub use duplicates::{DUPLICATE_HASH_DISTANCE, DuplicatePair, Duplicates, find_duplicates};
pub use inspect::{ImageInfo, InspectedSet, inspect};
pub use loader::{AugmentedSample, ImageCache, LoaderConfig, load_samples};
pub use overlay::Overlay;
pub(crate) use sample::common_root;
pub use sample::{DatasetError, LabeledSet, Sample};
pub use scene::{Placement, Scene, SceneAugmentation, SceneLoader, SceneSample, annotated_scenes};
pub use scene_set::SceneSet;
pub use split::{Split, SplitError, SplitFile, grouped_split};
pub use warp::Warp;
