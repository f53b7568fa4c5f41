//! Data sets for a detector: folders of images with boxes, read, grouped and divided.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use annotations::{AnnotatedImage, Annotations};
use image_input::DecodeOptions;
use sha2::{Digest, Sha256};

use crate::{
    DatasetConfig, DatasetError, LabeledSet, Sample, Scene, Split, annotated_scenes, common_root,
    find_duplicates, grouped_split, inspect,
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
    /// Boxes that are left out, a line each.
    pub dropped: Vec<String>,
    groups: Vec<usize>,
}

impl SceneSet {
    /// Reads folders with annotations of any form. `progress` is called once per image, from any thread.
    ///
    /// # Errors
    /// If a folder has no boxes, or too many images cannot be read.
    pub fn open(
        roots: &[PathBuf],
        config: &DatasetConfig,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Self, DatasetError> {
        let root = common_root(roots);
        let (mut images, mut dropped) = (Vec::<AnnotatedImage>::new(), Vec::new());
        for root in roots {
            if !root.is_dir() {
                return Err(DatasetError::NoFolder { root: root.clone() });
            }
            let Some(annotations) = Annotations::find(root) else {
                return Err(DatasetError::NoBoxes { root: root.clone() });
            };
            let set = annotations.read()?;
            images.extend(set.images);
            dropped.extend(set.dropped);
        }
        let samples = images.iter().filter_map(|voc| voc.image.clone());
        let samples = samples.map(|image| Sample { image, region: None, class: 0 }).collect();
        let listed = LabeledSet { classes: vec!["face".to_owned()], samples };
        if listed.samples.is_empty() {
            return Err(DatasetError::NoBoxes { root });
        }
        let options = DecodeOptions { strict: true, ..DecodeOptions::default() };
        let inspected = inspect(&root, listed, &options, config.max_unreadable, progress)?;
        let read: HashSet<&Path> = inspected.set.samples.iter().map(|s| &*s.image).collect();
        let readable =
            |image: &AnnotatedImage| image.image.as_deref().is_some_and(|i| read.contains(i));
        images.retain(readable);
        let scenes = annotated_scenes(&root, &images).map_err(|error| match dropped.first() {
            Some(first) => DatasetError::NoUsableBoxes { root: root.clone(), first: first.clone() },
            None => error,
        })?;
        let mut digest = Sha256::new();
        digest.update(inspected.sha256(&root));
        for scene in &scenes {
            digest.update(format!("{:?} {:?}", scene.faces, scene.ignored));
        }
        Ok(Self {
            sha256: digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            groups: match config.allow_duplicates {
                true => (0..scenes.len()).collect(),
                false => find_duplicates(&inspected, config.duplicate_distance).groups,
            },
            dropped,
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
