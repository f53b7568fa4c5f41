//! Annotations in the form of Pascal VOC: boxes with classes, one XML file per image.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use geometry::BoundingBox;
use rayon::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};

use crate::{AnnotatedImage, AnnotatedObject, AnnotatedSet, AnnotationError, files};

/// Reads all annotations of a folder. An image belongs to an annotation if their names are alike but for
/// the extension, or by the annotation's own `filename`. Texts may be of any encoding that they name or
/// that their first bytes tell.
pub(crate) fn read(annotations: &Path, folder: &Path) -> Result<AnnotatedSet, AnnotationError> {
    let by_stem = files::by_stem(files::below(folder)?, folder);
    let read = |annotation: PathBuf| {
        let failed = |reason: String| AnnotationError::new(&annotation, reason);
        let bytes = fs::read(&annotation).map_err(|error| failed(error.to_string()))?;
        let (filename, objects) = parse(&text_of(&bytes)).map_err(failed)?;
        let image = by_stem.get(annotation.file_stem().unwrap_or_default()).cloned();
        let named = filename.map(|name| folder.join(name)).filter(|path| path.is_file());
        Ok(AnnotatedImage { image: image.or(named), annotation, objects })
    };
    let files = files::with_extension(annotations, "xml")?;
    Ok(AnnotatedSet::tidied(files.into_par_iter().map(read).collect::<Result<_, _>>()?))
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

fn parse(text: &str) -> Result<(Option<String>, Vec<AnnotatedObject>), String> {
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

fn object(node: Node<'_, '_>) -> Result<AnnotatedObject, String> {
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
    Ok(AnnotatedObject { class, bbox, difficult })
}

fn child_text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let child = node.children().find(|child| child.has_tag_name(name))?;
    child.text().map(str::trim)
}
