//! Dividing a set into training and validation.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{LabeledSet, seed};

/// A division of samples, by index, each list ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Samples to learn from.
    pub train: Vec<usize>,
    /// Samples to validate on.
    pub validation: Vec<usize>,
}

/// Divides samples so that each class gives `fraction` of its samples to validation, and no group
/// straddles the two.
///
/// `classes` and `groups` name each sample's class and group. Groups come in random order; one goes
/// to validation if that brings the classes' numbers there nearer to what is wanted. A class thus
/// misses its number by less than its largest group, unless groups mix classes.
pub fn grouped_split(classes: &[usize], groups: &[usize], fraction: f64, seed: u64) -> Split {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (sample, group) in groups.iter().enumerate() {
        members.entry(*group).or_default().push(sample);
    }
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    members.shuffle(&mut seed::generator(seed::Purpose::Split, seed, 0, 0));
    let class_count = classes.iter().max().map_or(0, |class| class + 1);
    let mut missing = vec![0.0; class_count];
    for class in classes {
        missing[*class] += fraction;
    }
    let mut validation = Vec::new();
    for group in members {
        let mut after = missing.clone();
        for sample in &group {
            after[classes[*sample]] -= 1.0;
        }
        let distance = |missing: &[f64]| missing.iter().map(|count| count * count).sum::<f64>();
        if distance(&after) < distance(&missing) {
            missing = after;
            validation.extend(group);
        }
    }
    validation.sort_unstable();
    let train = (0..classes.len()).filter(|s| validation.binary_search(s).is_err()).collect();
    Split { train, validation }
}

/// A division written down: paths relative to the data set, with `/` between their parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitFile {
    /// Images to learn from.
    pub train: Vec<String>,
    /// Images to validate on.
    #[serde(alias = "test", alias = "val")]
    pub validation: Vec<String>,
}

/// A split file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct SplitError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl SplitFile {
    /// Writes a division down.
    pub fn new(set: &LabeledSet, root: &Path, split: &Split) -> Self {
        let names = |samples: &[usize]| {
            let mut names: Vec<_> =
                samples.iter().map(|s| name(&set.samples[*s].image, root)).collect();
            names.dedup();
            names
        };
        Self { train: names(&split.train), validation: names(&split.validation) }
    }

    /// Reads a division: JSON with the lists `train` and `validation` (or `test`, or `val`).
    ///
    /// # Errors
    /// If the file cannot be read or is not such JSON.
    pub fn read(path: &Path) -> Result<Self, SplitError> {
        let failed = |reason: String| SplitError { path: path.to_path_buf(), reason };
        let bytes = fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            failed(format!("not a split (JSON with the lists train and validation): {error}"))
        })
    }

    /// Applies the division to a set. Samples that it does not name belong to neither side.
    ///
    /// Names are relative to `root`, or to the folder that holds it.
    ///
    /// # Errors
    /// If it names an image that the set lacks, or one on both sides, or leaves a side empty.
    pub fn apply(&self, set: &LabeledSet, root: &Path, file: &Path) -> Result<Split, SplitError> {
        let failed = |reason: String| SplitError { path: file.to_path_buf(), reason };
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, sample) in set.samples.iter().enumerate() {
            by_name.entry(name(&sample.image, root)).or_default().push(index);
        }
        let folder = root.canonicalize().ok();
        let folder = folder.as_deref().and_then(Path::file_name).map(|f| f.to_string_lossy());
        let within = |entry: &str| {
            let folder = folder.as_deref()?;
            entry.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned)
        };
        let mut taken = HashMap::new();
        let mut side = |entries: &[String], side: &'static str| {
            let mut samples = Vec::new();
            for entry in entries {
                let found = by_name.get(entry);
                let found = found.or_else(|| by_name.get(&within(entry)?));
                let found = found.ok_or_else(|| {
                    failed(format!(
                        "names `{entry}`, which is not a readable image of {}",
                        root.display()
                    ))
                })?;
                if let Some(other) = taken.insert(found[0], side) {
                    return Err(failed(format!(
                        "names `{entry}` under {other} and again under {side}"
                    )));
                }
                samples.extend(found);
            }
            if samples.is_empty() {
                return Err(failed(format!("its list {side} is empty")));
            }
            samples.sort_unstable();
            Ok(samples)
        };
        Ok(Split {
            train: side(&self.train, "train")?,
            validation: side(&self.validation, "validation")?,
        })
    }
}

/// An image's path relative to `root`, with `/` between its parts.
fn name(image: &Path, root: &Path) -> String {
    let parts = image.strip_prefix(root).unwrap_or(image).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
