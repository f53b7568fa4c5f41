//! Results in files: divided among programs, killed, gone on with; and Parquet.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row, RowAccessor},
};
use serde_json::Value;

use crate::support::{detect, example, mask_cli, records, stderr};

/// A folder of so many small images, and one that is none.
fn images(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = image::RgbImage::from_pixel(40, 30, image::Rgb([9, 90, 190]));
    let first = folder.path().join("0.png");
    image.save(&first).unwrap();
    for number in 1..count {
        fs::copy(&first, folder.path().join(format!("{number}.png"))).unwrap();
    }
    fs::write(folder.path().join("broken.jpg"), "no image").unwrap();
    folder
}

/// `detect` of a folder into files.
fn into_files(images: &Path, results: &Path, arguments: &[&str]) -> Command {
    let mut command = mask_cli();
    command.args(["detect", "--device", "cpu", "--input-size", "32x32"]).arg(images);
    command.arg("--results").arg(results).args(arguments);
    command
}

/// The results in a folder's NDJSON files, by image, and how many files there are.
fn read(results: &Path) -> (BTreeMap<String, Vec<Value>>, usize) {
    let (mut rows, mut files) = (BTreeMap::<String, Vec<Value>>::new(), 0);
    for entry in fs::read_dir(results).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
            continue;
        }
        files += 1;
        for line in fs::read_to_string(&path).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            rows.entry(row["image"].as_str().unwrap().to_owned()).or_default().push(row);
        }
    }
    (rows, files)
}

#[test]
fn shards_are_all_images_once() {
    let (images, results) = (images(50), tempfile::tempdir().unwrap());
    // An image that is named twice is in the results once, too.
    let twice = images.path().join("7.png");
    for shard in ["1/3", "2/3", "3/3"] {
        let arguments = ["--shard", shard, twice.to_str().unwrap()];
        let output = into_files(images.path(), results.path(), &arguments).output().unwrap();
        assert!(output.stdout.is_empty());
        assert!([Some(0), Some(1), Some(2)].contains(&output.status.code()), "{}", stderr(&output));
    }
    let (rows, files) = read(results.path());
    assert_eq!((rows.len(), files), (51, 3));
    assert!(rows.values().all(|rows| rows.len() == 1));
    let all = detect([Path::new("--input-size=32x32"), images.path()]);
    for record in records(&all) {
        assert_eq!(rows[record["image"].as_str().unwrap()], [record]);
    }
}

#[test]
fn what_was_killed_goes_on_and_every_image_is_there_once() {
    let (images, results) = (images(2300), tempfile::tempdir().unwrap());
    let run = || into_files(images.path(), results.path(), &["--resume"]);
    let mut killed = run().stderr(Stdio::null()).spawn().unwrap();
    let whole = results.path().join("shard-00001-of-00001-000000.ndjson");
    while !whole.exists() {
        assert!(killed.try_wait().unwrap().is_none(), "it ended too early");
        thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let (before, _) = read(results.path());
    assert!(before.len() >= 1000);

    let output = run().arg("--summary").output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(i32::from(before.values().all(|rows| rows[0]["error"].is_null())))
    );
    let (rows, _) = read(results.path());
    assert_eq!(rows.len(), 2301);
    assert!(rows.values().all(|rows| rows.len() == 1));
    assert!(before.iter().all(|(image, row)| rows[image] == *row), "done images were done again");
    let left = fs::read_dir(results.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_str().unwrap().starts_with(".unfinished")));
    // Nothing is left to do.
    let output = run().output().unwrap();
    assert_eq!((output.status.code(), read(results.path()).0.len()), (Some(0), 2301));
}

