//! Images with boxes, in the forms in which they are exchanged.
//!
//! [`Annotations::find`] tells which form a folder has, [`Annotations::read`] reads it into an
//! [`AnnotatedSet`], whose boxes lie inside their images, and [`write()`] writes one in another form.
//!
//! ```
//! use annotations::{Annotations, Form, write};
//!
//! # let folder = tempfile::tempdir()?;
//! # let root = &folder.path().join("yolo");
//! # for part in ["images", "labels"] { std::fs::create_dir_all(root.join(part))?; }
//! # image::RgbImage::new(40, 20).save(root.join("images/a.png"))?;
//! std::fs::write(root.join("labels/a.txt"), "1 0.5 0.5 0.25 0.5\n")?;
//! std::fs::write(root.join("classes.txt"), "with_mask\nwithout_mask\n")?;
//! let set = Annotations::find(root).ok_or("no annotations")?.read()?;
//! let object = &set.images[0].objects[0];
//! assert_eq!((object.class.as_str(), object.bbox.x_min), ("without_mask", 15.0));
//!
//! let target = folder.path().join("voc");
//! write(&set.images, Form::Voc, &target)?;
//! assert!(target.join("annotations/a.xml").is_file());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod coco;
mod files;
mod set;
mod voc;
mod write;
mod yolo;

use std::path::{Path, PathBuf};

pub use set::{AnnotatedImage, AnnotatedObject, AnnotatedSet};
pub use write::{Form, write};

/// Annotations that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct AnnotationError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl AnnotationError {
    fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.to_path_buf(), reason: reason.to_string() }
    }
}

/// Where the annotations of a data set are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Annotations {
    /// An XML file for each image.
    Voc {
        /// The folder of the files.
        annotations: PathBuf,
        /// The folder of the images.
        images: PathBuf,
    },
    /// A text file for each image.
    Yolo {
        /// The folder of the files.
        labels: PathBuf,
        /// The folder of the images.
        images: PathBuf,
    },
    /// JSON files, each for many images.
    Coco {
        /// The files.
        files: Vec<PathBuf>,
        /// The folder that holds all.
        root: PathBuf,
    },
}

impl Annotations {
    /// The annotations of a data set, if it has any:
    ///
    /// - VOC: `annotations` (or `Annotations`) with XML files beside `images` (or `JPEGImages`);
    /// - YOLO: `labels` beside `images`, and the classes' names in a file, see [`Annotations::read`];
    /// - COCO: JSON files with the lists `images`, `annotations` and `categories`, in the folder or in
    ///   `annotations`.
    pub fn find(root: &Path) -> Option<Self> {
        let folder = |names: &[&str]| {
            names.iter().map(|name| root.join(name)).find(|folder| folder.is_dir())
        };
        let annotations = folder(&["annotations", "Annotations"]);
        let images = folder(&["images", "JPEGImages"]);
        if let Some(annotations) = &annotations
            && let Some(images) = &images
            && files::with_extension(annotations, "xml").is_ok_and(|files| !files.is_empty())
        {
            return Some(Self::Voc { annotations: annotations.clone(), images: images.clone() });
        }
        let places = [Some(root.to_path_buf()), annotations.clone()];
        let files: Vec<PathBuf> = places
            .iter()
            .flatten()
            .filter_map(|folder| files::with_extension(folder, "json").ok())
            .flatten()
            .filter(|file| coco::is_coco(file))
            .collect();
        if !files.is_empty() {
            return Some(Self::Coco { files, root: root.to_path_buf() });
        }
        if let (Some(labels), Some(images)) = (folder(&["labels"]), &images) {
            return Some(Self::Yolo { labels, images: images.clone() });
        }
        // An empty folder of annotations is one in VOC's form, of which there are none yet.
        Some(Self::Voc { annotations: annotations?, images: images? })
    }

    /// Reads all annotations, in the order of their names.
    ///
    /// Boxes are cut at the edges of their images, swapped corners put right; what then has no area is
    /// left out. In YOLO's form the classes' names are in `classes.txt`, a `.names` or a `.yaml` file in
    /// the set's folder, in `labels` or in the folder that holds the set; polygons become the boxes
    /// around them. COCO's crowds are difficult objects.
    ///
    /// # Errors
    /// If a folder or an annotation cannot be read, or YOLO's classes have no names.
    pub fn read(&self) -> Result<AnnotatedSet, AnnotationError> {
        match self {
            Self::Voc { annotations, images } => voc::read(annotations, images),
            Self::Yolo { labels, images } => yolo::read(labels, images),
            Self::Coco { files, root } => coco::read(files, root),
        }
    }
}
