//! What a classifier learns from: regions of images with a class.

use annotations::{AnnotatedImage, AnnotatedObject, AnnotationError};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use geometry::BoundingBox;

/// An image, or a part of one, with its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The image file.
    pub image: PathBuf,
    /// The part of it that shows the object; the whole image if absent.
    pub region: Option<BoundingBox>,
    /// Index of the class.
    pub class: usize,
}

/// Samples and the names of their classes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabeledSet {
    /// Names of the classes, in alphabetical order.
    pub classes: Vec<String>,
    /// The samples, in an order that depends on their names alone.
    pub samples: Vec<Sample>,
}

impl LabeledSet {
    /// Number of samples of each class.
    pub fn support(&self) -> Vec<usize> {
        let mut support = vec![0; self.classes.len()];
        for sample in &self.samples {
            support[sample.class] += 1;
        }
        support
    }

    /// Several sets as one. Classes of the same name are the same.
    pub fn merge(sets: Vec<Self>) -> Self {
        let names: BTreeSet<&String> = sets.iter().flat_map(|set| &set.classes).collect();
        let classes: Vec<String> = names.into_iter().cloned().collect();
        let samples = sets.iter().flat_map(|set| {
            let classes = &classes;
            set.samples.iter().map(move |sample| {
                // Every name is there.
                let class = classes.binary_search(&set.classes[sample.class]).unwrap_or_default();
                Sample { class, ..sample.clone() }
            })
        });
        Self { samples: samples.collect(), classes: classes.clone() }
    }

    /// Annotated boxes as samples. Images that are absent are left out, and, unless `difficult`, objects
    /// marked as such.
    pub fn annotated(images: &[AnnotatedImage], difficult: bool) -> Self {
        let counted = |object: &&AnnotatedObject| difficult || !object.difficult;
        let present = || images.iter().filter_map(|image| Some((image.image.as_ref()?, image)));
        let classes: BTreeSet<&String> = present()
            .flat_map(|(_, image)| image.objects.iter().filter(counted))
            .map(|object| &object.class)
            .collect();
        let classes: Vec<String> = classes.into_iter().cloned().collect();
        let mut samples = Vec::new();
        for (path, image) in present() {
            for object in image.objects.iter().filter(counted) {
                let Ok(class) = classes.binary_search(&object.class) else { continue };
                let (image, region) = (path.clone(), Some(object.bbox));
                samples.push(Sample { image, region, class });
            }
        }
        Self { classes, samples }
    }

    /// # Errors
    /// If there are fewer classes than `least`, or none, or one is without a sample.
    pub fn check(&self, root: &Path, least: usize) -> Result<(), DatasetError> {
        let root = root.to_path_buf();
        match &self.classes[..] {
            [] => return Err(DatasetError::NoClasses { root }),
            [only] if least > 1 => {
                return Err(DatasetError::OneClass { root, class: only.clone() });
            }
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

/// The one folder, or the one that holds all of them.
pub(crate) fn common_root(roots: &[PathBuf]) -> PathBuf {
    let [first, others @ ..] = roots else { return PathBuf::new() };
    let mut root = first.as_path();
    while !others.iter().all(|other| other.starts_with(root) && other != root) {
        match root.parent() {
            Some(parent) if !others.is_empty() => root = parent,
            _ => break,
        }
    }
    root.to_path_buf()
}

/// A data set that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// There is no such folder.
    #[error("{}: no such folder; give a folder with one folder of images for each class", root.display())]
    NoFolder {
        /// The folder asked for.
        root: PathBuf,
    },
    /// The folder holds no class.
    #[error("{}: no class folders in it; it needs one folder of images for each class", root.display())]
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
    /// A data set for a detector that names no face.
    #[error(
        "{}: no face in it; a detector needs images with boxes in the form of Pascal VOC, YOLO or \
         COCO", root.display()
    )]
    NoBoxes {
        /// The data set.
        root: PathBuf,
    },
    /// No annotated box has an area in its image.
    #[error("{}: none of its boxes can be used; the first: {first}", root.display())]
    NoUsableBoxes {
        /// The data set.
        root: PathBuf,
        /// The first box, with its file.
        first: String,
    },
    /// A class without images.
    #[error("{}: class `{class}` has no images; fill its folder or remove it", root.display())]
    EmptyClass {
        /// The data set.
        root: PathBuf,
        /// The class.
        class: String,
    },
    /// A class none of whose images can be read.
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
    /// More unreadable images than tolerated.
    #[error(
        "{}: {unreadable} of {total} files cannot be read, more than {limit_percent} %; the \
         first: {first}", root.display()
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
    /// A class without enough different images to divide.
    #[error(
        "{}: class `{class}` has too few images that are not duplicates of each other: none is left \
         for {part}", root.display()
    )]
    TooFew {
        /// The data set.
        root: PathBuf,
        /// The class.
        class: String,
        /// The part of the division that lacks it.
        part: &'static str,
    },
    /// The regions of samples could not be found.
    #[error("{}: {reason}", path.display())]
    Region {
        /// The image.
        path: PathBuf,
        /// Why not.
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

impl From<AnnotationError> for DatasetError {
    fn from(AnnotationError { path, reason }: AnnotationError) -> Self {
        Self::Annotation { path, reason }
    }
}
