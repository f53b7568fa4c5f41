//! Annotations as programs write them, and from form to form.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use annotations::{AnnotatedObject, Annotations, Form, write};
use geometry::BoundingBox;
use image::RgbImage;

#[test]
fn annotations_are_read_as_programs_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("images")).unwrap();
    fs::create_dir(root.join("annotations")).unwrap();
    let text = |head: &str, bounds: [i32; 4]| {
        let [a, b, c, d] = bounds;
        format!(
            "{head}<annotation><object><name>caf\u{e9}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>\
             <xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object></annotation>"
        )
    };
    let latin = |text: String| text.chars().map(|letter| letter as u8).collect::<Vec<_>>();
    let wide = |text: String| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let inside = [10, 20, 30, 40];
    let declared = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>";
    let doctype = "<!DOCTYPE annotation [<!ELEMENT annotation ANY>]>";
    let files: [(&str, Vec<u8>); 8] = [
        ("a.xml", text("", inside).into_bytes()),
        ("b.XML", latin(text(declared, inside))),
        ("c.xml", latin(text("", inside))),
        ("d.xml", [vec![0xFF, 0xFE], wide(text("", inside))].concat()),
        ("e.xml", wide(text("", inside))),
        ("f.xml", text(doctype, inside).into_bytes()),
        ("g.xml", text("\u{feff}", [30, 40, 10, 20]).into_bytes()),
        ("h.xml", text("", [-5, 20, 30, 400]).into_bytes()),
    ];
    for (name, bytes) in &files {
        fs::write(root.join("annotations").join(name), bytes).unwrap();
        RgbImage::new(90, 70)
            .save(root.join("images").join(format!("{}.png", &name[..1])))
            .unwrap();
    }
    let outside = text("", [100, 20, 130, 40]);
    fs::write(root.join("annotations/i.xml"), outside).unwrap();
    RgbImage::new(90, 70).save(root.join("images/i.png")).unwrap();
    let set = Annotations::find(root).unwrap().read().unwrap();
    let found: Vec<_> = set.images.iter().flat_map(|image| &image.objects).collect();
    assert_eq!(found.len(), 8);
    let bounds = BoundingBox { x_min: 10.0, y_min: 20.0, x_max: 30.0, y_max: 40.0 };
    let cut = BoundingBox { x_min: 0.0, y_min: 20.0, x_max: 30.0, y_max: 70.0 };
    for (object, (name, _)) in found.iter().zip(&files) {
        assert_eq!(object.class, "caf\u{e9}", "{name}");
        assert_eq!(object.bbox, if *name == "h.xml" { cut } else { bounds }, "{name}");
    }
    assert_eq!(set.dropped.len(), 1);
    assert!(set.dropped[0].contains("i.xml: the box 100 20 130 40 of a `caf\u{e9}` has no area"));
}

fn images(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::new(200, 100).save(path).unwrap();
    }
}

fn objects(root: &Path) -> Vec<Vec<AnnotatedObject>> {
    let set = Annotations::find(root).unwrap().read().unwrap();
    assert!(set.dropped.is_empty(), "{:?}", set.dropped);
    assert!(set.images.iter().all(|image| image.image.is_some()));
    set.images.into_iter().map(|image| image.objects).collect()
}

fn object(class: &str, [x_min, y_min, x_max, y_max]: [f32; 4], difficult: bool) -> AnnotatedObject {
    let bbox = BoundingBox { x_min, y_min, x_max, y_max };
    AnnotatedObject { class: class.to_owned(), bbox, difficult }
}

#[test]
fn yolo_is_read_with_its_names_wherever_they_are() {
    for (file, names) in [
        ("set/classes.txt", "mask\nnone\n"),
        ("set/labels/classes.txt", "mask\r\nnone\r\n"),
        ("set/obj.names", "mask\nnone\n"),
        ("set/data.yaml", "train: images\nnc: 2\nnames: ['mask', 'none']\n"),
        ("data.yaml", "names:\n  0: mask\n  1: none\n"),
        ("set/data.yml", "names:\n- mask\n- none\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("set");
        images(&root, &["images/a.png", "images/deep/b.png", "images/c.png"]);
        fs::create_dir_all(root.join("labels/deep")).unwrap();
        let lines = "0 0.5 0.5 0.25 0.5\n\n1 0.125 0.25 0.25 0.5 0.93\n";
        fs::write(root.join("labels/a.txt"), lines).unwrap();
        fs::write(root.join("labels/deep/b.txt"), "1 0.1 0.1 0.4 0.1 0.4 0.6 0.2 0.7\n").unwrap();
        fs::write(folder.path().join(file), names).unwrap();
        let expected = [
            vec![
                object("mask", [75.0, 25.0, 125.0, 75.0], false),
                object("none", [0.0, 0.0, 50.0, 50.0], false),
            ],
            // No file: nothing in it.
            vec![],
            vec![object("none", [20.0, 10.0, 80.0, 70.0], false)],
        ];
        let found = objects(&root);
        assert_eq!(found.len(), 3, "{file}");
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert_eq!(found.class, expected.class, "{file}");
            assert!(found.bbox.iou(&expected.bbox) > 0.9999, "{file}: {found:?}");
        }
        assert_eq!(found.each_lengths(), expected.each_lengths(), "{file}");
    }
}

