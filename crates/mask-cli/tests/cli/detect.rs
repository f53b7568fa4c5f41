//! What `detect` does with good images.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
};

use crate::support::{detect, example, fixture, labels, mask_cli, published, records, stderr};

#[test]
fn bare_masked_and_wrongly_masked_faces_get_their_labels() {
    let labels_of = [
        ("astronaut.jpg", "without_mask"),
        ("astronaut_masked.jpg", "with_mask"),
        ("astronaut_incorrect.jpg", "with_incorrect_mask"),
    ];
    let output = detect(labels_of.map(|(name, _)| example(name)));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let records = records(&output);
    assert_eq!(records.len(), labels_of.len());
    for (record, (_, label)) in records.iter().zip(labels_of) {
        assert_eq!(labels(record), [label]);
        let face = &record["faces"][0];
        assert!(face["confidence"].as_f64().unwrap() > 0.9);
        let sum: f64 =
            face["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        let edge = |name: &str| face["box"][name].as_f64().unwrap();
        assert!(0.0 <= edge("x_min") && edge("x_min") < edge("x_max") && edge("x_max") <= 512.0);
        assert!(0.0 <= edge("y_min") && edge("y_min") < edge("y_max") && edge("y_max") <= 512.0);
    }
}

/// OpenCV's box and confidence for this very file, by cv2.dnn 4.14.
#[test]
fn caffe_layout_repeats_opencv() {
    let output = mask_cli()
        .args(["detect", "--input-size", "300", "--prior-layout", "caffe", "--face-weights"])
        .args([published("res10_ssd.bpk"), example("astronaut.jpg")])
        .output()
        .unwrap();
    let record = &records(&output)[0];
    let face = &record["faces"][0];
    assert!((face["confidence"].as_f64().unwrap() - 0.999_986).abs() < 1e-3);
    for (edge, expected) in [("x_min", 179.0), ("y_min", 57.0), ("x_max", 271.0), ("y_max", 177.0)]
    {
        let ours = face["box"][edge].as_f64().unwrap();
        assert!((ours - expected).abs() < 2.0, "{edge}: {ours}");
    }
}

#[test]
fn every_variety_of_picture_is_read() {
    let names = [
        "rgb.png",
        "cmyk.jpg",
        "grey.jpg",
        "palette.png",
        "progressive.jpg",
        "rotated.jpg",
        "transparent.png",
        "animated.gif",
        "animated.webp",
        "animated.png",
    ];
    let output = detect(names.map(fixture));
    assert!(output.status.success(), "{}", stderr(&output));
    let records = records(&output);
    let x_min = |record: &serde_json::Value| record["faces"][0]["box"]["x_min"].as_f64().unwrap();
    let plain = x_min(&records[0]);
    assert!((plain - 92.0).abs() < 12.0, "{plain}");
    for (record, name) in records.iter().zip(names) {
        assert_eq!(labels(record), ["without_mask"], "{name}");
        let height = if name == "rotated.jpg" { 224 } else { 256 };
        assert_eq!(
            (record["width"].as_u64(), record["height"].as_u64()),
            (Some(256), Some(height))
        );
        // The face stands where the plain copy has it.
        assert!((x_min(record) - plain).abs() < 12.0, "{name}: {record}");
    }
}

#[test]
fn sixteen_bits_and_lying_names_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let photo = image::open(fixture("rgb.png")).unwrap();
    let deep = folder.path().join("deep.png");
    photo.to_rgb16().save(&deep).unwrap();
    let lying = folder.path().join("really_png.jpg");
    fs::copy(fixture("rgb.png"), &lying).unwrap();
    let targa = folder.path().join("photo.tga");
    photo.save(&targa).unwrap();
    let output = detect([deep, lying, targa]);
    assert!(output.status.success(), "{}", stderr(&output));
    for record in records(&output) {
        assert_eq!(labels(&record), ["without_mask"], "{record}");
    }
}

#[test]
fn tiny_pictures_and_strips_have_no_faces() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(1, 1), (20_000, 10), (10, 20_000)] {
        let path = folder.path().join(format!("{width}x{height}.png"));
        image::RgbImage::from_pixel(width, height, image::Rgb([120, 130, 140]))
            .save(&path)
            .unwrap();
        for size in ["long:560", "300"] {
            let output =
                mask_cli().args(["detect", "--input-size", size]).arg(&path).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(labels(&records(&output)[0]).is_empty());
        }
    }
}

