//! Annotations in the form of Pascal VOC: boxes with classes, one file per image.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use geometry::{BoundingBox, ImageSize};
use image_input::upright_size;
use rayon::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};

use crate::{DatasetError, LabeledSet, Sample};

/// A folder of annotations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VocSet {
    /// The images, in the order of their annotations' names.
    pub images: Vec<VocImage>,
    /// Boxes that are left out, a line each, with file and reason.
    pub dropped: Vec<String>,
}

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
    /// Where it is, inside the image.
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
/// annotation's own `filename`. Boxes are cut at the edges of their images, swapped corners put right;
/// what then has no area is left out. Texts may be of any encoding that they name or that their first
/// bytes tell.
///
/// # Errors
/// If a folder or an annotation cannot be read.
pub fn read_voc(annotations: &Path, folder: &Path) -> Result<VocSet, DatasetError> {
    let mut by_stem = HashMap::new();
    for path in files_in(folder)? {
        by_stem.entry(path.file_stem().unwrap_or_default().to_owned()).or_insert(path);
    }
    let mut files = files_in(annotations)?;
    files.retain(|file| file.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("xml")));
    let read = |annotation: PathBuf| {
        let failed = |reason: String| DatasetError::Annotation { path: annotation.clone(), reason };
        let bytes = fs::read(&annotation).map_err(|error| failed(error.to_string()))?;
        let (filename, objects) = parse(&text_of(&bytes)).map_err(failed)?;
        let image = by_stem.get(annotation.file_stem().unwrap_or_default()).cloned();
        let named = filename.map(|name| folder.join(name)).filter(|path| path.is_file());
        let mut voc = VocImage { image: image.or(named), annotation, objects };
        let dropped = voc.tidy();
        Ok((voc, dropped))
    };
    let read: Vec<_> = files.into_par_iter().map(read).collect::<Result<_, _>>()?;
    let mut set = VocSet::default();
    for (image, dropped) in read {
        set.images.push(image);
        set.dropped.extend(dropped);
    }
    Ok(set)
}

impl VocImage {
    /// Puts boxes right, and leaves out those without an area in the image; a line for each of these.
    fn tidy(&mut self) -> Vec<String> {
        let size = self.image.as_deref().and_then(upright_size);
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

/// The text of an XML file: of the encoding that its first bytes tell or that it names, else UTF-8, or
/// what Windows wrote where that does not fit.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    const NAME: &[u8] = b"encoding=";
    let head = &bytes[..bytes.len().min(200)];
    let named = || {
        let at = head.windows(NAME.len()).position(|part| part == NAME)? + NAME.len();
        let (quote, rest) = head.get(at..)?.split_first()?;
        Encoding::for_label(rest.split(|byte| byte == quote).next()?)
    };
    let encoding = match bytes {
        [b'<', 0, ..] => Some(UTF_16LE),
        [0, b'<', ..] => Some(UTF_16BE),
        _ => Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or_else(named),
    };
    let (text, _, is_wrong) = encoding.unwrap_or(UTF_8).decode(bytes);
    if is_wrong { WINDOWS_1252.decode(bytes).0 } else { text }
}

/// Turns annotated boxes into samples. Images that are absent are left out, and, unless `difficult`,
/// objects marked as such.
pub fn voc_samples(images: &[VocImage], difficult: bool) -> LabeledSet {
    let counted = |object: &&VocObject| difficult || !object.difficult;
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
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options);
    let document = document.map_err(|error| format!("not XML: {error}"))?;
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
