//! Images with boxes, whatever form they came in.

use std::path::PathBuf;

use geometry::{BoundingBox, ImageSize};
use image_input::upright_size;
use rayon::prelude::*;

/// A set of annotated images.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AnnotatedSet {
    /// The images, in the order of their annotations.
    pub images: Vec<AnnotatedImage>,
    /// Boxes that are left out, a line each, with file and reason.
    pub dropped: Vec<String>,
}

/// An image's boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedImage {
    /// The annotation file.
    pub annotation: PathBuf,
    /// The image file, if it is there.
    pub image: Option<PathBuf>,
    /// The objects, in the order of the file.
    pub objects: Vec<AnnotatedObject>,
}

/// An annotated object.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedObject {
    /// Its class.
    pub class: String,
    /// Where it is, inside the image.
    pub bbox: BoundingBox,
    /// Whether the annotator marked it as hard to recognise, or as a crowd.
    pub difficult: bool,
}

impl AnnotatedSet {
    /// Puts the boxes of images right.
    pub(crate) fn tidied(images: Vec<AnnotatedImage>) -> Self {
        let tidied: Vec<_> = images
            .into_par_iter()
            .map(|mut image| {
                let size = image.image.as_deref().and_then(upright_size);
                let dropped = image.tidy(size);
                (image, dropped)
            })
            .collect();
        let mut set = Self::default();
        for (image, dropped) in tidied {
            set.images.push(image);
            set.dropped.extend(dropped);
        }
        set
    }
}

impl AnnotatedImage {
    /// Puts boxes right, and leaves out those without an area in the image; a line for each of these.
    fn tidy(&mut self, size: Option<ImageSize>) -> Vec<String> {
        let mut dropped = Vec::new();
        let annotation = self.annotation.display();
        self.objects.retain_mut(|object| {
            let BoundingBox { x_min, y_min, x_max, y_max } = object.bbox;
            let ordered = BoundingBox {
                x_min: x_min.min(x_max),
                y_min: y_min.min(y_max),
                x_max: x_min.max(x_max),
                y_max: y_min.max(y_max),
            };
            object.bbox = size.map_or(ordered, |size| ordered.clamp(size));
            let counts = object.bbox.width() >= 1.0 && object.bbox.height() >= 1.0;
            if !counts {
                let class = &object.class;
                let place = match size {
                    Some(ImageSize { width, height }) => {
                        format!(" in the image of {width} x {height}")
                    }
                    None => String::new(),
                };
                dropped.push(format!(
                    "{annotation}: the box {x_min} {y_min} {x_max} {y_max} of a `{class}` has no \
                     area{place}"
                ));
            }
            counts
        });
        dropped
    }
}
