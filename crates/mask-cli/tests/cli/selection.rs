//! Which faces count, where they go, and what a run says of itself.

use std::fs;

use crate::support::{detect, example, labels, mask_cli, records, stderr};

const ALL: [&str; 3] = ["astronaut.jpg", "astronaut_masked.jpg", "astronaut_incorrect.jpg"];

fn run(arguments: &[&str]) -> std::process::Output {
    mask_cli().arg("detect").args(arguments).args(ALL.map(example)).output().unwrap()
}

#[test]
fn faces_of_a_class_or_of_a_size_alone_are_reported() {
    let output = run(&["--only", "with_mask", "--only", "with_incorrect_mask"]);
    let found: Vec<usize> = records(&output).iter().map(|record| labels(record).len()).collect();
    assert_eq!((output.status.code(), found), (Some(0), vec![0, 1, 1]));
    // The faces are about 100 pixels high.
    for (least, faces) in [("60", 3), ("200", 0)] {
        let output = run(&["--min-face", least]);
        assert_eq!(
            records(&output).iter().map(|record| labels(record).len()).sum::<usize>(),
            faces
        );
    }
    let output = run(&["--only", "masked"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--only masked: the classes are with_incorrect_mask, with_mask")
    );
}

#[test]
fn a_class_can_end_the_run_with_its_own_status() {
    let status = |arguments: &[&str]| run(arguments).status.code();
    assert_eq!(status(&["--fail-on", "without_mask"]), Some(3));
    assert_eq!(status(&["--fail-on", "without_mask", "--only", "with_mask"]), Some(3));
    assert_eq!(status(&["--fail-on", "without_mask", "--min-face", "200"]), Some(0));
    let masked = mask_cli()
        .args(["detect", "--fail-on", "without_mask"])
        .arg(example("astronaut_masked.jpg"))
        .output();
    assert_eq!(masked.unwrap().status.code(), Some(0));
}

#[test]
fn the_summary_counts() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.jpg");
    let output = run(&["--summary", missing.to_str().unwrap()]);
    let errors = stderr(&output);
    let last = errors.lines().last().unwrap();
    let counts = "mask-cli: 3 images, 3 faces (1 with_incorrect_mask, 1 with_mask, 1 without_mask), 1 \
                  failed, ";
    assert!(last.starts_with(counts) && last.ends_with("images/s"), "{errors}");
}

#[test]
fn faces_are_written_into_folders_of_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, crops) = (folder.path().join("photos"), folder.path().join("photos/crops"));
    fs::create_dir_all(photos.join("a")).unwrap();
    fs::copy(example(ALL[0]), photos.join("a/x.jpg")).unwrap();
    fs::copy(example(ALL[1]), photos.join("x.jpg")).unwrap();
    // Twice, so that the second run must leave the faces of the first alone.
    for _ in 0..2 {
        let output =
            mask_cli().args(["detect", "--crops"]).args([&crops, &photos]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(records(&output).len(), 2);
    }
    for (name, photo) in [("without_mask/a/x-1.jpg", "a/x.jpg"), ("with_mask/x-1.jpg", "x.jpg")] {
        let crop = image::open(crops.join(name)).unwrap().into_rgb8();
        let photo = photos.join(photo);
        let found = &records(&detect([&photo]))[0]["faces"][0]["box"];
        let edge = |name: &str| found[name].as_f64().unwrap();
        let (x, y) = (edge("x_min").floor() as u32, edge("y_min").floor() as u32);
        let size = (edge("x_max").ceil() as u32 - x, edge("y_max").ceil() as u32 - y);
        assert_eq!(crop.dimensions(), size, "{name}");
        let photo = image::open(photo).unwrap().into_rgb8();
        let part = image::imageops::crop_imm(&photo, x, y, size.0, size.1).to_image();
        let pairs = crop.as_raw().iter().zip(part.as_raw());
        let differences = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
        assert!(differences / (crop.as_raw().len() as f64) < 8.0, "{name}");
    }
}

