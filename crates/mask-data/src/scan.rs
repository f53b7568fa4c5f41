//! Reading every picture of a set once: which can be read, what they are like.

use std::{collections::HashMap, fs, path::Path};

use image::{RgbImage, imageops};
use image_hasher::{HashAlg, Hasher, HasherConfig, ImageHash};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{DatasetError, DecodeLimits, LabelledSet, PictureError, PictureProblem, decode};

/// Sides of the hash: a gradient hash of 16 x 16 bits.
const HASH_SIDE: u32 = 16;
/// Side of the thumbnail that is hashed, in pixels.
const THUMBNAIL_SIDE: u32 = 64;

/// What is known of a picture after reading it.
#[derive(Debug, Clone)]
pub struct PictureFacts {
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

/// A set whose pictures were read.
#[derive(Debug)]
pub struct ScannedSet {
    /// Classes and samples; those of unreadable pictures are left out.
    pub set: LabelledSet,
    /// Facts about each sample's picture, in the order of the samples.
    pub facts: Vec<PictureFacts>,
    /// Pictures that cannot be read.
    pub unreadable: Vec<PictureError>,
}

/// Reads every picture of a set, on all cores.
///
/// `max_unreadable` is the tolerated part of pictures that cannot be read, in [0, 1];
/// `progress` is called once a picture, from any thread.
///
/// # Errors
/// If more pictures than tolerated cannot be read, or all of a class.
pub fn scan(
    root: &Path,
    set: LabelledSet,
    limits: &DecodeLimits,
    max_unreadable: f64,
    progress: &(dyn Fn() + Sync),
) -> Result<ScannedSet, DatasetError> {
    let mut paths: Vec<&Path> = set.samples.iter().map(|sample| &*sample.picture).collect();
    paths.dedup();
    let hasher = HasherConfig::with_bytes_type::<[u8; 32]>()
        .hash_size(HASH_SIDE, HASH_SIDE)
        .hash_alg(HashAlg::Gradient)
        .to_hasher();
    let read: Vec<_> = paths
        .par_iter()
        .map(|path| {
            let facts = facts(path, limits, &hasher);
            progress();
            facts.map_err(|problem| PictureError { path: path.to_path_buf(), problem })
        })
        .collect();
    let total = paths.len();
    let mut known = HashMap::new();
    let mut unreadable = Vec::new();
    for result in read.into_iter().zip(&paths) {
        match result {
            (Ok(facts), path) => drop(known.insert(path.to_path_buf(), facts)),
            (Err(error), _) => unreadable.push(error),
        }
    }
    let (classes, files) = (set.classes.clone(), set.support());
    let mut scanned = ScannedSet {
        set: LabelledSet { classes, samples: Vec::new() },
        facts: Vec::new(),
        unreadable,
    };
    for sample in set.samples {
        if let Some(facts) = known.get(&sample.picture) {
            scanned.facts.push(facts.clone());
            scanned.set.samples.push(sample);
        }
    }
    let root = root.to_path_buf();
    if let Some(class) = scanned.set.support().iter().position(|count| *count == 0) {
        let first = scanned.unreadable.first().map(ToString::to_string).unwrap_or_default();
        let (count, class) = (files[class], scanned.set.classes[class].clone());
        return Err(DatasetError::NothingReadable { root, class, count, first });
    }
    let bad = scanned.unreadable.len();
    if let Some(first) = scanned.unreadable.first()
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
    Ok(scanned)
}

fn facts(
    path: &Path,
    limits: &DecodeLimits,
    hasher: &Hasher<[u8; 32]>,
) -> Result<PictureFacts, PictureProblem> {
    let bytes = fs::read(path)?;
    let picture = decode(&bytes, path.extension(), limits)?;
    let (width, height) = picture.dimensions();
    let thumbnail: RgbImage = imageops::thumbnail(&picture, THUMBNAIL_SIDE, THUMBNAIL_SIDE);
    Ok(PictureFacts {
        width,
        height,
        sha256: Sha256::digest(&bytes).into(),
        hash: hasher.hash_image(&thumbnail),
        mirrored_hash: hasher.hash_image(&imageops::flip_horizontal(&thumbnail)),
    })
}

impl ScannedSet {
    /// SHA-256 over names and contents of the pictures, and their classes: the same for the same
    /// data in the same folders, wherever these lie.
    pub fn sha256(&self, root: &Path) -> String {
        let mut digest = Sha256::new();
        for (sample, facts) in self.set.samples.iter().zip(&self.facts) {
            let path = sample.picture.strip_prefix(root).unwrap_or(&sample.picture);
            for part in path.components() {
                digest.update(part.as_os_str().as_encoded_bytes());
                digest.update(b"/");
            }
            digest.update(self.set.classes[sample.class].as_bytes());
            digest.update(facts.sha256);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
