//! Data sets with one folder per class.

use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use crate::{DatasetError, LabeledSet, Sample};

/// Lists a data set: each folder in `root` is a class, each file in it or below a sample.
///
/// Names say nothing about formats: every file counts but hidden ones. Whether it can be read is
/// for [`inspect`](crate::inspect) to say. Links are followed.
///
/// # Errors
/// If `root` is not a folder or cannot be read, holds fewer than two classes or a class without files.
pub fn class_folders(root: &Path) -> Result<LabeledSet, DatasetError> {
    let set = any_class_folders(root)?;
    set.check(root)?;
    Ok(set)
}

/// As [`class_folders`], of any number of classes: a part of a data set.
pub(crate) fn any_class_folders(root: &Path) -> Result<LabeledSet, DatasetError> {
    if !root.is_dir() {
        return Err(DatasetError::NoFolder { root: root.to_path_buf() });
    }
    let mut set = LabeledSet::default();
    for folder in entries(root, 1) {
        let folder = folder?;
        if !folder.file_type().is_dir() {
            continue;
        }
        let class = set.classes.len();
        set.classes.push(folder.file_name().to_string_lossy().into_owned());
        for file in entries(folder.path(), usize::MAX) {
            let file = file?;
            if file.file_type().is_file() {
                set.samples.push(Sample { image: file.into_path(), region: None, class });
            }
        }
    }
    Ok(set)
}

/// What is in a folder, down to a depth, hidden things left out, in the order of the names.
fn entries(
    folder: &Path,
    depth: usize,
) -> impl Iterator<Item = Result<DirEntry, DatasetError>> + use<'_> {
    let hidden = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    WalkDir::new(folder)
        .min_depth(1)
        .max_depth(depth)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(move |entry| !hidden(entry))
        .map(move |entry| {
            entry.map_err(|error| DatasetError::Unreadable {
                path: error.path().unwrap_or(folder).to_path_buf(),
                reason: error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
            })
        })
}
