//! Annotations. Boxes that are read lie inside their image and have an area, and what was read is
//! read again from every form in which it is written.

use std::{fs, path::Path};

use annotations::{AnnotatedObject, AnnotatedSet, Annotations, Form, write};
use image::RgbImage;
use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = folder();
}

/// A data set whose annotations are still to be written.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for form in ["voc", "yolo", "coco"] {
        let images = folder.path().join(form).join("images");
        fs::create_dir_all(&images).unwrap();
        RgbImage::new(40, 20).save(images.join("a.png")).unwrap();
    }
    fs::create_dir_all(folder.path().join("voc/annotations")).unwrap();
    fs::create_dir_all(folder.path().join("yolo/labels")).unwrap();
    folder
}

/// Reads an annotation, whose form the first byte chooses. For YOLO, 0xFF separates the file of
/// names from the labels.
pub fn run(bytes: &[u8]) {
    let Some((form, text)) = bytes.split_first() else { return };
    FOLDER.with(|folder| {
        let root = |form: &str| folder.path().join(form);
        let root = match form % 3 {
            0 => {
                fs::write(root("voc").join("annotations/a.xml"), text).unwrap();
                root("voc")
            }
            1 => {
                let mut parts = text.splitn(2, |byte| *byte == 0xFF);
                let mut save = |name| {
                    let part = parts.next().unwrap_or_default();
                    fs::write(root("yolo").join(name), part).unwrap();
                };
                save("classes.txt");
                save("labels/a.txt");
                root("yolo")
            }
            _ => {
                fs::write(root("coco").join("a.json"), text).unwrap();
                root("coco")
            }
        };
        let Some(Ok(set)) = Annotations::find(&root).map(|found| found.read()) else { return };
        check(&set, folder.path());
    });
}

fn check(set: &AnnotatedSet, folder: &Path) {
    for object in set.images.iter().filter(|image| image.image.is_some()).flat_map(|i| &i.objects) {
        let bbox = object.bbox;
        let inside =
            bbox.x_min >= 0.0 && bbox.y_min >= 0.0 && bbox.x_max <= 40.0 && bbox.y_max <= 20.0;
        assert!(inside && bbox.width() >= 1.0 && bbox.height() >= 1.0, "{bbox:?}");
    }
    let objects = |set: &AnnotatedSet| -> Vec<AnnotatedObject> {
        let images = set.images.iter().filter(|image| image.image.is_some());
        images.flat_map(|image| image.objects.clone()).collect()
    };
    let ours = objects(set);
    for form in [Form::Voc, Form::Yolo, Form::Coco] {
        let target = folder.join("written");
        if target.exists() {
            fs::remove_dir_all(&target).unwrap();
        }
        // A form may refuse what it cannot hold, with the reason.
        if write(&set.images, form, &target).is_err() || ours.is_empty() {
            continue;
        }
        let again = Annotations::find(&target).unwrap().read().unwrap();
        assert_eq!(again.dropped, Vec::<String>::new(), "{form:?}");
        let theirs = objects(&again);
        assert_eq!(ours.len(), theirs.len(), "{form:?}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.class, theirs.class, "{form:?}");
            assert!(ours.bbox.iou(&theirs.bbox) > 0.999, "{form:?}: {ours:?} {theirs:?}");
            assert!(form == Form::Yolo || ours.difficult == theirs.difficult, "{form:?}");
        }
    }
}

/// An annotation in each form.
pub fn seeds() -> Vec<Vec<u8>> {
    let voc = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><!DOCTYPE annotation><annotation>\
        <filename>a.png</filename><size><width>40</width><height>20</height></size><object>\
        <name>with_mask</name><difficult>1</difficult><bndbox><xmin>3</xmin><ymin>-4.5</ymin>\
        <xmax>1e1</xmax><ymax>12</ymax></bndbox></object></annotation>";
    let wide: Vec<u8> = voc.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let yolo = b"with_mask\nwithout_mask\n\xff0 0.5 0.5 0.25 0.5\n1 .1 .1 .3 .1 .3 .4 .1 .4\n";
    let coco = "{\"images\":[{\"id\":1,\"file_name\":\"images/a.png\",\"width\":40,\"height\":20}],\
        \"categories\":[{\"id\":1,\"name\":\"with_mask\"}],\"annotations\":[{\"id\":1,\"image_id\":1,\
        \"category_id\":1,\"bbox\":[3,4.5,7,8],\"iscrowd\":0,\"area\":56}]}";
    vec![
        [&[0], voc.as_bytes()].concat(),
        [&[0, 0xFF, 0xFE][..], &wide].concat(),
        [&[1], &yolo[..]].concat(),
        [&[2], coco.as_bytes()].concat(),
    ]
}
