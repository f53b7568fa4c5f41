//! Frames on standard input.

use serde_json::Value;

use super::{raw_frames, tracks, watch, watch_raw};
use crate::support::{labels, records, stderr};

#[test]
fn frames_on_standard_input_are_followed() {
    let output = watch_raw(&["--fps", "10", "--summary"], &raw_frames(8));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let records = records(&output);
    assert_eq!(records.len(), 8);
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record["source"], "-");
        assert_eq!(record["frame"].as_u64(), Some(at as u64));
        assert!((record["time"].as_f64().unwrap() - at as f64 / 10.0).abs() < 1e-9);
        assert_eq!((record["width"].as_u64(), record["height"].as_u64()), (Some(256), Some(192)));
        assert_eq!(labels(record), ["without_mask"], "{at}");
        assert_eq!(tracks(record), [1], "{at}");
    }
    let left = |record: &Value| record["faces"][0]["box"]["x_min"].as_f64().unwrap();
    assert!((left(&records[7]) - left(&records[0]) - 14.0).abs() < 4.0);
    let summary = stderr(&output);
    assert!(summary.contains("1 people (") && summary.contains("1 without_mask"), "{summary}");
}

#[test]
fn faces_are_looked_for_in_some_frames_and_predicted_between() {
    let output = watch_raw(&["--detect-every", "3"], &raw_frames(7));
    let records = records(&output);
    assert_eq!(records.iter().map(|record| tracks(record).len()).sum::<usize>(), 7);
    let left = |record: &Value| record["faces"][0]["box"]["x_min"].as_f64().unwrap();
    // Looked at in frames 0, 3 and 6; in 5 it is where its way leads.
    assert!((left(&records[5]) - left(&records[0]) - 10.0).abs() < 5.0);
}

#[test]
fn rows_of_csv_and_every_so_many_frames() {
    let output =
        watch_raw(&["--format", "csv", "--every", "2", "--duration", "0.2"], &raw_frames(9));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("source,frame,time,track,x_min,"), "{text}");
    // Of 25 a second.
    let numbers: Vec<&str> =
        lines[1..].iter().map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(numbers, ["0", "2", "4"]);
}

#[test]
fn wrong_sources_cost_a_line() {
    let whole = raw_frames(2);
    let output = watch_raw(&[], &whole[..whole.len() - 5]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(records(&output).len(), 1);
    assert!(stderr(&output).contains("standard input ended within frame 1"), "{}", stderr(&output));
    for (arguments, words) in [
        (vec!["-"], "say --raw WIDTHxHEIGHT instead of -"),
        (vec!["absent.mp4"], "absent.mp4: no such file"),
        (vec!["gopher://a"], "the schemes of streams are rtsp://"),
        (vec!["--ffmpeg", "/absent/ffmpeg", "0"], "apt install ffmpeg"),
        (vec!["--raw", "0x9"], "give WIDTHxHEIGHT, such as 640x480"),
    ] {
        let output = watch(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
}
