//! `xtask train` and `xtask preview`.

use std::{fs, io::Write, path::Path, process::Stdio, thread, time::Instant};

use crate::{fail, run, stderr, succeed, write_dataset, xtask};

/// Few steps on few images.
const SMALL: [&str; 9] =
    ["train", "--dataset", "data", "--epochs", "4", "--batch-size", "8", "--device", "cpu"];

fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SMALL.iter().chain(more).copied().collect()
}

fn results(folder: &Path) -> [Vec<u8>; 2] {
    ["mask_head.bpk", "history.csv"].map(|name| fs::read(folder.join(name)).unwrap())
}

#[test]
fn a_training_leaves_everything_behind_and_learns() {
    let folder = tempfile::tempdir().unwrap();
    write_dataset(&folder.path().join("data"), 14);
    let arguments = ["--output", "out", "--learning-rate", "1e-3", "--write-split", "mine.json"];
    let text = succeed(folder.path(), &small(&arguments));
    assert!(text.contains("weighted avg") && text.contains("--head out/mask_head.bpk"), "{text}");
    let out = folder.path().join("out");
    for name in ["config.toml", "copies.txt", "plot.png", "plot.svg", "report.txt", "split.json"] {
        assert!(fs::metadata(out.join(name)).unwrap().len() > 20, "{name}");
    }
    let metrics: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["history"].as_array().unwrap().len(), 4);
    assert!(metrics["accuracy"].as_f64().unwrap() > 0.6, "{metrics}");
    let packages = metrics["run"]["dependencies"].as_array().unwrap();
    assert!(packages.iter().any(|package| package.as_str().unwrap().starts_with("burn ")));
    assert_eq!(
        fs::read(out.join("split.json")).unwrap(),
        fs::read(folder.path().join("mine.json")).unwrap()
    );

    // Repeated from what it wrote, whatever the number of threads, it ends the same.
    let repeat = ["--output", "again", "--split", "out/split.json", "--config", "out/config.toml"];
    let mut arguments = vec!["train", "--dataset", "data", "--device", "cpu"];
    arguments.extend(repeat);
    let output = xtask(folder.path(), &arguments).env("RAYON_NUM_THREADS", "1").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(results(&out) == results(&folder.path().join("again")));

    // A training is not overwritten by accident.
    fail(folder.path(), &small(&["--output", "out"]), "out holds a training already");
    fail(
        folder.path(),
        &small(&["--output", "out", "--resume", "--epochs", "5"]),
        "the argument '--epochs <N>' cannot be used multiple times",
    );
    fail(
        folder.path(),
        &small(&["--output", "out", "--resume", "--seed", "7"]),
        "out/checkpoint.bpk: does not fit the network: a checkpoint of other settings",
    );
    fail(
        folder.path(),
        &small(&["--output", "out", "--resume", "--learning-rate", "1e-3", "--validation", "0.4"]),
        "a checkpoint of other images, another split or other settings",
    );
    // And what says how the checkpoint was made still says so.
    assert_eq!(
        fs::read(out.join("config.toml")).unwrap(),
        fs::read(folder.path().join("again/config.toml")).unwrap()
    );
}

#[test]
fn a_killed_training_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    write_dataset(&folder.path().join("data"), 12);
    for views in ["0", "2"] {
        let settings = ["--cache-features", views, "--keep", "loss", "--output"];
        let arguments = |out: &str, more: &[&str]| {
            let all = [&SMALL[..], &settings, &[out], more].concat();
            all.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let command = |arguments: &[String]| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            xtask(folder.path(), &arguments)
        };
        let straight = format!("straight{views}");
        let start = Instant::now();
        assert!(command(&arguments(&straight, &[])).output().unwrap().status.success());
        let whole = start.elapsed();
        // Any moment will do: before the first checkpoint, between two, near the end.
        for part in [0.3, 0.6, 0.75, 0.9] {
            let out = format!("killed{views}-{part}");
            let mut child = command(&arguments(&out, &[]))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            thread::sleep(whole.mul_f64(part));
            child.kill().unwrap();
            child.wait().unwrap();
            let resumed = command(&arguments(&out, &["--resume"])).output().unwrap();
            assert!(resumed.status.success(), "{}", stderr(&resumed));
            let (a, b) = (folder.path().join(&straight), folder.path().join(&out));
            assert!(results(&a) == results(&b), "killed after {part}, with {views} views");
        }
    }
}