/// Faces that are too small in the whole image, each in one tile, on a seam, and in a corner.
#[test]
fn tiles_find_small_faces_once() {
    let folder = tempfile::tempdir().unwrap();
    let astronaut = image::open(example("astronaut.jpg")).unwrap().to_rgb8();
    let small = image::imageops::thumbnail(&astronaut, 200, 200);
    let mut large = image::RgbImage::from_pixel(2400, 1500, image::Rgb([120, 120, 120]));
    let corners = [(100, 100), (700, 640), (1300, 20), (1300, 900), (2200, 1300)];
    for (x, y) in corners {
        image::imageops::replace(&mut large, &small, x, y);
    }
    let path = folder.path().join("large.png");
    large.save(&path).unwrap();
    let faces = |arguments: &[&str]| {
        let output = mask_cli().arg("detect").args(arguments).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        records(&output)[0]["faces"].as_array().unwrap().clone()
    };
    let sure = ["--input-size", "long:400", "--min-confidence", "0.9"];
    assert!(faces(&sure).len() < corners.len());
    let found = faces(&[&sure[..], &["--tiles=400"]].concat());
    assert_eq!(found.len(), corners.len(), "{found:?}");
    for (x, y) in corners {
        // The astronaut's face in the original: 91 x 120 at 180, 56.
        let inside = |face: &serde_json::Value| {
            let near = |edge: &str, expected: f64| {
                (face["box"][edge].as_f64().unwrap() - expected).abs() < 12.0
            };
            let scale = 200.0 / 512.0;
            near("x_min", x as f64 + 180.0 * scale) && near("y_min", y as f64 + 56.0 * scale)
        };
        assert_eq!(found.iter().filter(|face| inside(face)).count(), 1, "{x}, {y}: {found:?}");
    }
}

