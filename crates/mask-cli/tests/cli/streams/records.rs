//! What is recorded in a database.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{SCENE, path_of, query, raw_command, raw_frames, scene, scene_file, watch_raw};
use crate::support::stderr;

#[test]
fn sessions_are_recorded_in_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let (scene, db) = (scene_file(&folder, SCENE), path_of(&folder, "record.sqlite"));
    let arguments = ["--fps", "10", "--scene", &scene, "--db", &db, "--db-interval", "1"];
    for _ in 0..2 {
        let output = watch_raw(&arguments, &raw_frames(24));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let sessions = query(&db, "SELECT id, source, frames, started < ended FROM session");
    assert_eq!(sessions, ["1 - 24 1", "2 - 24 1"]);
    // A person is there with the second box, but since the first.
    let tracks = query(&db, "SELECT * FROM track");
    assert_eq!(tracks, ["1 1 without_mask 0.00 2.30", "2 1 without_mask 0.00 2.30"]);
    let counts =
        "SELECT begins, ends, mean, most FROM count WHERE session = 2 AND label = 'without_mask'";
    assert_eq!(query(&db, counts), ["0.00 1.00 1.00 1", "1.00 2.00 1.00 1", "2.00 2.30 1.00 1"]);
    let others = "SELECT sum(most) FROM count WHERE label <> 'without_mask'";
    assert_eq!(query(&db, others), ["0"]);
    let events = query(&db, "SELECT session, rule, json_extract(json, '$.track') FROM event");
    assert_eq!(events, ["1 bare 1", "1 visitor 1", "2 bare 1", "2 visitor 1"]);

    // What is not its own stays as it is.
    let other = path_of(&folder, "other.sqlite");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    let text = path_of(&folder, "notes.txt");
    fs::write(&text, "my notes, which are longer than a head").unwrap();
    for (path, words) in [(&other, "a database of another program"), (&text, "not a database")] {
        let output = watch_raw(&["--db", path], &raw_frames(1));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    assert_eq!(query(&other, "SELECT count(*) FROM mine"), ["0"]);
}

/// A program that is fed frame by frame.
struct Fed {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    frames: u32,
}

impl Fed {
    fn new(arguments: &[&str]) -> Self {
        Self::of(raw_command(&[&["--fps", "10"], arguments].concat()))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, frames: 0 }
    }

    /// The events of so many further frames.
    fn feed(&mut self, count: u32) -> usize {
        let mut events = 0;
        for _ in 0..count {
            self.child.stdin.as_mut().unwrap().write_all(&scene(self.frames).into_raw()).unwrap();
            self.frames += 1;
            let line = self.lines.next().unwrap().unwrap();
            let record: Value = serde_json::from_str(&line).unwrap();
            events += record["events"].as_array().map_or(0, Vec::len);
        }
        events
    }
}

#[test]
fn nothing_that_was_written_is_lost_when_the_program_is() {
    let folder = tempfile::tempdir().unwrap();
    let (scene, db) = (scene_file(&folder, SCENE), path_of(&folder, "record.sqlite"));
    let mut fed = Fed::new(&["--scene", &scene, "--db", &db, "--db-interval", "0.5"]);
    assert_eq!(fed.feed(8), 1);
    fed.child.kill().unwrap();
    fed.child.wait().unwrap();
    assert_eq!(query(&db, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(query(&db, "SELECT rule FROM event"), ["bare"]);
    assert_eq!(query(&db, "SELECT track, label FROM track"), ["1 without_mask"]);
    assert_eq!(query(&db, "SELECT ended FROM session"), ["-"]);
}

#[test]
fn a_database_that_cannot_be_written_for_some_time_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (scene, db) = (scene_file(&folder, SCENE), path_of(&folder, "record.sqlite"));
    let mut fed = Fed::new(&["--scene", &scene, "--db", &db, "--db-interval", "0.5"]);
    assert_eq!(fed.feed(2), 0);
    let other = rusqlite::Connection::open(&db).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(fed.feed(10), 1);
    other.execute_batch("COMMIT").unwrap();
    // Long enough that it is tried again.
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(fed.feed(12), 1);
    drop(fed.child.stdin.take());
    let output = fed.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let errors = stderr(&output);
    assert_eq!(errors.matches("it is kept for the next time").count(), 1, "{errors}");
    assert_eq!(errors.matches("the database is written again").count(), 1, "{errors}");
    assert_eq!(query(&db, "SELECT rule FROM event"), ["bare", "visitor"]);
    let begins = query(&db, "SELECT DISTINCT begins FROM count");
    assert_eq!(begins, ["0.00", "0.50", "1.00", "1.50", "2.00"]);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs libfaketime"]
fn streams_go_on_when_the_clock_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let (scene, db) = (scene_file(&folder, SCENE), path_of(&folder, "record.sqlite"));
    let (saved, clock) = (path_of(&folder, "saved"), path_of(&folder, "clock"));
    let set = |by: &str| fs::write(&clock, by).unwrap();
    set("+0");
    let arguments = ["--fps", "10", "--scene", &scene, "--db", &db, "--save-events", &saved];
    let mut command = raw_command(&[&arguments[..], &["--keep-days", "2"]].concat());
    let library = Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    command.env("LD_PRELOAD", library.join("faketime/libfaketime.so.1"));
    command.env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
    // Nobody sets the clock that counts from the machine's start.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut fed = Fed::of(command);
    assert_eq!(fed.feed(8), 1);
    // Back by a day, then on by one, within what pictures are kept for.
    set("-1d");
    assert_eq!(fed.feed(10), 1);
    set("+1d");
    fed.feed(7);
    drop(fed.child.stdin.take());
    let output = fed.child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(0), 2));
    // The clock was really another one, and times of the source are none of its business.
    let days = "SELECT round(julianday(b.at) - julianday(a.at)) FROM event a, event b
                WHERE a.rule = 'bare' AND b.rule = 'visitor'";
    assert_eq!(query(&db, days), ["-1.00"]);
    assert_eq!(query(&db, "SELECT track, first_seen, last_seen FROM track"), ["1 0.00 2.40"]);
    assert_eq!(
        query(&db, "SELECT round(julianday(ended) - julianday(started)) FROM session"),
        ["1.00"]
    );
    assert_eq!(fs::read_dir(&saved).unwrap().count(), 2);
}
