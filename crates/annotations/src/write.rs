//! Writing annotations in another form.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use geometry::{ImageSize, UnitBox};
use image_input::{common_folder, upright_size};

use crate::{
    AnnotatedImage, AnnotationError,
    coco::{CocoCategory, CocoFile, CocoImage, CocoObject},
};

/// A form of annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Pascal VOC's XML files.
    Voc,
    /// YOLO's text files, which cannot say that an object is difficult.
    Yolo,
    /// COCO's JSON file.
    Coco,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "voc" => Ok(Self::Voc),
            "yolo" => Ok(Self::Yolo),
            "coco" => Ok(Self::Coco),
            _ => Err(format!("`{text}` is none of voc, yolo and coco")),
        }
    }
}

/// Writes a data set into a folder: annotations, and copies of the images in `images`. Those of several
/// folders lie there together, the folders' names before their own. Images that are absent are left out.
///
/// # Errors
/// If the form cannot hold the name of a class, an image's size cannot be read, or a file cannot be
/// written.
pub fn write(images: &[AnnotatedImage], form: Form, folder: &Path) -> Result<(), AnnotationError> {
    let mut placed = Vec::new();
    let folders = images.iter().filter_map(|image| image.image.as_ref()?.parent());
    let root = common_folder(folders.map(Path::to_path_buf));
    let mut stems = BTreeSet::new();
    for annotated in images {
        let Some(path) = &annotated.image else { continue };
        let parts = path.strip_prefix(&root).unwrap_or(path).components();
        let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
        let wanted = PathBuf::from(parts.join("-"));
        let mut name = wanted.clone();
        for number in 2.. {
            // Annotations are told by names without extension, on some systems without case.
            if stems.insert(name.with_extension("").to_string_lossy().to_lowercase()) {
                break;
            }
            let stem = wanted.file_stem().unwrap_or_default().to_string_lossy();
            let extension = wanted.extension().unwrap_or_default().to_string_lossy();
            name = format!("{stem}-{number}.{extension}").into();
        }
        let size = upright_size(path)
            .ok_or_else(|| AnnotationError::new(path, "its size cannot be read"))?;
        placed.push(Placed { annotated, name, path, size });
    }
    let classes: BTreeSet<&str> =
        placed.iter().flat_map(|p| &p.annotated.objects).map(|object| &*object.class).collect();
    let classes: Vec<&str> = classes.into_iter().collect();
    if form != Form::Coco
        && let Some(class) = classes.iter().find(|class| !is_plain(class))
    {
        let reason =
            format!("the class {class:?} can only be written as COCO: give it another name");
        return Err(AnnotationError::new(folder, reason));
    }
    let target = match form {
        Form::Voc => folder.join("annotations"),
        Form::Yolo => folder.join("labels"),
        Form::Coco => folder.to_path_buf(),
    };
    fs::create_dir_all(&target).map_err(|error| AnnotationError::new(&target, error))?;
    let save = |path: PathBuf, text: &[u8]| {
        fs::write(&path, text).map_err(|error| AnnotationError::new(&path, error))
    };
    match form {
        Form::Voc => {
            for image in &placed {
                save(target.join(&image.name).with_extension("xml"), image.voc().as_bytes())?;
            }
        }
        Form::Yolo => {
            for image in &placed {
                save(
                    target.join(&image.name).with_extension("txt"),
                    image.yolo(&classes).as_bytes(),
                )?;
            }
            let names: String = classes.iter().map(|class| format!("{class}\n")).collect();
            save(folder.join("classes.txt"), names.as_bytes())?;
        }
        Form::Coco => {
            let bytes = serde_json::to_vec_pretty(&coco(&placed, &classes))
                .map_err(|error| AnnotationError::new(folder, error))?;
            save(folder.join("annotations.json"), &bytes)?;
        }
    }
    let target = folder.join("images");
    fs::create_dir_all(&target).map_err(|error| AnnotationError::new(&target, error))?;
    for image in &placed {
        fs::copy(image.path, target.join(&image.name))
            .map_err(|error| AnnotationError::new(image.path, error))?;
    }
    Ok(())
}

/// An image of which a file is written.
struct Placed<'a> {
    annotated: &'a AnnotatedImage,
    name: PathBuf,
    path: &'a PathBuf,
    size: ImageSize,
}

impl Placed<'_> {
    fn voc(&self) -> String {
        let ImageSize { width, height } = self.size;
        let name = escaped(&self.name.to_string_lossy());
        let mut text = format!(
            "<annotation>\n  <filename>{name}</filename>\n  <size><width>{width}</width><height>{height}\
             </height><depth>3</depth></size>\n"
        );
        for object in &self.annotated.objects {
            let (class, bbox) = (escaped(&object.class), object.bbox);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  <object><name>{class}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}\
                 </ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>",
                u8::from(object.difficult),
                bbox.x_min,
                bbox.y_min,
                bbox.x_max,
                bbox.y_max
            );
        }
        text + "</annotation>\n"
    }

    fn yolo(&self, classes: &[&str]) -> String {
        let mut text = String::new();
        for object in &self.annotated.objects {
            let class = classes.iter().position(|class| *class == object.class).unwrap_or_default();
            let UnitBox { x_min, y_min, x_max, y_max } = object.bbox.to_unit(self.size);
            let (x, y) = ((x_min + x_max) / 2.0, (y_min + y_max) / 2.0);
            let _ = writeln!(text, "{class} {x} {y} {} {}", x_max - x_min, y_max - y_min);
        }
        text
    }
}

fn coco(placed: &[Placed<'_>], classes: &[&str]) -> CocoFile {
    let mut file = CocoFile::default();
    // COCO counts categories from 1.
    let categories = classes.iter().zip(1..);
    file.categories =
        categories.map(|(name, id)| CocoCategory { id, name: (*name).to_owned() }).collect();
    for (image, id) in placed.iter().zip(1..) {
        let ImageSize { width, height } = image.size;
        let file_name = image.name.to_string_lossy().into_owned();
        file.images.push(CocoImage { id, file_name, width, height });
        for object in &image.annotated.objects {
            let category = classes.iter().position(|class| *class == object.class);
            file.annotations.push(CocoObject {
                id: file.annotations.len() as u64 + 1,
                image_id: id,
                category_id: category.unwrap_or_default() as u64 + 1,
                bbox: [
                    object.bbox.x_min,
                    object.bbox.y_min,
                    object.bbox.width(),
                    object.bbox.height(),
                ],
                area: object.bbox.area(),
                iscrowd: u8::from(object.difficult),
            });
        }
    }
    file
}

/// Whether XML and lists of lines give a name back as it was.
fn is_plain(name: &str) -> bool {
    // The last two are characters, but none of XML's (XML 1.0, 2.2).
    let is_odd = |letter: char| letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}');
    !name.is_empty() && name.trim() == name && !name.contains(is_odd)
}

/// A text between XML's tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
