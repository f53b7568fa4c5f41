//! `xtask evaluate`.

use std::fs;

use serde_json::Value;

use crate::{fail, succeed, write_dataset};

fn metrics(folder: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("metrics.json")).unwrap()).unwrap()
}

#[test]
fn predictions_are_judged_against_boxes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("data/images")).unwrap();
    fs::create_dir_all(root.join("data/annotations")).unwrap();
    let object = |class: &str, x: u32| {
        let (a, b) = (x, x + 40);
        format!(
            "<object><name>{class}</name><bndbox><xmin>{a}</xmin><ymin>10</ymin><xmax>{b}</xmax>\
             <ymax>50</ymax></bndbox></object>"
        )
    };
    let objects = [object("mask", 0), object("none", 50), object("wrong", 100)].concat();
    fs::write(root.join("data/annotations/p.xml"), format!("<annotation>{objects}</annotation>"))
        .unwrap();
    image::RgbImage::new(200, 80).save(root.join("data/images/p.png")).unwrap();
    let face = |x: u32, mask: f64| {
        format!(
            r#"{{"box":{{"x_min":{x},"y_min":10,"x_max":{},"y_max":50}},"confidence":0.9,"label":"","probabilities":{{"mask":{mask},"none":{}}}}}"#,
            x + 40,
            1.0 - mask
        )
    };
    let faces = [face(0, 0.9), face(52, 0.2), face(100, 0.7)].join(",");
    fs::write(root.join("found.ndjson"), format!(r#"{{"image":"p.png","faces":[{faces}]}}"#))
        .unwrap();
    let arguments =
        ["evaluate", "--dataset", "data", "--predictions", "found.ndjson", "--fold", "wrong=none"];
    let text = succeed(root, &arguments);
    assert!(text.contains("accuracy 0.6667 of 3 faces"), "{text}");
    // First what an unbalanced set hides.
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
    assert!(at("recall of none: 0.5000 of 2") < at("precision"), "{text}");
    let metrics = metrics(&root.join("evaluation"));
    assert_eq!(metrics["classes"], serde_json::json!(["mask", "none"]));
    assert_eq!(metrics["confusion"]["counts"], serde_json::json!([[1, 0], [1, 1]]));
    assert_eq!(metrics["detection"]["face_ap50"], 1.0);
    let page = fs::read_to_string(root.join("evaluation/report.html")).unwrap();
    // The colours in which `detect` draws classes without one of their own.
    assert!(page.contains("<th style=\"color:rgb(0 119 187)\">mask</th>"), "{page}");
    assert!(page.contains("stroke=\"#EE3377\""), "the curve of `none`");
    assert!(page.contains("<svg") && page.contains("labelled mask with 0.7000, is none"), "{page}");
    for name in ["errors.png", "roc.png", "precision_recall.svg", "reliability.png"] {
        assert!(root.join("evaluation").join(name).is_file(), "{name}");
    }
    fs::write(root.join("found.ndjson"), "{}\n").unwrap();
    fail(root, &arguments, "found.ndjson, line 1: not a detection record");
}

#[test]
fn a_head_is_judged_on_class_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 5);
    fail(root, &["evaluate", "--dataset", "absent"], "absent: no such folder");
    let training =
        ["train", "--dataset", "data", "--epochs", "2", "--validation", "0.4", "--device", "cpu"];
    succeed(root, &training);
    let arguments =
        ["evaluate", "--dataset", "data", "--head", "training/mask_head.bpk", "--positive"];
    let text = succeed(root, &[&arguments[..], &["stripes"]].concat());
    assert!(text.contains("of 10 faces") && text.contains("stripes, for precision 0.95"), "{text}");
    assert_eq!(
        metrics(&root.join("evaluation"))["classes"],
        serde_json::json!(["discs", "stripes"])
    );
    fail(
        root,
        &[&arguments[..], &["spots"]].concat(),
        "no class `spots`; there are discs, stripes",
    );
}