trait Lengths {
    fn each_lengths(&self) -> Vec<usize>;
}

impl Lengths for [Vec<AnnotatedObject>] {
    fn each_lengths(&self) -> Vec<usize> {
        self.iter().map(Vec::len).collect()
    }
}

#[test]
fn what_is_wrong_with_labels_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    images(root, &["images/a.png"]);
    fs::create_dir(root.join("labels")).unwrap();
    let read = || Annotations::find(root).unwrap().read().unwrap_err().to_string();
    assert!(read().contains("labels without names of classes: write them into `classes.txt`"));
    fs::write(root.join("classes.txt"), "mask\n").unwrap();
    for (line, reason) in [
        ("x 0.5 0.5 0.2 0.2", "`x` is no number of a class"),
        ("7 0.5 0.5 0.2 0.2", "class 7 has no name"),
        ("0 0.5 0.5", "2 numbers after the class; a box has four"),
        ("0 0.5 0.5 0.2 wide", "something that is no number"),
    ] {
        fs::write(root.join("labels/a.txt"), format!("0 0.5 0.5 0.2 0.2\n{line}\n")).unwrap();
        let error = read();
        assert!(error.contains("a.txt: line 2: ") && error.contains(reason), "{error}");
    }
}

#[test]
fn coco_is_read_from_wherever_its_files_are() {
    for (json, place) in [
        ("annotations.json", "images"),
        ("annotations/instances_train.json", "images"),
        ("_annotations.coco.json", "."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        images(&root.join(place), &["a.png", "b.png"]);
        let text = r#"{"info": {}, "licenses": [],
            "images": [{"id": 7, "file_name": "b.png", "width": 200, "height": 100}, {"id": 3, "file_name": "a.png"}],
            "categories": [{"id": 4, "name": "mask"}, {"id": 9, "name": "none"}],
            "annotations": [
                {"id": 1, "image_id": 3, "category_id": 9, "bbox": [10, 20, 30, 40], "iscrowd": 0},
                {"id": 2, "image_id": 3, "category_id": 4, "bbox": [10.5, 20, 300, 40], "iscrowd": 1}
            ]}"#;
        let path = root.join(json);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::write(root.join("other.json"), r#"{"images": []}"#).unwrap();
        let expected = [
            vec![],
            vec![
                object("none", [10.0, 20.0, 40.0, 60.0], false),
                object("mask", [10.5, 20.0, 200.0, 60.0], true),
            ],
        ];
        assert_eq!(objects(root), expected, "{json}");
        fs::write(&path, text.replace("\"category_id\": 9", "\"category_id\": 5")).unwrap();
        let error = Annotations::find(root).unwrap().read().unwrap_err().to_string();
        assert!(error.contains("annotation 1 is of category 5, which has no name"), "{error}");
    }
}

#[test]
fn every_form_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("first");
    images(&root, &["images/a.png", "images/b & c.png"]);
    fs::create_dir(root.join("labels")).unwrap();
    fs::write(root.join("labels/a.txt"), "0 0.3217 0.7331 0.1113 0.2079\n1 0.5 0.5 0.3 0.7\n")
        .unwrap();
    fs::write(root.join("classes.txt"), "a <mask>\nb & c\n").unwrap();
    let first = objects(&root);
    let mut from = root;
    for (number, form) in
        [Form::Voc, Form::Coco, Form::Yolo, Form::Coco, Form::Voc].into_iter().enumerate()
    {
        let to = folder.path().join(number.to_string());
        let set = Annotations::find(&from).unwrap().read().unwrap();
        write(&set.images, form, &to).unwrap();
        let found = objects(&to);
        assert_eq!(found.each_lengths(), first.each_lengths(), "{form:?}");
        for (found, first) in found.iter().flatten().zip(first.iter().flatten()) {
            assert_eq!(found.class, first.class);
            let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
            let (a, b) = (found.bbox, first.bbox);
            assert!(near(a.x_min, b.x_min) && near(a.y_max, b.y_max), "{form:?} {a:?} {b:?}");
        }
        from = to;
    }
}

#[test]
fn two_images_do_not_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    images(root, &["images/x/a.png", "images/y/A.png", "images/y/a.bmp"]);
    fs::create_dir(root.join("labels")).unwrap();
    fs::write(root.join("classes.txt"), "mask\n").unwrap();
    let set = Annotations::find(root).unwrap().read().unwrap();
    for form in [Form::Voc, Form::Yolo, Form::Coco] {
        let to = root.join(format!("{form:?}"));
        write(&set.images, form, &to).unwrap();
        for name in ["x-a.png", "y-A.png", "y-a-2.bmp"] {
            assert!(to.join("images").join(name).is_file(), "{form:?} {name}");
        }
        assert_eq!(objects(&to).len(), 3);
    }
}
