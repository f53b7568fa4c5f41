//! Data sets for a detector: folders of images with boxes, read, grouped and divided.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use image_input::DecodeOptions;
use sha2::{Digest, Sha256};

use crate::{
    DatasetConfig, DatasetError, LabeledSet, Sample, Scene, Split, VocImage, common_root,
    find_duplicates, grouped_split, inspect, read_voc, voc_folders, voc_scenes,
};

/// Scenes that were read and grouped.
#[derive(Debug, Clone)]
pub struct SceneSet {
    /// The folder that holds all images; names in split files are relative to it.
    pub root: PathBuf,
    /// The images, each a sample of one class, in the order of `scenes`.
    pub set: LabeledSet,
    /// The images with their faces.
    pub scenes: Vec<Scene>,
    /// SHA-256 over names, contents and boxes.
    pub sha256: String,
    /// Images that cannot be read and are left out.
    pub unreadable: Vec<String>,
    groups: Vec<usize>,
}

impl SceneSet {
    /// Reads folders in VOC's layout. `progress` is called once per image, from any thread.
    ///
    /// # Errors
    /// If a folder has no boxes, too many images cannot be read, or a box lies outside its image.
    pub fn open(
        roots: &[PathBuf],
        config: &DatasetConfig,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Self, DatasetError> {
        let root = common_root(roots);
        let mut images: Vec<VocImage> = Vec::new();
        for root in roots {
            if !root.is_dir() {
                return Err(DatasetError::NoFolder { root: root.clone() });
            }
            let Some((annotations, folder)) = voc_folders(root) else {
                return Err(DatasetError::NoBoxes { root: root.clone() });
            };
            images.extend(read_voc(&annotations, &folder)?);
        }
        let samples = images.iter().filter_map(|voc| voc.image.clone());
        let samples = samples.map(|image| Sample { image, region: None, class: 0 }).collect();
        let listed = LabeledSet { classes: vec!["face".to_owned()], samples };
        if listed.samples.is_empty() {
            return Err(DatasetError::NoBoxes { root });
        }
        let options = DecodeOptions { strict: true, ..DecodeOptions::default() };
        let inspected = inspect(&root, listed, &options, config.max_unreadable, progress)?;
        let sizes: HashMap<&Path, (u32, u32)> = (inspected.set.samples.iter())
            .zip(&inspected.info)
            .map(|(sample, info)| (&*sample.image, (info.width, info.height)))
            .collect();
        let readable = |voc: &VocImage| voc.image.as_deref().is_some_and(|i| sizes.contains_key(i));
        images.retain(readable);
        let size = |path: &Path| Ok(sizes.get(path).copied().unwrap_or_default().into());
        let scenes = voc_scenes(&root, &images, size)?;
        let mut digest = Sha256::new();
        digest.update(inspected.sha256(&root));
        for scene in &scenes {
            digest.update(format!("{:?} {:?}", scene.faces, scene.ignored));
        }
        Ok(Self {
            sha256: digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            groups: find_duplicates(&inspected, config.duplicate_distance).groups,
            unreadable: inspected.unreadable.iter().map(ToString::to_string).collect(),
            set: inspected.set,
            root,
            scenes,
        })
    }

    /// Divides the images at random, duplicates kept together.
    ///
    /// # Errors
    /// If there are too few different images for both parts.
    pub fn split(&self, validation: f64, seed: u64) -> Result<Split, DatasetError> {
        let classes = vec![0; self.scenes.len()];
        let split = grouped_split(&classes, &self.groups, validation, seed);
        for (part, images) in [("training", &split.train), ("validation", &split.validation)] {
            if !images.iter().any(|image| !self.scenes[*image].faces.is_empty()) {
                let (root, class) = (self.root.clone(), "face".to_owned());
                return Err(DatasetError::TooFew { root, class, part });
            }
        }
        Ok(split)
    }
}
