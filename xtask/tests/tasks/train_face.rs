//! Training of the face network, end to end.

use std::{fs, path::Path, process::Stdio, thread, time::Instant};

use image::{Rgb, RgbImage};

use super::{fail, stderr, succeed, xtask};

const SMALL: [&str; 7] =
    ["train", "--network", "face", "--dataset", "faces", "--config", "small.toml"];

fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SMALL[..], more].concat()
}

/// Bright ovals with two eyes on noise, and their boxes.
fn write_faces(root: &Path, count: u32) {
    let (images, annotations) = (root.join("faces/images"), root.join("faces/annotations"));
    fs::create_dir_all(&images).unwrap();
    fs::create_dir_all(&annotations).unwrap();
    for number in 0..count {
        let (x0, y0) = (30 + number * 7 % 40, 34 + number * 11 % 28);
        let (wide, high) = (14 + number % 9, 18 + number % 11);
        let image = RgbImage::from_fn(100, 96, |x, y| {
            let at = |cx: f32, cy: f32, w: f32, h: f32| {
                ((x as f32 - cx) / w).powi(2) + ((y as f32 - cy) / h).powi(2) < 1.0
            };
            let (x0, y0, w, h) = (x0 as f32, y0 as f32, wide as f32, high as f32);
            if at(x0 - w * 0.4, y0 - h * 0.2, 3.0, 2.0) || at(x0 + w * 0.4, y0 - h * 0.2, 3.0, 2.0)
            {
                Rgb([20, 10, 10])
            } else if at(x0, y0, w, h) {
                Rgb([230, 190, 170])
            } else {
                let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503 + number)) >> 9;
                Rgb([(noise % 90) as u8, (noise % 70) as u8 + number as u8, (noise % 110) as u8])
            }
        });
        image.save(images.join(format!("{number}.png"))).unwrap();
        let text = format!(
            "<annotation><object><name>face</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}\
             </xmax><ymax>{}</ymax></bndbox></object></annotation>",
            x0 - wide,
            y0 - high,
            x0 + wide,
            y0 + high
        );
        fs::write(annotations.join(format!("{number}.xml")), text).unwrap();
    }
    let settings = "[training]\nepochs = 3\nsamples_per_epoch = 8\nbatch_size = 4\nsides = [64, 96]\n\
                    warmup_steps = 2\n[data]\nvalidation = 0.3\n";
    fs::write(root.join("small.toml"), settings).unwrap();
}

#[test]
fn a_killed_training_of_faces_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_faces(root, 8);
    let start = Instant::now();
    let text = succeed(root, &small(&["--output", "straight"]));
    let whole = start.elapsed();
    assert!(text.contains("average precision at IoU 0.5 on"), "{text}");
    let straight = root.join("straight");
    for name in
        ["config.toml", "split.json", "history.csv", "metrics.json", "report.txt", "plot.png"]
    {
        assert!(straight.join(name).is_file(), "{name}");
    }
    for part in [0.5, 0.75] {
        let out = format!("killed{part}");
        let mut child = xtask(root, &small(&["--output", &out]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(whole.mul_f64(part));
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed = xtask(root, &small(&["--output", &out, "--resume"])).output().unwrap();
        assert!(resumed.status.success(), "{}", stderr(&resumed));
        for name in ["res10_ssd.bpk", "history.csv"] {
            let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
            assert!(read(&straight) == read(&root.join(&out)), "{name} after {part}");
        }
    }
    // The trained weights start another training, but not one with other prior boxes.
    fs::write(root.join("other.toml"), "[training]\npriors = \"corrected\"\n").unwrap();
    let weights = "straight/res10_ssd.bpk";
    fail(
        root,
        &[&SMALL[..6], &["other.toml", "--weights", weights, "--output", "other"]].concat(),
        "weights of the prior layout squares cannot start a training with corrected",
    );
    fail(root, &small(&["--output", "straight"]), "straight holds a training already");
    fail(
        root,
        &small(&["--output", "straight", "--resume", "--seed", "7"]),
        "straight/checkpoint.bpk: does not fit the network: a checkpoint of other settings",
    );
}

#[test]
fn what_the_face_network_cannot_be_trained_on_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("small.toml"), "").unwrap();
    fail(root, &small(&[]), "faces: no such folder");
    fs::create_dir(root.join("faces")).unwrap();
    fail(root, &small(&[]), "faces: no face in it; a detector needs images with boxes");
    write_faces(root, 4);
    fail(root, &small(&["--hidden", "5"]), "--hidden is a setting of --network mask");
    fail(root, &small(&["--epochs", "0"]), "epochs is 0; it must be from 1");
    fail(root, &small(&["--weights", "absent.bpk"]), "absent.bpk");
    let annotation = root.join("faces/annotations/0.xml");
    let text = fs::read_to_string(&annotation).unwrap();
    fs::write(&annotation, text.replace("<xmin>", "<xmin>99").replace("<xmax>", "<xmax>99"))
        .unwrap();
    // All boxes of a set outside their images leave nothing to learn from.
    for number in 1..4 {
        fs::remove_file(root.join(format!("faces/annotations/{number}.xml"))).unwrap();
    }
    fail(root, &small(&[]), "0.xml: the box");
}
