//! What a classifier learns from: regions of pictures with a class.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A rectangle in pixels of the upright picture; may reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Left edge.
    pub x_min: f32,
    /// Upper edge.
    pub y_min: f32,
    /// Right edge.
    pub x_max: f32,
    /// Lower edge.
    pub y_max: f32,
}

impl Region {
    /// The whole of a picture.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { x_min: 0.0, y_min: 0.0, x_max: width as f32, y_max: height as f32 }
    }

    /// Width in pixels.
    pub fn width(&self) -> f32 {
        self.x_max - self.x_min
    }

    /// Height in pixels.
    pub fn height(&self) -> f32 {
        self.y_max - self.y_min
    }

    /// The region grown on every side by `margin` times its width or height.
    pub fn grown(&self, margin: f32) -> Self {
        let (x, y) = (margin * self.width(), margin * self.height());
        Self {
            x_min: self.x_min - x,
            y_min: self.y_min - y,
            x_max: self.x_max + x,
            y_max: self.y_max + y,
        }
    }
}

/// A picture, or a part of one, with its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The picture file.
    pub picture: PathBuf,
    /// The part of it that shows the object; the whole picture if absent.
    pub region: Option<Region>,
    /// Index of the class.
    pub class: usize,
}

/// Samples and the names of their classes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelledSet {
    /// Names of the classes, in alphabetical order.
    pub classes: Vec<String>,
    /// The samples, in an order that depends on their names alone.
    pub samples: Vec<Sample>,
}

impl LabelledSet {
    /// Number of samples of each class.
    pub fn support(&self) -> Vec<usize> {
        let mut support = vec![0; self.classes.len()];
        for sample in &self.samples {
            support[sample.class] += 1;
        }
        support
    }

    /// # Errors
    /// If there is nothing to tell apart: fewer than two classes, or a class without a sample.
    pub fn check(&self, root: &std::path::Path) -> Result<(), DatasetError> {
        let root = root.to_path_buf();
        match &self.classes[..] {
            [] => return Err(DatasetError::NoClasses { root }),
            [only] => return Err(DatasetError::OneClass { root, class: only.clone() }),
            _ => {}
        }
        match self.support().iter().position(|count| *count == 0) {
            Some(empty) => {
                Err(DatasetError::EmptyClass { root, class: self.classes[empty].clone() })
            }
            None => Ok(()),
        }
    }
}

/// A data set that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// There is no such folder.
    #[error("{}: no such folder; give a folder with one folder of pictures for each class", root.display())]
    NoFolder {
        /// The folder asked for.
        root: PathBuf,
    },
    /// The folder holds no class.
    #[error("{}: no class folders in it; it needs one folder of pictures for each class", root.display())]
    NoClasses {
        /// The data set.
        root: PathBuf,
    },
    /// There is nothing to tell the class from.
    #[error("{}: only one class, `{class}`; a classifier needs two or more", root.display())]
    OneClass {
        /// The data set.
        root: PathBuf,
        /// The class.
        class: String,
    },
    /// A class without pictures.
    #[error("{}: class `{class}` has no pictures; fill its folder or remove it", root.display())]
    EmptyClass {
        /// The data set.
        root: PathBuf,
        /// The class.
        class: String,
    },
    /// A class none of whose pictures can be read.
    #[error(
        "{}: none of the {count} files of class `{class}` can be read; the first: {first}",
        root.display()
    )]
    NothingReadable {
        /// The data set.
        root: PathBuf,
        /// The class.
        class: String,
        /// Number of files.
        count: usize,
        /// What is wrong with the first of them.
        first: String,
    },
    /// More unreadable pictures than tolerated.
    #[error(
        "{}: {unreadable} of {total} files cannot be read, more than {limit_percent} %; remove \
         them or raise --max-unreadable; the first: {first}", root.display()
    )]
    TooManyUnreadable {
        /// The data set.
        root: PathBuf,
        /// Number of unreadable files.
        unreadable: usize,
        /// Number of files.
        total: usize,
        /// The limit, in per cent.
        limit_percent: f64,
        /// What is wrong with the first of them.
        first: String,
    },
    /// A folder that cannot be searched.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An annotation file that cannot be used.
    #[error("{}: {reason}", path.display())]
    Annotation {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
