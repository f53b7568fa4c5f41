//! Reading every image of a set once: which can be read, what they are like.

use std::{collections::HashMap, fs, path::Path};

use image::{RgbImage, imageops};
use image_hasher::{HashAlg, Hasher, HasherConfig, ImageHash};
use image_input::{DecodeError, DecodeOptions, ImageError, decode};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{DatasetError, LabeledSet};

/// Sides of the hash: a gradient hash of 16 x 16 bits.
const HASH_SIDE: u32 = 16;
/// Side of the thumbnail that is hashed, in pixels.
const THUMBNAIL_SIDE: u32 = 64;

/// What is known of an image after reading it.
#[derive(Debug, Clone)]
pub struct ImageInfo {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Perceptual hash.
    pub hash: ImageHash<[u8; 32]>,
    /// Perceptual hash of the mirror image.
    pub mirrored_hash: ImageHash<[u8; 32]>,
}

/// A set whose images were read.
#[derive(Debug)]
pub struct InspectedSet {
    /// Classes and samples; those of unreadable images are left out.
    pub set: LabeledSet,
    /// Facts about each sample's image, in the order of the samples.
    pub info: Vec<ImageInfo>,
    /// Images that cannot be read.
    pub unreadable: Vec<ImageError>,
}

/// Reads every image of a set, on all cores.
///
/// `max_unreadable` is the tolerated fraction of images that cannot be read, in [0, 1];
/// `progress` is called once per image, from any thread.
///
/// # Errors
/// If more images than tolerated cannot be read, or all of a class.
pub fn inspect(
    root: &Path,
    set: LabeledSet,
    options: &DecodeOptions,
    max_unreadable: f64,
    progress: &(dyn Fn() + Sync),
) -> Result<InspectedSet, DatasetError> {
    let mut paths: Vec<&Path> = set.samples.iter().map(|sample| &*sample.image).collect();
    paths.dedup();
    let hasher = HasherConfig::with_bytes_type::<[u8; 32]>()
        .hash_size(HASH_SIDE, HASH_SIDE)
        .hash_alg(HashAlg::Gradient)
        .to_hasher();
    let read: Vec<_> = paths
        .par_iter()
        .map(|path| {
            let info = info(path, options, &hasher);
            progress();
            info.map_err(|problem| ImageError { path: path.to_path_buf(), problem })
        })
        .collect();
    let total = paths.len();
    let mut known = HashMap::new();
    let mut unreadable = Vec::new();
    for result in read.into_iter().zip(&paths) {
        match result {
            (Ok(info), path) => drop(known.insert(path.to_path_buf(), info)),
            (Err(error), _) => unreadable.push(error),
        }
    }
    let (classes, files) = (set.classes.clone(), set.support());
    let mut inspected = InspectedSet {
        set: LabeledSet { classes, samples: Vec::new() },
        info: Vec::new(),
        unreadable,
    };
    for sample in set.samples {
        if let Some(info) = known.get(&sample.image) {
            inspected.info.push(info.clone());
            inspected.set.samples.push(sample);
        }
    }
    let root = root.to_path_buf();
    if let Some(class) = inspected.set.support().iter().position(|count| *count == 0) {
        let first = inspected.unreadable.first().map(ToString::to_string).unwrap_or_default();
        let (count, class) = (files[class], inspected.set.classes[class].clone());
        return Err(DatasetError::NothingReadable { root, class, count, first });
    }
    let bad = inspected.unreadable.len();
    if let Some(first) = inspected.unreadable.first()
        && bad as f64 > max_unreadable * total as f64
    {
        return Err(DatasetError::TooManyUnreadable {
            root,
            unreadable: bad,
            total,
            limit_percent: 100.0 * max_unreadable,
            first: first.to_string(),
        });
    }
    Ok(inspected)
}

fn info(
    path: &Path,
    options: &DecodeOptions,
    hasher: &Hasher<[u8; 32]>,
) -> Result<ImageInfo, DecodeError> {
    let bytes = fs::read(path)?;
    let image = decode(&bytes, path.extension(), options)?.image;
    let (width, height) = image.dimensions();
    let thumbnail: RgbImage = imageops::thumbnail(&image, THUMBNAIL_SIDE, THUMBNAIL_SIDE);
    Ok(ImageInfo {
        width,
        height,
        sha256: Sha256::digest(&bytes).into(),
        hash: hasher.hash_image(&thumbnail),
        mirrored_hash: hasher.hash_image(&imageops::flip_horizontal(&thumbnail)),
    })
}

impl InspectedSet {
    /// SHA-256 over names and contents of the images, and their classes: the same for the same
    /// data in the same folders, wherever these lie.
    pub fn sha256(&self, root: &Path) -> String {
        let mut digest = Sha256::new();
        for (sample, info) in self.set.samples.iter().zip(&self.info) {
            let path = sample.image.strip_prefix(root).unwrap_or(&sample.image);
            for part in path.components() {
                digest.update(part.as_os_str().as_encoded_bytes());
                digest.update(b"/");
            }
            digest.update(self.set.classes[sample.class].as_bytes());
            digest.update(info.sha256);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
