//! Files by their extensions and names.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use image_input::is_system_name;
use walkdir::WalkDir;

use crate::AnnotationError;

/// The files in a folder with an extension, in either case, by name.
pub(crate) fn with_extension(folder: &Path, kind: &str) -> Result<Vec<PathBuf>, AnnotationError> {
    let failed = |error: std::io::Error| AnnotationError::new(folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_kind = path.extension().is_some_and(|found| found.eq_ignore_ascii_case(kind));
        if is_kind && path.is_file() && !path.file_name().is_some_and(is_system_name) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// All files in a folder and the folders in it, by name.
pub(crate) fn below(folder: &Path) -> Result<Vec<PathBuf>, AnnotationError> {
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let walk = walk.filter_entry(|entry| !is_system_name(entry.file_name()));
    let mut files = Vec::new();
    for entry in walk {
        let entry =
            entry.map_err(|error| AnnotationError::new(error.path().unwrap_or(folder), &error))?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Files by their paths below a folder, without extensions; of several, the first.
pub(crate) fn by_stem(files: Vec<PathBuf>, folder: &Path) -> HashMap<OsString, PathBuf> {
    let mut by_stem = HashMap::new();
    for path in files {
        by_stem.entry(stem(&path, folder)).or_insert(path);
    }
    by_stem
}

/// A file's path below a folder, without its extension.
pub(crate) fn stem(path: &Path, folder: &Path) -> OsString {
    path.strip_prefix(folder).unwrap_or(path).with_extension("").into_os_string()
}
