//! Finding the pictures in a folder.

use std::path::{Path, PathBuf};

use image::ImageFormat;
use walkdir::WalkDir;

/// A folder that cannot be searched.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be searched: {reason}", path.display())]
pub struct DiscoverError {
    /// The folder.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// Whether a file's name has the extension of a picture format that can be read.
pub fn is_picture_name(path: &Path) -> bool {
    ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled())
}

/// The picture files in `folder` and the folders in it, sorted by path, judged by their names.
///
/// Links are followed. The folder `except` is left out.
///
/// # Errors
/// If a folder cannot be read, or a link points back up.
pub fn pictures_in(folder: &Path, except: Option<&Path>) -> Result<Vec<PathBuf>, DiscoverError> {
    let except = except.and_then(|path| path.canonicalize().ok());
    let excluded =
        |path: &Path| except.is_some() && path.canonicalize().ok().as_deref() == except.as_deref();
    let entries = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !(entry.file_type().is_dir() && excluded(entry.path())));
    let mut pictures = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| DiscoverError {
            path: error.path().unwrap_or(folder).to_path_buf(),
            reason: error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
        })?;
        if entry.file_type().is_file() && is_picture_name(entry.path()) {
            pictures.push(entry.into_path());
        }
    }
    Ok(pictures)
}
