//! Data sets with one folder per class.

use std::path::{Path, PathBuf};

use image_input::is_system_name;
use walkdir::{DirEntry, WalkDir};

use crate::{DatasetError, LabeledSet, Sample};

/// Lists a data set: each folder in `root` is a class, each file in it or below a sample.
///
/// Names say nothing about formats: every file counts but hidden ones and what operating systems leave
/// behind. Whether it can be read is for [`inspect`](crate::inspect) to say, also of links that lead
/// nowhere and folders that cannot be read. Links are followed.
///
/// # Errors
/// If `root` is not a folder or cannot be read, holds no class, or one without files.
pub fn class_folders(root: &Path) -> Result<LabeledSet, DatasetError> {
    let set = any_class_folders(root)?;
    set.check(root, 1)?;
    Ok(set)
}

/// Folders of a data set that somebody divided already, each with one folder of images for each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DividedFolders {
    /// Images to learn from.
    pub train: Vec<PathBuf>,
    /// Images to validate on: those for validation, or else for testing.
    pub validation: Vec<PathBuf>,
}

/// The parts of a data set whose folders are called `train` (or `training`), `val` (`valid`,
/// `validation`) and `test` (`testing`), in any case; `None` if it has other folders, too, or no part to
/// learn from or to validate on.
pub fn divided_folders(root: &Path) -> Option<DividedFolders> {
    let (mut train, mut validation, mut test) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries(root, 1).flatten().filter(|entry| entry.file_type().is_dir()) {
        match &*entry.file_name().to_string_lossy().to_lowercase() {
            "train" | "training" => &mut train,
            "val" | "valid" | "validation" => &mut validation,
            "test" | "testing" => &mut test,
            _ => return None,
        }
        .push(entry.into_path());
    }
    let validation = if validation.is_empty() { test } else { validation };
    (!train.is_empty() && !validation.is_empty()).then_some(DividedFolders { train, validation })
}

/// As [`class_folders`], of any number of classes: a part of a data set.
pub(crate) fn any_class_folders(root: &Path) -> Result<LabeledSet, DatasetError> {
    if !root.is_dir() {
        return Err(DatasetError::NoFolder { root: root.to_path_buf() });
    }
    let mut set = LabeledSet::default();
    for folder in entries(root, 1) {
        let folder = folder.map_err(|error| DatasetError::Unreadable {
            path: error.path().unwrap_or(root).to_path_buf(),
            reason: error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
        })?;
        if !folder.file_type().is_dir() {
            continue;
        }
        let class = set.classes.len();
        set.classes.push(folder.file_name().to_string_lossy().into_owned());
        for file in entries(folder.path(), usize::MAX) {
            let image = match file {
                Ok(file) if file.file_type().is_file() => Some(file.into_path()),
                Ok(_) => None,
                // It counts as an image that cannot be read.
                Err(error) => error.path().map(Path::to_path_buf),
            };
            set.samples.extend(image.map(|image| Sample { image, region: None, class }));
        }
    }
    Ok(set)
}

/// What is in a folder, down to a depth, in the order of the names; hidden things and what operating
/// systems leave behind are not.
fn entries(folder: &Path, depth: usize) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let hidden = |entry: &DirEntry| {
        entry.file_name().to_string_lossy().starts_with('.') || is_system_name(entry.file_name())
    };
    WalkDir::new(folder)
        .min_depth(1)
        .max_depth(depth)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(move |entry| !hidden(entry))
}
