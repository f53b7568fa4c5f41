//! A folder that is watched.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
    thread,
    time::Duration,
};

use crate::support::{example, labels, mask_cli};

#[cfg(unix)]
#[test]
fn files_are_taken_as_they_are_completed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("camera");
    fs::create_dir(&root).unwrap();
    fs::copy(example("astronaut.jpg"), root.join("was_there.jpg")).unwrap();
    let drawn = root.join("drawn");
    let mut child = mask_cli()
        .args(["detect", "--format", "ndjson", "--watch"])
        .arg(&root)
        .arg("--output")
        .arg(&drawn)
        .arg(example("astronaut_masked.jpg"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    // Once this is done, the folder is watched.
    assert_eq!(labels(&next()), ["with_mask"]);

    // Written slowly: it is not read before its end is there.
    let bytes = fs::read(example("astronaut.jpg")).unwrap();
    let mut slow = fs::File::create(root.join("slow.jpg")).unwrap();
    for part in bytes.chunks(bytes.len() / 4) {
        slow.write_all(part).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    drop(slow);
    let record = next();
    assert!(record["image"].as_str().unwrap().ends_with("slow.jpg") && record["warning"].is_null());
    assert_eq!(labels(&record), ["without_mask"]);

    // Renamed into its place, in a new folder; what is no image, hidden or partial is passed over.
    fs::create_dir(root.join("deep")).unwrap();
    thread::sleep(Duration::from_millis(300));
    for name in ["deep/notes.txt", "deep/.hidden.jpg", "deep/x.jpg.part"] {
        fs::write(root.join(name), &bytes[..if name.ends_with("txt") { 0 } else { bytes.len() }])
            .unwrap();
    }
    fs::rename(root.join("deep/x.jpg.part"), root.join("deep/x.jpg")).unwrap();
    let record = next();
    assert!(record["image"].as_str().unwrap().ends_with("deep/x.jpg"), "{record}");
    assert!(drawn.join("deep/x.jpg").is_file() && drawn.join("slow.jpg").is_file());

    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(lines.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_written_must_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let watched = folder.path().join("camera");
    fs::create_dir(&watched).unwrap();
    for (flag, target) in [("--output", &watched), ("--crops", &folder.path().to_path_buf())] {
        let mut command = mask_cli();
        command.args(["detect", "--watch"]).arg(&watched).arg(flag).arg(target);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = crate::support::stderr(&output);
        assert!(error.contains(&format!("{flag} holds the folder that is watched")), "{error}");
    }
}

#[test]
fn a_folder_that_is_not_there_cannot_be_watched() {
    let output = mask_cli().args(["detect", "--watch", "absent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(crate::support::stderr(&output).contains("cannot watch absent"));
}
