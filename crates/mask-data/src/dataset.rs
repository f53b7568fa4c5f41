//! A data set, ready for training or evaluation.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use annotations::Annotations;
use geometry::BoundingBox;
use image::RgbImage;
use image_input::{DecodeOptions, ImageError};
use rayon::prelude::*;

use crate::{
    DUPLICATE_HASH_DISTANCE, DatasetError, DuplicatePair, Duplicates, ImageCache, InspectedSet,
    LabeledSet, Sample, Split, class_folders::any_class_folders, common_root, divided_folders,
    find_duplicates, grouped_split, inspect,
};

/// How a data set is read.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetConfig {
    /// Tolerated fraction of unreadable images. Default: 0.01.
    pub max_unreadable: f64,
    /// Differing bits, of 256, up to which images count as duplicates. Default:
    /// [`DUPLICATE_HASH_DISTANCE`].
    pub duplicate_distance: u32,
    /// Whether annotated objects marked as difficult count. Default: no.
    pub difficult: bool,
    /// Whether duplicates may straddle training and validation. Default: no.
    pub allow_duplicates: bool,
    /// Least number of classes. Default: 2, below which there is nothing to learn.
    pub min_classes: usize,
}

impl Default for DatasetConfig {
    fn default() -> Self {
        Self {
            max_unreadable: 0.01,
            duplicate_distance: DUPLICATE_HASH_DISTANCE,
            difficult: false,
            allow_duplicates: false,
            min_classes: 2,
        }
    }
}

/// Which parts of images are samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleRegions {
    /// The regions found, or the whole image where there is none.
    Found,
    /// Both, as two samples.
    Both,
}

/// Samples that were read and grouped.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// Classes and samples.
    pub set: LabeledSet,
    /// What looks alike.
    pub duplicates: Duplicates,
    /// SHA-256 over names, contents and classes.
    pub sha256: String,
    /// Images that cannot be read and are left out.
    pub unreadable: Vec<String>,
    /// Boxes that are left out, a line each.
    pub dropped: Vec<String>,
    /// Folders whose images are there to validate on, if the set came divided.
    pub held_out: Vec<PathBuf>,
    /// Images in which no region was found, if they were searched.
    pub without_region: usize,
    inspected: Arc<InspectedSet>,
    duplicate_distance: u32,
    allow_duplicates: bool,
}

