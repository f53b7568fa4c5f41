//! Annotations in the form of Pascal VOC: boxes with classes, a file a picture.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use roxmltree::{Document, Node};

use crate::{DatasetError, LabelledSet, Region, Sample};

/// A picture's boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct VocPicture {
    /// The annotation file.
    pub annotation: PathBuf,
    /// The picture file, if it lies beside.
    pub picture: Option<PathBuf>,
    /// The objects, in the order of the file.
    pub objects: Vec<VocObject>,
}

/// An annotated object.
#[derive(Debug, Clone, PartialEq)]
pub struct VocObject {
    /// Its class.
    pub class: String,
    /// Where it is.
    pub region: Region,
    /// Whether the annotator marked it as hard to recognise.
    pub difficult: bool,
}

/// How boxes become samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VocCrops {
    /// What is added to a box on every side, as a part of its width or height. Default: 0.
    pub margin: f32,
    /// Whether objects marked as difficult count. Default: no.
    pub difficult: bool,
}

impl Default for VocCrops {
    fn default() -> Self {
        Self { margin: 0.0, difficult: false }
    }
}

/// The folders of annotations and pictures of a data set in VOC's layout, if it has them:
/// `annotations` or `Annotations`, and `images` or `JPEGImages`.
pub fn voc_folders(root: &Path) -> Option<(PathBuf, PathBuf)> {
    let folder =
        |names: [&str; 2]| names.map(|name| root.join(name)).into_iter().find(|f| f.is_dir());
    Some((folder(["annotations", "Annotations"])?, folder(["images", "JPEGImages"])?))
}

/// Reads all annotations of a folder, in the order of their names.
///
/// A picture belongs to an annotation if their names are alike but for the extension, or by the
/// annotation's own `filename`.
///
/// # Errors
/// If a folder or an annotation cannot be read.
pub fn read_voc(annotations: &Path, images: &Path) -> Result<Vec<VocPicture>, DatasetError> {
    let mut by_stem = HashMap::new();
    for path in files_in(images)? {
        by_stem.entry(path.file_stem().unwrap_or_default().to_owned()).or_insert(path);
    }
    let mut pictures = Vec::new();
    for annotation in files_in(annotations)? {
        if annotation.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let failed = |reason: String| DatasetError::Annotation { path: annotation.clone(), reason };
        let text = fs::read_to_string(&annotation).map_err(|error| failed(error.to_string()))?;
        let (filename, objects) = parse(&text).map_err(failed)?;
        let picture = by_stem.get(annotation.file_stem().unwrap_or_default()).cloned();
        let named = filename.map(|name| images.join(name)).filter(|path| path.is_file());
        pictures.push(VocPicture { picture: picture.or(named), annotation, objects });
    }
    Ok(pictures)
}

/// Turns annotated boxes into samples. Boxes of no area and pictures that are absent are left out.
///
/// # Errors
/// If there are fewer than two classes.
pub fn voc_samples(
    root: &Path,
    pictures: &[VocPicture],
    crops: VocCrops,
) -> Result<LabelledSet, DatasetError> {
    let counted = |object: &&VocObject| {
        (crops.difficult || !object.difficult)
            && object.region.width() > 0.0
            && object.region.height() > 0.0
    };
    let classes: BTreeSet<&str> = pictures
        .iter()
        .filter(|picture| picture.picture.is_some())
        .flat_map(|picture| picture.objects.iter().filter(counted))
        .map(|object| object.class.as_str())
        .collect();
    let classes: Vec<String> = classes.into_iter().map(str::to_owned).collect();
    let mut samples = Vec::new();
    for picture in pictures {
        let Some(path) = &picture.picture else { continue };
        for object in picture.objects.iter().filter(counted) {
            let Ok(class) = classes.binary_search(&object.class) else { continue };
            let region = Some(object.region.grown(crops.margin));
            samples.push(Sample { picture: path.clone(), region, class });
        }
    }
    let set = LabelledSet { classes, samples };
    set.check(root)?;
    Ok(set)
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
    let region = Region {
        x_min: side("xmin")?,
        y_min: side("ymin")?,
        x_max: side("xmax")?,
        y_max: side("ymax")?,
    };
    let difficult = child_text(node, "difficult") == Some("1");
    Ok(VocObject { class, region, difficult })
}

fn child_text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let child = node.children().find(|child| child.has_tag_name(name))?;
    child.text().map(str::trim)
}