#[cfg(unix)]
#[test]
fn what_was_interrupted_keeps_what_was_done() {
    let (images, results) = (images(2300), tempfile::tempdir().unwrap());
    let run = || into_files(images.path(), results.path(), &["--resume"]);
    let mut interrupted = run().stderr(Stdio::null()).spawn().unwrap();
    while !results.path().join("shard-00001-of-00001-000000.ndjson").exists() {
        assert!(interrupted.try_wait().unwrap().is_none(), "it ended too early");
        thread::sleep(Duration::from_millis(5));
    }
    let pid = interrupted.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    let (rows, files) = read(results.path());
    assert!(rows.len() > 1000 && rows.len() < 2301, "{}", rows.len());
    assert_eq!(files, rows.len().div_ceil(1000));
    run().output().unwrap();
    let (rows, _) = read(results.path());
    assert!(rows.len() == 2301 && rows.values().all(|rows| rows.len() == 1));
}

#[test]
fn results_are_never_mixed() {
    let (images, results) = (images(3), tempfile::tempdir().unwrap());
    let refused = |arguments: &[&str]| {
        let output = into_files(images.path(), results.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = stderr(&output);
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    assert!(refused(&["--format", "table"]).contains("--format ndjson, csv or parquet"));
    into_files(images.path(), results.path(), &[]).output().unwrap();
    assert!(refused(&[]).contains("--resume"));
    assert!(refused(&["--resume", "--format", "csv"]).contains("--format ndjson"));
    assert!(refused(&["--resume", "--shard", "1/2"]).contains("another number of shards"));
    let file = results.path().join("shard-00001-of-00001-000000.ndjson");
    fs::write(&file, "{").unwrap();
    assert!(refused(&["--resume"]).contains("remove it"));
    for arguments in [&["--resume"][..], &["--shard", "4/3"], &["--shard", "0/3"]] {
        let output = detect(arguments.iter().map(Path::new).chain([images.path()]));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

fn rows(path: PathBuf) -> Vec<Row> {
    let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    file.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

#[test]
fn parquet_holds_what_ndjson_says() {
    let (broken, results) = (images(1), tempfile::tempdir().unwrap());
    let inputs = ["astronaut.jpg", "astronaut_masked.jpg", "page.jpg"].map(example);
    let run = |arguments: &[&Path]| {
        mask_cli().arg("detect").args(arguments).args(&inputs).arg(broken.path()).output().unwrap()
    };
    let printed = run(&[Path::new("--format=parquet")]).stdout;
    let file = results.path().join("printed.parquet");
    fs::write(&file, printed).unwrap();
    run(&[Path::new("--format=parquet"), Path::new("--results"), results.path()]);
    let written = results.path().join("shard-00001-of-00001-000000.parquet");
    let expected = records(&run(&[]));
    assert_eq!(rows(file.clone()), rows(written));
    let rows = rows(file);
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(*row.get_string(0).unwrap(), expected["image"].as_str().unwrap());
        let text = |at: usize| row.get_string(at).ok().cloned();
        assert_eq!(text(6).as_deref(), expected["error"].as_str());
        let Some(faces) = expected["faces"].as_array() else {
            assert!(row.get_list(3).is_err() && row.get_uint(1).is_err());
            continue;
        };
        assert_eq!(u64::from(row.get_uint(1).unwrap()), expected["width"]);
        assert_eq!(u64::from(row.get_uint(2).unwrap()), expected["height"]);
        let list = row.get_list(3).unwrap().elements();
        assert_eq!(list.len(), faces.len());
        for (found, face) in list.iter().zip(faces) {
            let Field::Group(found) = found else { panic!("{found}") };
            let bbox = found.get_group(0).unwrap();
            for (at, side) in ["x_min", "y_min", "x_max", "y_max"].into_iter().enumerate() {
                assert_eq!(bbox.get_float(at).unwrap(), face["box"][side].as_f64().unwrap() as f32);
            }
            assert_eq!(found.get_float(1).unwrap(), face["confidence"].as_f64().unwrap() as f32);
            assert_eq!(*found.get_string(2).unwrap(), face["label"].as_str().unwrap());
            let classes = found.get_map(3).unwrap().entries();
            let expected = face["probabilities"].as_object().unwrap();
            assert_eq!(classes.len(), expected.len());
            for (class, probability) in classes {
                let (Field::Str(class), Field::Float(probability)) = (class, probability) else {
                    panic!("{class} {probability}")
                };
                assert_eq!(*probability, expected[class].as_f64().unwrap() as f32);
            }
        }
    }
}
