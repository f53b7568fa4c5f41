//! Finding the images in a folder.

use std::path::{Path, PathBuf};

use image::ImageFormat;
use walkdir::WalkDir;

/// A folder that cannot be searched.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be searched: {source}", path.display())]
pub struct DiscoverError {
    /// The folder.
    pub path: PathBuf,
    /// Why not.
    pub source: std::io::Error,
}

/// Whether a file's name has the extension of an image format that can be read.
pub fn is_image_name(path: &Path) -> bool {
    ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled())
}

/// The image files in `folder` and the folders in it, sorted by path, known by their names.
///
/// Links are followed. The folder `except` is left out.
///
/// # Errors
/// If a folder cannot be read, or a link points back up.
pub fn images_in(folder: &Path, except: Option<&Path>) -> Result<Vec<PathBuf>, DiscoverError> {
    let except = except.and_then(|path| path.canonicalize().ok());
    let excluded =
        |path: &Path| except.is_some() && path.canonicalize().ok().as_deref() == except.as_deref();
    let entries = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !(entry.file_type().is_dir() && excluded(entry.path())));
    let mut images = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| DiscoverError {
            path: error.path().unwrap_or(folder).to_path_buf(),
            source: error.into(),
        })?;
        if entry.file_type().is_file() && is_image_name(entry.path()) {
            images.push(entry.into_path());
        }
    }
    Ok(images)
}