#[test]
fn folders_patterns_and_lists_name_the_same_pictures() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/deep")).unwrap();
    for name in ["a/1.jpg", "a/deep/2.jpg"] {
        fs::copy(example("astronaut.jpg"), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("a/notes.txt"), "no image").unwrap();
    let names = |output: &std::process::Output| -> Vec<String> {
        assert!(output.status.success(), "{}", stderr(output));
        records(output).iter().map(|r| r["image"].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<String> = ["a/1.jpg", "a/deep/2.jpg"]
        .iter()
        .map(|name| folder.path().join(name).to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names(&detect([folder.path()])), expected);
    assert_eq!(names(&detect([folder.path().join("**/*.jpg")])), expected);

    let mut child = mask_cli()
        .args(["detect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let list = format!("{}\r\n\n{}", expected[0], expected[1]);
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    assert_eq!(names(&child.wait_with_output().unwrap()), expected);
}

#[test]
fn csv_has_a_row_a_face_and_table_is_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty, really.png");
    image::RgbImage::new(40, 40).save(&empty).unwrap();
    let run = |format: &str| {
        let output = mask_cli()
            .args(["detect", "--format", format])
            .args([example("astronaut.jpg"), empty.clone()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let csv = run("csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "image,width,height,x_min,y_min,x_max,y_max,confidence,label,with_incorrect_mask,with_mask,without_mask,error,warning,drawn"
    );
    assert_eq!(lines.len(), 3);
    assert!(lines[1].contains(",512,512,") && lines[1].contains(",without_mask,"));
    assert!(
        lines[2].starts_with('"') && lines[2].ends_with("empty, really.png\",40,40,,,,,,,,,,,,")
    );
    let table = run("table");
    assert!(table.contains("astronaut.jpg (512 x 512): 1 face\n  without_mask"), "{table}");
    assert!(table.contains("(40 x 40): no faces"), "{table}");
}

#[test]
fn drawn_pictures_mirror_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, drawn) = (folder.path().join("photos"), folder.path().join("photos/drawn"));
    fs::create_dir_all(photos.join("deep")).unwrap();
    fs::copy(example("astronaut.jpg"), photos.join("deep/a.jpg")).unwrap();
    fs::copy(fixture("animated.gif"), photos.join("b.gif")).unwrap();
    let before = fs::read(photos.join("deep/a.jpg")).unwrap();
    // Twice, so that the second run must leave the drawn images of the first alone.
    for _ in 0..2 {
        let output =
            mask_cli().args(["detect", "--output"]).args([&drawn, &photos]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(records(&output).len(), 2);
    }
    assert_eq!(fs::read(photos.join("deep/a.jpg")).unwrap(), before);
    let original = image::open(photos.join("deep/a.jpg")).unwrap().to_rgb8();
    let result = image::open(drawn.join("deep/a.jpg")).unwrap().to_rgb8();
    assert_eq!(original.dimensions(), result.dimensions());
    let red = result.pixels().filter(|p| p[0] > 180 && p[1] < 90 && p[2] < 90).count();
    assert!(red > 300, "a red box and label, not {red} red pixels");
    assert!(drawn.join("b.gif.png").is_file());
    let left = fs::read_dir(&drawn).unwrap().count();
    assert_eq!(left, 2, "no temporary files remain");
}

#[test]
fn results_do_not_depend_on_threads_or_batches() {
    let images = [example("astronaut.jpg"), fixture("rgb.png"), example("astronaut_masked.jpg")];
    let run = |threads: &str, batch: &str| {
        let output = mask_cli()
            .args(["detect", "--threads", threads, "--batch", batch])
            .args(&images)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output.stdout
    };
    let single = run("1", "1");
    assert_eq!(single, run("2", "1"), "threads");
    assert_eq!(single, run("3", "1"), "threads");
    assert_eq!(single, run("2", "3"), "batches");
}

#[test]
fn both_engines_find_the_same_faces() {
    let run = |engine: &str| {
        let images = [example("astronaut.jpg"), example("astronaut_masked.jpg")];
        let output = mask_cli()
            .args(["detect", "--precision", "f32", "--engine", engine])
            .args(images)
            .output();
        records(&output.unwrap())
    };
    let (fused, burn) = (run("fused"), run("burn"));
    assert_eq!(fused.len(), 2);
    for (fused, burn) in fused.iter().zip(&burn) {
        assert_eq!(labels(fused), labels(burn));
        for path in
            ["/faces/0/confidence", "/faces/0/box/x_min", "/faces/0/probabilities/with_mask"]
        {
            let number = |record: &serde_json::Value| record.pointer(path).unwrap().as_f64();
            let (fused, burn) = (number(fused).unwrap(), number(burn).unwrap());
            assert!((fused - burn).abs() < 1e-2, "{path}: {fused}, burn says {burn}");
        }
    }
}

#[test]
fn eight_bits_find_the_faces_that_floats_find() {
    let run = |precision: &[&str]| {
        let images =
            [example("astronaut.jpg"), example("astronaut_masked.jpg"), fixture("rgb.png")];
        let cpu = ["detect", "--device", "cpu"];
        records(&mask_cli().args(cpu).args(precision).args(images).output().unwrap())
    };
    let (int8, f32) = (run(&["--precision", "int8"]), run(&["--precision", "f32"]));
    // The default is what the processor is faster in.
    let default = run(&[]);
    assert!(default == int8 || default == f32);
    assert_ne!(int8, f32);
    for (int8, f32) in int8.iter().zip(&f32) {
        assert_eq!(labels(int8), labels(f32));
        let side = |record: &serde_json::Value, side: &str| {
            record.pointer(&format!("/faces/0/box/{side}")).unwrap().as_f64().unwrap()
        };
        let width = side(f32, "x_max") - side(f32, "x_min");
        for edge in ["x_min", "y_min", "x_max", "y_max"] {
            let apart = (side(int8, edge) - side(f32, edge)).abs();
            assert!(apart < 0.05 * width, "{edge}: {apart} of {width}");
        }
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = mask_cli()
        .arg("detect")
        .args(vec![fixture("rgb.png"); 40])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("rgb.png"));
    let status = child.wait().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_whole_lines() {
    let mut child = mask_cli()
        .arg("detect")
        .args(vec![fixture("rgb.png"); 2000])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    output.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(text.ends_with('\n'));
    assert!(text.lines().count() < 2000);
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(labels(&record), ["without_mask"]);
    }
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.is_empty(), "{errors}");
}

/// The records of a folder, in an address space of so many kilobytes.
#[cfg(target_os = "linux")]
fn detect_within(
    kilobytes: u32,
    arguments: &str,
    folder: &std::path::Path,
) -> Vec<serde_json::Value> {
    let limited = format!(
        "ulimit -v {kilobytes}; exec \"$0\" detect --threads 2 --input-size 32 {arguments} \"$1\""
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_mask-cli")])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    records(&output)
}

/// A thousand decoded images are 786 MB; the program itself reserves half a gigabyte of addresses.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("0.jpg");
    fs::copy(example("astronaut.jpg"), &first).unwrap();
    for number in 1..1000 {
        fs::hard_link(&first, folder.path().join(format!("{number}.jpg"))).unwrap();
    }
    assert_eq!(detect_within(900_000, "", folder.path()).len(), 1000);
}

/// One of them decoded is 360 MB, and without a bound there are three at once; two would need 1.2 GB of addresses, one
/// needs 0.88 GB, or 64 MB more where threads meet in malloc.
#[cfg(target_os = "linux")]
#[test]
fn memory_holds_one_large_image_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("0.png");
    let bytes = std::io::BufWriter::new(fs::File::create(&first).unwrap());
    let encoder = image::codecs::png::PngEncoder::new_with_quality(
        bytes,
        image::codecs::png::CompressionType::Fast,
        image::codecs::png::FilterType::NoFilter,
    );
    let large = image::RgbImage::new(12_000, 10_000);
    large.write_with_encoder(encoder).unwrap();
    drop(large);
    for number in 1..6 {
        fs::hard_link(&first, folder.path().join(format!("{number}.png"))).unwrap();
    }
    // A batch that is larger than what may wait must not wait for itself.
    for arguments in ["", "--batch 4"] {
        assert_eq!(detect_within(1_100_000, arguments, folder.path()).len(), 6, "{arguments}");
    }
}

#[test]
fn timing_goes_to_standard_error() {
    let photo = example("astronaut.jpg");
    let output = mask_cli().args(["detect", "--timing"]).arg(photo).output().unwrap();
    let errors = stderr(&output);
    for stage in ["load", "decode", "faces", "masks", "draw", "all"] {
        assert!(errors.contains(stage), "{errors}");
    }
    assert_eq!(records(&output).len(), 1);
}

#[test]
fn completions_and_the_manual_page_name_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let output = mask_cli().args(["completions", shell]).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("min-confidence"));
    }
    let output = mask_cli().arg("man").output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains(".TH mask-cli") && page.contains("min\\-confidence"));
}
