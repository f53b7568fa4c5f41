//! Finding the images in a folder.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use image::ImageFormat;
use walkdir::{DirEntry, WalkDir};

use crate::{FileKind, OtherKind};

/// Something in a folder that cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct DiscoverError {
    /// The folder, file or link.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// What a folder and the folders in it hold.
#[derive(Debug, Default)]
pub struct FolderImages {
    /// The image files, and what cannot be looked at, in the order of the paths.
    pub entries: Vec<Result<PathBuf, DiscoverError>>,
    /// What was left out.
    pub skipped: Skipped,
}

/// Files that were left out, counted by what they are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Skipped {
    others: BTreeMap<OtherKind, usize>,
    system: usize,
    unknown: usize,
}

impl Skipped {
    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Adds what another folder left out.
    pub fn add(&mut self, other: Self) {
        for (kind, count) in other.others {
            *self.others.entry(kind).or_default() += count;
        }
        self.system += other.system;
        self.unknown += other.unknown;
    }
}

impl fmt::Display for Skipped {
    /// `3 x HEIC (convert it to JPEG ...), 12 that are no images`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut documents = self.unknown;
        for (kind, count) in &self.others {
            match kind.remedy() {
                Some(remedy) => parts.push(format!("{count} x {kind} ({remedy})")),
                None => documents += count,
            }
        }
        if documents > 0 {
            parts.push(format!("{documents} that are no images"));
        }
        if self.system > 0 {
            parts.push(format!("{} of the operating system's", self.system));
        }
        write!(f, "{}", parts.join(", "))
    }
}

/// Whether a file or folder is one that operating systems and programs leave behind: thumbnails,
/// settings of windows, other halves of files from macOS, bins, saved states of notebooks.
pub fn is_system_name(name: &std::ffi::OsStr) -> bool {
    const NAMES: [&str; 12] = [
        "Thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        ".DS_Store",
        "__MACOSX",
        ".ipynb_checkpoints",
        ".Spotlight-V100",
        ".Trashes",
        ".fseventsd",
        "$RECYCLE.BIN",
        "System Volume Information",
        "@eaDir",
    ];
    let name = name.to_string_lossy();
    name.starts_with("._") || NAMES.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

/// The folder that holds all of these; empty if there is none.
pub fn common_folder(folders: impl Iterator<Item = PathBuf>) -> PathBuf {
    let common = |a: PathBuf, b: PathBuf| {
        a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    };
    folders.reduce(common).unwrap_or_default()
}

/// Whether the extension alone says that a file is an image.
pub fn is_image_name(path: &Path) -> bool {
    let readable = ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled());
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let heic = cfg!(feature = "heic") && ["heic", "heif", "hif"].iter().any(|h| extension == *h);
    readable || heic || ["jpe", "jif", "dib"].iter().any(|known| extension == *known)
}

/// The images in `folder` and the folders in it, in the order of their paths.
///
/// Files with an image's extension count as images; what others are, their first bytes say. Links are
/// followed; those that lead nowhere or back up, and folders that cannot be read, are errors among the
/// entries. The folders `except` are left out, and so is what operating systems leave behind.
pub fn images_in(folder: &Path, except: &[&Path]) -> FolderImages {
    let except: Vec<PathBuf> = except.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let excluded = |path: &Path| {
        !except.is_empty() && path.canonicalize().is_ok_and(|path| except.contains(&path))
    };
    let (mut found, mut system) = (FolderImages::default(), 0);
    let counts = |entry: &DirEntry| {
        // The folder that was asked for may be called anything.
        let is_system = entry.depth() > 0 && is_system_name(entry.file_name());
        system += usize::from(is_system);
        let is_excluded = entry.file_type().is_dir() && excluded(entry.path());
        !(is_system || is_excluded)
    };
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(counts) {
        match entry {
            Err(error) => found.entries.push(Err(discover_error(&error, folder))),
            Ok(entry) if !entry.file_type().is_file() => {}
            Ok(entry) => found.add(entry.into_path()),
        }
    }
    found.skipped.system = system;
    found
}

impl FolderImages {
    fn add(&mut self, path: PathBuf) {
        if is_image_name(&path) {
            return self.entries.push(Ok(path));
        }
        match FileKind::of_file(&path) {
            Ok(kind) if kind.is_image() => self.entries.push(Ok(path)),
            Ok(FileKind::Other(kind)) => *self.skipped.others.entry(kind).or_default() += 1,
            Ok(_) => self.skipped.unknown += 1,
            Err(error) => {
                let reason = format!("cannot be read: {error}");
                self.entries.push(Err(DiscoverError { path, reason }));
            }
        }
    }
}

/// What is wrong with an entry of a folder, in words.
fn discover_error(error: &walkdir::Error, folder: &Path) -> DiscoverError {
    let path = error.path().unwrap_or(folder).to_path_buf();
    let reason = match (error.loop_ancestor(), error.io_error()) {
        (Some(ancestor), _) => format!("a link that leads back up to {}", ancestor.display()),
        (None, Some(error)) if path.is_symlink() => format!("a link that leads nowhere: {error}"),
        (None, Some(error)) => format!("cannot be read: {error}"),
        (None, None) => error.to_string(),
    };
    DiscoverError { path, reason }
}
