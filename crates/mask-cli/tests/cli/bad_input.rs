//! What `detect` does with what it cannot use: a line each, the others done, the right status.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use crate::support::{
    crc32, detect, example, fixture, labels, mask_cli, published, records, stderr,
};
use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

/// Runs `detect` on a bad file between two good ones and returns its error; all that every bad
/// input must keep to is asserted here.
fn error_of(bad: &Path) -> String {
    let good = fixture("rgb.png");
    let output = detect([good.as_path(), bad, good.as_path()]);
    let errors = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let records = records(&output);
    assert_eq!(records.len(), 3, "{errors}");
    assert_eq!(labels(&records[0]), ["without_mask"]);
    assert_eq!(labels(&records[2]), ["without_mask"]);
    let error = records[1]["error"].as_str().unwrap_or_else(|| panic!("{}", records[1])).to_owned();
    let name = bad.to_string_lossy();
    assert_eq!(records[1]["image"].as_str(), Some(&*name));
    assert_eq!(errors, format!("mask-cli: {name}: {error}\n"), "one line that names the file");
    error
}

fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn truncated(path: &Path, share: f64) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate((bytes.len() as f64 * share) as usize);
    bytes
}

#[test]
fn missing_empty_and_text_files() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.jpg");
    assert!(error_of(&missing).starts_with("cannot be read: No such file"));
    assert_eq!(error_of(&file(&folder, "empty.jpg", "")), "empty file");
    let text = file(&folder, "text.jpg", "This is not an image.\n".repeat(50));
    assert!(error_of(&text).starts_with("not an image"));
}

#[test]
fn truncated_files() {
    let folder = tempfile::tempdir().unwrap();
    for share in [0.01, 0.3, 0.6, 0.8] {
        let jpeg = file(&folder, "cut.jpg", truncated(&example("astronaut.jpg"), share));
        assert!(error_of(&jpeg).starts_with("truncated or damaged JPEG"), "{share}");
        // Of a progressive file, what is missing last is the last bit.
        if share < 0.7 {
            let jpeg = file(&folder, "cut.jpg", truncated(&fixture("progressive.jpg"), share));
            assert!(error_of(&jpeg).starts_with("truncated or damaged JPEG"), "{share}");
        }
        let png = file(&folder, "cut.png", truncated(&fixture("rgb.png"), share));
        assert!(error_of(&png).starts_with("truncated or damaged PNG"), "{share}");
    }
    let gif = file(&folder, "cut.gif", truncated(&fixture("animated.gif"), 0.2));
    assert!(error_of(&gif).starts_with("truncated or damaged GIF"));
    let webp = file(&folder, "cut.webp", truncated(&fixture("animated.webp"), 0.2));
    assert!(error_of(&webp).starts_with("truncated or damaged WEBP"));
}

/// A PNG header that claims 60000 x 60000 pixels: 10 gigabytes, if anybody believed it.
#[test]
fn a_decompression_bomb_is_refused_before_it_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let mut png = Cursor::new(Vec::new());
    RgbImage::new(8, 8).write_to(&mut png, ImageFormat::Png).unwrap();
    let mut bytes = png.into_inner();
    let side = 60_000u32.to_be_bytes();
    bytes[16..20].copy_from_slice(&side);
    bytes[20..24].copy_from_slice(&side);
    let crc = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&crc);
    let bomb = file(&folder, "bomb.png", bytes);
    let error = error_of(&bomb);
    assert!(error.starts_with("60000 x 60000 pixels are more than the limit"), "{error}");
}

#[test]
fn the_limit_on_pixels_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two_megapixels.png");
    RgbImage::new(2000, 1000).save(&path).unwrap();
    let run = |limit: &str| {
        let output =
            mask_cli().args(["detect", "--max-megapixels", limit]).arg(&path).output().unwrap();
        output.status.code()
    };
    assert_eq!(run("1"), Some(1));
    assert_eq!(run("2"), Some(0));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_work() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.png");
    let path = folder.path().join(name);
    fs::copy(fixture("rgb.png"), &path).unwrap();
    let drawn = folder.path().join("drawn");
    let output = mask_cli().arg("detect").arg(&path).arg("--output").arg(&drawn).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(labels(&records(&output)[0]), ["without_mask"]);
    assert!(drawn.join(name).is_file());
}

