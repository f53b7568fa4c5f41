//! Annotations in the form of Pascal VOC: boxes with classes, one file per image.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use geometry::BoundingBox;
use roxmltree::{Document, Node};

use crate::{DatasetError, LabeledSet, Sample};

/// An image's boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct VocImage {
    /// The annotation file.
    pub annotation: PathBuf,
    /// The image file, if it lies beside.
    pub image: Option<PathBuf>,
    /// The objects, in the order of the file.
    pub objects: Vec<VocObject>,
}

/// An annotated object.
#[derive(Debug, Clone, PartialEq)]
pub struct VocObject {
    /// Its class.
    pub class: String,
    /// Where it is.
    pub bbox: BoundingBox,
    /// Whether the annotator marked it as hard to recognise.
    pub difficult: bool,
}

/// The folders of annotations and images of a data set in VOC's layout, if it has them:
/// `annotations` or `Annotations`, and `images` or `JPEGImages`.
pub fn voc_folders(root: &Path) -> Option<(PathBuf, PathBuf)> {
    let folder =
        |names: [&str; 2]| names.map(|name| root.join(name)).into_iter().find(|f| f.is_dir());
    Some((folder(["annotations", "Annotations"])?, folder(["images", "JPEGImages"])?))
}

/// Reads all annotations of a folder, in the order of their names.
///
/// An image belongs to an annotation if their names are alike but for the extension, or by the
/// annotation's own `filename`.
///
/// # Errors
/// If a folder or an annotation cannot be read.
pub fn read_voc(annotations: &Path, folder: &Path) -> Result<Vec<VocImage>, DatasetError> {
    let mut by_stem = HashMap::new();
    for path in files_in(folder)? {
        by_stem.entry(path.file_stem().unwrap_or_default().to_owned()).or_insert(path);
    }
    let mut images = Vec::new();
    for annotation in files_in(annotations)? {
        if annotation.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let failed = |reason: String| DatasetError::Annotation { path: annotation.clone(), reason };
        let text = fs::read_to_string(&annotation).map_err(|error| failed(error.to_string()))?;
        let (filename, objects) = parse(&text).map_err(failed)?;
        let image = by_stem.get(annotation.file_stem().unwrap_or_default()).cloned();
        let named = filename.map(|name| folder.join(name)).filter(|path| path.is_file());
        images.push(VocImage { image: image.or(named), annotation, objects });
    }
    Ok(images)
}

/// Turns annotated boxes into samples. Boxes of no area and images that are absent are left out,
/// and, unless `difficult`, objects marked as such.
pub fn voc_samples(images: &[VocImage], difficult: bool) -> LabeledSet {
    let counted = |object: &&VocObject| {
        (difficult || !object.difficult) && object.bbox.width() > 0.0 && object.bbox.height() > 0.0
    };
    let classes: BTreeSet<&str> = images
        .iter()
        .filter(|image| image.image.is_some())
        .flat_map(|image| image.objects.iter().filter(counted))
        .map(|object| object.class.as_str())
        .collect();
    let classes: Vec<String> = classes.into_iter().map(str::to_owned).collect();
    let mut samples = Vec::new();
    for image in images {
        let Some(path) = &image.image else { continue };
        for object in image.objects.iter().filter(counted) {
            let Ok(class) = classes.binary_search(&object.class) else { continue };
            let (image, region) = (path.clone(), Some(object.bbox));
            samples.push(Sample { image, region, class });
        }
    }
    LabeledSet { classes, samples }
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let failed = |error: std::io::Error| DatasetError::Unreadable {
        path: folder.to_path_buf(),
        reason: error.to_string(),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn parse(text: &str) -> Result<(Option<String>, Vec<VocObject>), String> {
    let document = Document::parse(text).map_err(|error| format!("not XML: {error}"))?;
    let root = document.root_element();
    if root.tag_name().name() != "annotation" {
        return Err(format!("its root is `{}`, not `annotation`", root.tag_name().name()));
    }
    let filename = child_text(root, "filename").map(str::to_owned);
    let objects = root.children().filter(|node| node.has_tag_name("object")).map(object);
    Ok((filename, objects.collect::<Result<_, _>>()?))
}

fn object(node: Node<'_, '_>) -> Result<VocObject, String> {
    let class = child_text(node, "name").ok_or("an object without a name")?.to_owned();
    let bounds = node.children().find(|child| child.has_tag_name("bndbox"));
    let bounds = bounds.ok_or_else(|| format!("a `{class}` without a bndbox"))?;
    let side = |name: &str| {
        let text = child_text(bounds, name).unwrap_or_default();
        let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| format!("a `{class}` whose {name} is `{text}`, not a number"))
    };
    let bbox = BoundingBox {
        x_min: side("xmin")?,
        y_min: side("ymin")?,
        x_max: side("xmax")?,
        y_max: side("ymax")?,
    };
    let difficult = child_text(node, "difficult") == Some("1");
    Ok(VocObject { class, bbox, difficult })
}

fn child_text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let child = node.children().find(|child| child.has_tag_name(name))?;
    child.text().map(str::trim)
}