#[test]
fn labels_are_saved_for_correction_by_hand() {
    for (form, file, count) in
        [("voc", "annotations/astronaut.xml", 4), ("yolo", "labels/astronaut.txt", 4)]
    {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new");
        let argument = format!("{form}={}", target.display());
        let output = run(&["--save-labels", &argument]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(target.join(file).is_file() && target.join("images").join(ALL[1]).is_file());
        let files = fs::read_dir(target.join(file).parent().unwrap()).unwrap().count();
        assert_eq!(files, count - 1, "a file for each image");
        let again = run(&["--save-labels", &argument]);
        assert_eq!(again.status.code(), Some(2));
        assert!(stderr(&again).contains("exists already"));
    }
    assert_eq!(run(&["--save-labels", "json=x"]).status.code(), Some(2));
}

#[test]
fn faces_can_be_made_unrecognisable() {
    let folder = tempfile::tempdir().unwrap();
    let photo = example("astronaut.jpg");
    // Also those that are not reported.
    for arguments in [vec![], vec!["--only", "with_mask"], vec!["--min-confidence", "1"]] {
        let output = mask_cli()
            .args(["detect", "--blur", "--labels", "none", "--output"])
            .arg(folder.path())
            .args(&arguments)
            .arg(&photo)
            .output()
            .unwrap();
        assert_eq!(
            records(&output)[0]["faces"].as_array().unwrap().len(),
            usize::from(arguments.is_empty())
        );
        let drawn = folder.path().join("astronaut.jpg");
        let again = detect([&drawn]);
        assert_eq!(labels(&records(&again)[0]), Vec::<&str>::new(), "{arguments:?}");
        let (before, after) =
            (image::open(&photo).unwrap().into_rgb8(), image::open(&drawn).unwrap().into_rgb8());
        let far = (20, 480);
        assert!(before.get_pixel(far.0, far.1)[0].abs_diff(after.get_pixel(far.0, far.1)[0]) < 12);
        fs::remove_file(drawn).unwrap();
    }
    let both =
        mask_cli().args(["detect", "--blur", "--output", "a", "--crops", "b", "c.jpg"]).output();
    assert_eq!(both.unwrap().status.code(), Some(2));
}

#[test]
fn lines_texts_and_font_of_drawn_images_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, arguments: &[&str]| {
        let drawn = folder.path().join(name);
        let mut command = mask_cli();
        command.arg("detect").arg(example(ALL[0])).arg("--output").arg(&drawn).args(arguments);
        let output = command.output().unwrap();
        let changed = image::open(drawn.join(ALL[0])).map(|drawn| {
            let (drawn, photo) =
                (drawn.into_rgb8(), image::open(example(ALL[0])).unwrap().into_rgb8());
            let pairs = drawn.pixels().zip(photo.pixels());
            pairs.filter(|(a, b)| a.0[0].abs_diff(b.0[0]) > 60).count()
        });
        (output, changed.unwrap_or_default())
    };
    let font = concat!(env!("CARGO_MANIFEST_DIR"), "/../mask-detector/assets/DejaVuSans-Bold.ttf");
    let (plain, thick) = (run("plain", &[]).1, run("thick", &["--line-width", "8"]).1);
    let (bare, own) = (run("bare", &["--labels", "none"]).1, run("own", &["--font", font]).1);
    assert!(bare < plain && plain + 500 < thick, "{bare} {plain} {thick}");
    assert_eq!(own, plain);
    let (output, _) = run("wrong", &["--font", file!()]);
    assert_eq!(output.status.code(), Some(2));
    let missing = run("missing", &["--font", "absent.ttf"]).0;
    assert!(stderr(&missing).contains("cannot read absent.ttf"), "{}", stderr(&missing));
}

#[test]
fn drawn_images_keep_their_folders_and_are_named_in_the_results() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let names = ["one/x.jpg", "two/x.jpg", "two/X.jpg"];
    for (name, photo) in names.iter().zip(ALL) {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::copy(example(photo), root.join(name)).unwrap();
    }
    let drawn = root.join("drawn");
    let run = |format: &str| {
        let output = mask_cli()
            .args(["detect", "--format", format, "--output"])
            .arg(&drawn)
            .args(names.map(|name| root.join(name)))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let output = run("ndjson");
    for (record, name) in records(&output).iter().zip(["one/x.jpg", "two/x.jpg", "two/X-2.jpg"]) {
        let path = drawn.join(name);
        assert_eq!(record["drawn"].as_str(), path.to_str());
        assert!(path.is_file());
    }
    let csv = String::from_utf8(run("csv").stdout).unwrap();
    assert!(csv.lines().nth(1).unwrap().ends_with("one/x.jpg"), "{csv}");
}