#[test]
fn folders_without_pictures() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(error_of(folder.path()), "no images in this folder");
    // Alone, it leaves nothing to do.
    let output = detect([folder.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no images in this folder"));
    assert_eq!(records(&output)[0]["error"], "no images in this folder");
    assert_eq!(error_of(&folder.path().join("*.jpg")), "no file matches this pattern");
}

#[test]
fn an_output_folder_that_cannot_be_written_stops_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = file(&folder, "file", "in the way");
    let output = mask_cli()
        .arg("detect")
        .arg(fixture("rgb.png"))
        .arg("--output")
        .arg(in_the_way.join("drawn"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains("cannot write to"), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1);
}

#[test]
fn inputs_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("photo.png");
    fs::copy(fixture("rgb.png"), &photo).unwrap();
    let output =
        mask_cli().arg("detect").arg(&photo).arg("--output").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("would be overwritten"));
    assert_eq!(fs::read(&photo).unwrap(), fs::read(fixture("rgb.png")).unwrap());
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let faces = published("res10_ssd.bpk");
    let cut = file(&folder, "cut.bpk", truncated(&faces, 0.5));
    let text = file(&folder, "text.bpk", "no weights at all, only a line of text\n");
    let missing = folder.path().join("missing.bpk");
    let head = published("reference_head.bpk");
    for (flag, path, reason) in [
        ("--face-weights", &cut, "truncated or damaged"),
        ("--face-weights", &text, "not a weights file"),
        ("--face-weights", &missing, "cannot be read"),
        ("--face-weights", &head, "holds weights of `mask-head`, but `res10-ssd` is needed"),
        ("--head", &faces, "`mask-head` is needed"),
    ] {
        let output =
            mask_cli().arg("detect").arg(fixture("rgb.png")).arg(flag).arg(path).output().unwrap();
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(path.to_str().unwrap()) && errors.contains(reason), "{errors}");
        assert_eq!(errors.lines().count(), 1);
    }
    // Eight bits take calibrated weights, and a plan.
    let head = head.to_str().unwrap();
    for arguments in [["--head", head], ["--engine", "burn"]] {
        let int8 = ["detect", "--precision", "int8"];
        let output = mask_cli().args(int8).args(arguments).arg(fixture("rgb.png")).output();
        let (errors, status) = (stderr(output.as_ref().unwrap()), output.unwrap().status.code());
        assert_eq!((status, errors.lines().count()), (Some(2), 1), "{errors}");
        assert!(errors.contains("eight bits") && errors.contains("xtask calibrate"), "{errors}");
    }
    // Files of the reference, of other priors and of two classes, work.
    let output = mask_cli()
        .arg("detect")
        .arg(fixture("rgb.png"))
        .arg("--head")
        .arg(head)
        .arg("--face-weights")
        .arg(&faces)
        .output()
        .unwrap();
    let record = &records(&output)[0];
    assert_eq!(labels(record), ["without_mask"]);
    assert_eq!(record["faces"][0]["probabilities"].as_object().unwrap().len(), 2);
}

#[test]
fn wrong_arguments_exit_with_2() {
    for arguments in [
        &[][..],
        &["x.jpg", "--min-confidence", "2"],
        &["x.jpg", "--max-overlap", "1.5"],
        &["x.jpg", "--input-size", "huge"],
        &["x.jpg", "--input-size", "8"],
        &["x.jpg", "--prior-layout", "round"],
        &["x.jpg", "--device", "tpu"],
        &["x.jpg", "--threads", "0"],
        &["x.jpg", "--format", "xml"],
    ] {
        let output = detect(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[cfg(not(feature = "gpu"))]
#[test]
fn a_cpu_build_that_is_asked_for_a_gpu_names_the_feature() {
    let output =
        mask_cli().args(["detect", "--device", "gpu"]).arg(fixture("rgb.png")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Cargo feature `gpu`"));
}

/// Without any driver, `gpu` is an error with the reason, and `auto` takes the CPU and says so.
#[cfg(feature = "gpu")]
#[test]
fn without_an_adapter_auto_falls_to_the_cpu() {
    let run = |device: &str| {
        mask_cli()
            .args(["detect", "--device", device])
            .arg(fixture("rgb.png"))
            .env("VK_DRIVER_FILES", "/nonexistent")
            .env("VK_ICD_FILENAMES", "/nonexistent")
            .output()
            .unwrap()
    };
    let output = run("gpu");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no GPU: no adapter found"), "{}", stderr(&output));
    let output = run("auto");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "mask-cli: running on the CPU: no GPU found\n");
    assert_eq!(labels(&records(&output)[0]), ["without_mask"]);
}