#[test]
fn what_cannot_be_trained_on_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let data = root.join("data");
    fail(root, &small(&[]), "data: no such folder");
    fs::create_dir(&data).unwrap();
    fail(root, &small(&[]), "data: no class folders in it");
    write_dataset(&data, 4);
    fs::rename(data.join("stripes"), root.join("stripes")).unwrap();
    fail(root, &small(&[]), "only one class, `discs`");
    fs::create_dir(data.join("stripes")).unwrap();
    fail(root, &small(&[]), "class `stripes` has no images");
    fs::write(data.join("stripes/text.jpg"), "no image").unwrap();
    fail(root, &small(&[]), "none of the 1 files of class `stripes` can be read");
    fs::copy(root.join("stripes/0.png"), data.join("stripes/0.png")).unwrap();
    fail(root, &small(&[]), "1 of 6 files cannot be read, more than 1 %");
    fs::remove_file(data.join("stripes/text.jpg")).unwrap();
    fail(root, &small(&[]), "class `stripes` has too few images");
    fail(root, &small(&["--split", "absent.json"]), "absent.json: cannot be read");
    fs::write(root.join("split.json"), r#"{"train": ["discs/0.png"], "test": ["discs/99.png"]}"#)
        .unwrap();
    fail(root, &small(&["--split", "split.json"]), "names `discs/99.png`");
    fs::write(root.join("config.toml"), "[training]\nepoch = 3\n").unwrap();
    fail(root, &small(&["--config", "config.toml"]), "unknown field `epoch`");
    assert!(!root.join("training/mask_head.bpk").exists());
}

#[test]
fn contradicting_flags_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_dataset(&folder.path().join("data"), 4);
    let refused = |more: &[&str], part: &str| fail(folder.path(), &small(more), part);
    refused(&["--resume", "--overwrite"], "cannot be used with");
    refused(&["--split", "a.json", "--validation", "0.3"], "cannot be used with");
    refused(&["--patience", "2"], "patience needs something that can improve");
    refused(&["--warmup-epochs", "4"], "warmup-epochs is 4; it must be from 0 to 3");
    refused(&["--dropout", "1"], "dropout is 1; it must be from 0 to 0.95");
    #[cfg(not(feature = "gpu"))]
    {
        let gpu = ["train", "--dataset", "data", "--device", "gpu"];
        fail(folder.path(), &gpu, "this build has no GPU support");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 6);
    fs::write(root.join("file"), "").unwrap();
    fail(root, &small(&["--output", "file/out"]), "cannot create file/out");
}

/// On a disk that is too small for the results the training fails with the file's name, and leaves
/// no half-written file.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 6);
    fs::create_dir(root.join("disk")).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(root.join("disk"))
        .output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        let skipped = "SKIPPED: a_full_disk_is_named: no small tmpfs can be mounted here";
        // Past the test runner's capture, so that it is seen.
        let _ = writeln!(std::io::stderr(), "{skipped}");
        return;
    }
    let output = run(root, &small(&["--output", "disk/out"]));
    let left: Vec<_> =
        fs::read_dir(root.join("disk/out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let unmounted = Command::new("umount").arg(root.join("disk")).status();
    let message = stderr(&output);
    assert!(unmounted.unwrap().success());
    assert!(
        !output.status.success() && message.contains("cannot write disk/out/checkpoint.bpk"),
        "{message}"
    );
    assert!(message.contains("No space left"), "{message}");
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{left:?}");
}

#[test]
fn a_preview_shows_what_training_sees() {
    let folder = tempfile::tempdir().unwrap();
    write_dataset(&folder.path().join("data"), 4);
    succeed(folder.path(), &["preview", "--dataset", "data", "--pictures", "3", "--views", "2"]);
    let sheet = image::open(folder.path().join("preview.png")).unwrap().to_rgb8();
    assert_eq!(sheet.dimensions(), (480, 480));
    // The views are not copies of the image beside them.
    let part = |x: u32| image::imageops::crop_imm(&sheet, x, 0, 160, 160).to_image();
    assert_ne!(part(0), part(160));
    assert_ne!(part(160), part(320));
}
