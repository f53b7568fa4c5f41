//! Annotations in the form of YOLO: a text file per image, a line per box.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use geometry::{BoundingBox, ImageSize, UnitBox};
use image_input::{is_image_name, upright_size};
use rayon::prelude::*;
use saphyr::{LoadableYamlNode, Yaml};

use crate::{AnnotatedImage, AnnotatedObject, AnnotatedSet, AnnotationError, files};

/// Reads the labels of every image. An image without a file has no boxes.
pub(crate) fn read(labels: &Path, images: &Path) -> Result<AnnotatedSet, AnnotationError> {
    let names = class_names(labels)?;
    let by_stem = files::by_stem(files::below(labels)?, labels);
    let mut found = files::below(images)?;
    found.retain(|path| is_image_name(path));
    let read = |image: PathBuf| {
        let stem = files::stem(&image, images);
        let annotation = by_stem.get(&stem).cloned();
        let file = annotation.unwrap_or_else(|| labels.join(&stem).with_extension("txt"));
        let failed = |reason: String| AnnotationError::new(&file, reason);
        let text = match file.is_file() {
            true => fs::read_to_string(&file).map_err(|error| failed(error.to_string()))?,
            false => String::new(),
        };
        let mut lines: Vec<_> =
            text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
        // An image that cannot be read is reported where its pixels are wanted.
        let size = if lines.is_empty() { None } else { upright_size(&image) };
        lines.retain(|_| size.is_some());
        let objects = lines.into_iter().map(|(number, line)| {
            object(line, size.unwrap_or_default(), &names)
                .map_err(|reason| failed(format!("line {}: {reason}", number + 1)))
        });
        let objects = objects.collect::<Result<_, _>>()?;
        Ok(AnnotatedImage { annotation: file, image: Some(image), objects })
    };
    Ok(AnnotatedSet::tidied(found.into_par_iter().map(read).collect::<Result<_, _>>()?))
}

/// A line: the class's number, and the middle, width and height of a box or the corners of a polygon, as
/// fractions of the image. A fifth number is a detector's confidence.
fn object(
    line: &str,
    size: ImageSize,
    names: &BTreeMap<usize, String>,
) -> Result<AnnotatedObject, String> {
    let mut words = line.split_whitespace();
    let class = words.next().unwrap_or_default();
    let number: usize = class.parse().map_err(|_| format!("`{class}` is no number of a class"))?;
    let class = names.get(&number).ok_or_else(|| format!("class {number} has no name"))?.clone();
    let values: Vec<f32> = words
        .map(|word| word.parse().ok().filter(|value: &f32| value.is_finite()))
        .collect::<Option<_>>()
        .ok_or("something that is no number")?;
    let unit = match values[..] {
        [x, y, width, height] | [x, y, width, height, _] => UnitBox {
            x_min: x - width / 2.0,
            y_min: y - height / 2.0,
            x_max: x + width / 2.0,
            y_max: y + height / 2.0,
        },
        [..] if values.len() >= 6 && values.len().is_multiple_of(2) => {
            let of = |first: usize, choose: fn(f32, f32) -> f32| {
                values.iter().skip(first).step_by(2).copied().reduce(choose).unwrap_or_default()
            };
            UnitBox {
                x_min: of(0, f32::min),
                y_min: of(1, f32::min),
                x_max: of(0, f32::max),
                y_max: of(1, f32::max),
            }
        }
        _ => return Err(format!("{} numbers after the class; a box has four", values.len())),
    };
    let bbox: BoundingBox = unit.to_pixels(size);
    Ok(AnnotatedObject { class, bbox, difficult: false })
}

/// The names of the classes, by number.
fn class_names(labels: &Path) -> Result<BTreeMap<usize, String>, AnnotationError> {
    let root = labels.parent().unwrap_or(labels);
    let folders = [root, labels, root.parent().unwrap_or(root)];
    for folder in folders {
        let lists = ["classes.txt".to_owned()].map(|name| folder.join(name));
        let named = files::with_extension(folder, "names").unwrap_or_default();
        if let Some(file) = lists.into_iter().chain(named).find(|file| file.is_file()) {
            let text =
                fs::read_to_string(&file).map_err(|error| AnnotationError::new(&file, error))?;
            let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
            return Ok(names.map(str::to_owned).enumerate().collect());
        }
        for kind in ["yaml", "yml"] {
            for file in files::with_extension(folder, kind).unwrap_or_default() {
                if let Some(names) = names_of_yaml(&file)? {
                    return Ok(names);
                }
            }
        }
    }
    let reason = "labels without names of classes: write them into `classes.txt`, one a line, or give the \
                  set's `.yaml` file";
    Err(AnnotationError::new(root, reason))
}

/// What a data set's description calls its classes: `names: [a, b]` or `names: {0: a, 1: b}`.
fn names_of_yaml(file: &Path) -> Result<Option<BTreeMap<usize, String>>, AnnotationError> {
    let failed = |error: String| AnnotationError::new(file, error);
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let documents = Yaml::load_from_str(&text).map_err(|error| failed(error.to_string()))?;
    let Some(names) = documents.first().and_then(|document| document.as_mapping_get("names"))
    else {
        return Ok(None);
    };
    let text = |name: &Yaml<'_>| match name.as_str() {
        Some(name) => Some(name.to_owned()),
        None => name.as_integer().map(|number| number.to_string()),
    };
    let names = match (names.as_sequence(), names.as_mapping()) {
        (Some(list), _) => {
            list.iter().map(text).enumerate().map(|(at, name)| Some((at, name?))).collect()
        }
        (_, Some(map)) => map
            .iter()
            .map(|(number, name)| Some((usize::try_from(number.as_integer()?).ok()?, text(name)?)))
            .collect(),
        _ => None,
    };
    names.map(Some).ok_or_else(|| failed("its `names` are neither a list nor numbered".to_owned()))
}