impl Dataset {
    /// Lists and reads a data set: class folders, perhaps [divided](crate::divided_folders), or
    /// annotations of any form. `progress` is
    /// called once per image, from any thread.
    ///
    /// # Errors
    /// If it cannot be listed, too much of it cannot be read, or there is nothing to tell apart.
    pub fn open(
        root: &Path,
        config: &DatasetConfig,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Self, DatasetError> {
        Self::open_all(&[root.to_path_buf()], config, progress)
    }

    /// Reads several folders as one data set, whose root is the folder that holds them all.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn open_all(
        roots: &[PathBuf],
        config: &DatasetConfig,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Self, DatasetError> {
        let root = &common_root(roots);
        let (mut dropped, mut held_out) = (Vec::new(), Vec::new());
        let parts = roots.iter().map(|root| match Annotations::find(root) {
            None => match divided_folders(root) {
                None => any_class_folders(root),
                Some(parts) => {
                    let folders = parts.train.iter().chain(&parts.validation);
                    let sets = folders.map(|folder| any_class_folders(folder));
                    let set = LabeledSet::merge(sets.collect::<Result<_, _>>()?);
                    held_out.extend(parts.validation);
                    Ok(set)
                }
            },
            Some(annotations) => {
                let set = annotations.read()?;
                dropped.extend(set.dropped);
                Ok(LabeledSet::annotated(&set.images, config.difficult))
            }
        });
        let listed = LabeledSet::merge(parts.collect::<Result<_, _>>()?);
        listed.check(root, config.min_classes)?;
        let options = DecodeOptions { strict: true, ..DecodeOptions::default() };
        let inspected = inspect(root, listed, &options, config.max_unreadable, progress)?;
        let duplicates = find_duplicates(&inspected, config.duplicate_distance);
        Ok(Self {
            root: root.to_path_buf(),
            set: inspected.set.clone(),
            duplicates,
            sha256: inspected.sha256(root),
            unreadable: inspected.unreadable.iter().map(ToString::to_string).collect(),
            dropped,
            held_out,
            without_region: 0,
            inspected: Arc::new(inspected),
            duplicate_distance: config.duplicate_distance,
            allow_duplicates: config.allow_duplicates,
        })
    }

    /// Replaces whole images by the regions that `find` yields, or adds those. Runs on all cores.
    ///
    /// # Errors
    /// If an image cannot be read any more, or `find` fails.
    pub fn with_regions<E: std::fmt::Display>(
        self,
        regions: SampleRegions,
        find: impl Fn(&RgbImage) -> Result<Option<BoundingBox>, E> + Sync,
    ) -> Result<Self, DatasetError> {
        let cache = ImageCache::new(DecodeOptions::default(), 0);
        let region_of = |sample: &Sample| -> Result<Option<BoundingBox>, DatasetError> {
            if sample.region.is_some() {
                return Ok(sample.region);
            }
            let failed =
                |reason: String| DatasetError::Region { path: sample.image.clone(), reason };
            let image = cache
                .get(&sample.image)
                .map_err(|ImageError { problem, .. }| failed(problem.to_string()))?;
            find(&image).map_err(|error| failed(error.to_string()))
        };
        let found: Vec<Option<BoundingBox>> =
            self.set.samples.par_iter().map(region_of).collect::<Result<_, _>>()?;
        let InspectedSet { set, info, .. } = &*self.inspected;
        let (mut samples, mut all_info, mut without_region) = (Vec::new(), Vec::new(), 0);
        for ((sample, info), region) in set.samples.iter().zip(info).zip(found) {
            without_region += usize::from(region.is_none());
            let both = regions == SampleRegions::Both;
            if both && sample.region.is_none() && region.is_some() {
                samples.push(sample.clone());
                all_info.push(info.clone());
            }
            samples.push(Sample { region, ..sample.clone() });
            all_info.push(info.clone());
        }
        let set = LabeledSet { classes: set.classes.clone(), samples };
        let inspected = InspectedSet { set: set.clone(), info: all_info, unreadable: Vec::new() };
        let duplicates = find_duplicates(&inspected, self.duplicate_distance);
        let inspected = Arc::new(inspected);
        Ok(Self { set, duplicates, without_region, inspected, ..self })
    }

    /// Divides the samples as their folders do, or else at random, duplicates kept together unless
    /// they may straddle.
    ///
    /// # Errors
    /// If a class has too few different images for both parts.
    pub fn split(&self, validation: f64, seed: u64) -> Result<Split, DatasetError> {
        let classes: Vec<usize> = self.set.samples.iter().map(|sample| sample.class).collect();
        let split = if self.held_out.is_empty() {
            let alone: Vec<usize> = (0..classes.len()).collect();
            let groups = if self.allow_duplicates { &alone } else { &self.duplicates.groups };
            grouped_split(&classes, groups, validation, seed)
        } else {
            let is_held_out = |sample: &usize| {
                let image = &self.set.samples[*sample].image;
                self.held_out.iter().any(|folder| image.starts_with(folder))
            };
            let (validation, train) = (0..classes.len()).partition(is_held_out);
            Split { train, validation }
        };
        for (part, samples) in [("training", &split.train), ("validation", &split.validation)] {
            for (class, name) in self.set.classes.iter().enumerate() {
                if !samples.iter().any(|sample| classes[*sample] == class) {
                    let (root, class) = (self.root.clone(), name.clone());
                    return Err(DatasetError::TooFew { root, class, part });
                }
            }
        }
        Ok(split)
    }

    /// Pairs of duplicates of which one is learned from and the other validated on.
    pub fn straddling(&self, split: &Split) -> usize {
        let side = |sample: &usize| split.validation.binary_search(sample).is_ok();
        self.duplicates.pairs.iter().filter(|pair| side(&pair.first) != side(&pair.second)).count()
    }

    /// The duplicates as text, label conflicts first, and how many straddle a split.
    pub fn duplicates_report(&self, split: &Split) -> String {
        let mut text = String::new();
        let pairs = &self.duplicates.pairs;
        let count = |of: &dyn Fn(&DuplicatePair) -> bool| pairs.iter().filter(|p| of(p)).count();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} pairs of duplicates: {} exact, {} near; {} with a label conflict; {} straddle the \
             split.",
            pairs.len(),
            count(&|pair| pair.exact),
            count(&|pair| !pair.exact),
            count(&|pair| pair.label_conflict),
            self.straddling(split),
        );
        for pair in pairs {
            let kind = if pair.exact { "exact" } else { "near" };
            let labels = if pair.label_conflict { "LABEL CONFLICT" } else { "same label" };
            let [first, second] =
                [pair.first, pair.second].map(|s| self.set.samples[s].image.display());
            let distance = pair.distance;
            let _ = writeln!(text, "{labels}\t{kind}\t{distance} bits\t{first}\t{second}");
        }
        text
    }

    /// The samples, for loaders.
    pub fn shared_samples(&self) -> Arc<Vec<Sample>> {
        Arc::new(self.set.samples.clone())
    }
}
