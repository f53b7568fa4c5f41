//! Annotations in the form of COCO: a JSON file for many images.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use geometry::BoundingBox;
use serde::{Deserialize, Serialize};

use crate::{AnnotatedImage, AnnotatedObject, AnnotatedSet, AnnotationError};

/// A file, as far as it is read and written here.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CocoFile {
    pub(crate) images: Vec<CocoImage>,
    pub(crate) annotations: Vec<CocoObject>,
    pub(crate) categories: Vec<CocoCategory>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CocoImage {
    pub(crate) id: u64,
    pub(crate) file_name: String,
    #[serde(default)]
    pub(crate) width: u32,
    #[serde(default)]
    pub(crate) height: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CocoObject {
    #[serde(default)]
    pub(crate) id: u64,
    pub(crate) image_id: u64,
    pub(crate) category_id: u64,
    /// Left, top, width and height, in pixels.
    pub(crate) bbox: [f32; 4],
    #[serde(default)]
    pub(crate) area: f32,
    #[serde(default)]
    pub(crate) iscrowd: u8,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CocoCategory {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// Whether a JSON file has COCO's lists.
pub(crate) fn is_coco(file: &Path) -> bool {
    /// The lists, whatever is in them.
    #[derive(Deserialize)]
    struct Lists {
        #[serde(rename = "images")]
        _images: Vec<serde::de::IgnoredAny>,
        #[serde(rename = "annotations")]
        _annotations: Vec<serde::de::IgnoredAny>,
        #[serde(rename = "categories")]
        _categories: Vec<serde::de::IgnoredAny>,
    }
    let reader = File::open(file).map(BufReader::new);
    reader.is_ok_and(|reader| serde_json::from_reader::<_, Lists>(reader).is_ok())
}

/// Reads files. An image lies where its name says below the folder of the file, `images` or the set's
/// folder.
pub(crate) fn read(files: &[PathBuf], root: &Path) -> Result<AnnotatedSet, AnnotationError> {
    let mut images = Vec::new();
    for path in files {
        let failed = |reason: String| AnnotationError::new(path, reason);
        let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let file: CocoFile =
            serde_json::from_slice(&bytes).map_err(|error| failed(format!("not COCO: {error}")))?;
        let names: HashMap<u64, &str> =
            file.categories.iter().map(|category| (category.id, &*category.name)).collect();
        let mut objects: HashMap<u64, Vec<AnnotatedObject>> = HashMap::new();
        for object in &file.annotations {
            let CocoObject { id, category_id, bbox: [x, y, width, height], iscrowd, .. } = object;
            let class = names.get(category_id).ok_or_else(|| {
                failed(format!("annotation {id} is of category {category_id}, which has no name"))
            })?;
            objects.entry(object.image_id).or_default().push(AnnotatedObject {
                class: (*class).to_owned(),
                bbox: BoundingBox { x_min: *x, y_min: *y, x_max: x + width, y_max: y + height },
                difficult: *iscrowd != 0,
            });
        }
        let folder = path.parent().unwrap_or(root);
        let places = [root.join("images"), root.to_path_buf(), folder.to_path_buf()];
        for image in &file.images {
            let found = places.iter().map(|place| place.join(&image.file_name));
            images.push(AnnotatedImage {
                annotation: path.clone(),
                image: found.into_iter().find(|path| path.is_file()),
                objects: objects.remove(&image.id).unwrap_or_default(),
            });
        }
    }
    Ok(AnnotatedSet::tidied(images))
}
