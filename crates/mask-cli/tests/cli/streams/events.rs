//! Rules, and commands that hear of events.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{SCENE, path_of, raw_frames, scene_file, watch_raw};
use crate::support::{detect, labels, records, stderr};

#[cfg(unix)]
#[test]
fn events_are_told_and_acted_upon() {
    let folder = tempfile::tempdir().unwrap();
    let (scene, heard) = (scene_file(&folder, SCENE), path_of(&folder, "heard"));
    let command = format!("cat >> {heard}; echo noise");
    let saved = path_of(&folder, "saved");
    let arguments = ["--fps", "10", "--scene", &scene, "--on-event", &command, "--summary"];
    let arguments = [&arguments[..], &["--save-events", &saved, "--blur"]].concat();
    let output = watch_raw(&arguments, &raw_frames(24));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let events: Vec<Value> = records(&output)
        .iter()
        .flat_map(|record| record["events"].as_array().cloned().unwrap_or_default())
        .collect();
    let rules: Vec<&str> = events.iter().map(|event| event["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["bare", "visitor"], "{events:?}");
    let crossed = &events[1];
    assert_eq!(
        (crossed["line"].as_str(), crossed["direction"].as_str()),
        (Some("door"), Some("in"))
    );
    assert_eq!((crossed["track"].as_u64(), crossed["source"].as_str()), (Some(1), Some("-")));
    // Their pictures show nobody.
    for event in &events {
        let picture = Path::new(event["picture"].as_str().unwrap());
        assert!(picture.starts_with(&saved), "{picture:?}");
        assert_eq!(labels(&records(&detect([picture]))[0]), Vec::<&str>::new());
    }
    // The command heard the same, in their order.
    let heard: Vec<Value> = fs::read_to_string(heard)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(heard, events);
    let errors = stderr(&output);
    assert!(errors.contains("mask-cli: -: bare: without_mask for 0.3 s"), "{errors}");
    assert!(errors.contains("door: crossed in 1 times, out 0 times"), "{errors}");
}

#[cfg(unix)]
#[test]
fn commands_that_hang_or_fail_do_not_hold_up_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene_file(&folder, SCENE);
    let marker = path_of(&folder, "still-there");
    // What it starts is ended with it.
    let command = format!("(sleep 3; touch {marker}) | cat");
    let arguments = ["--scene", &scene, "--on-event", &command, "--event-limit", "0.2"];
    let output = watch_raw(&arguments, &raw_frames(24));
    assert_eq!((output.status.code(), records(&output).len()), (Some(0), 24));
    assert!(
        stderr(&output).contains("--on-event, for `bare`: ended after 0.2 s"),
        "{}",
        stderr(&output)
    );
    let output = watch_raw(&["--scene", &scene, "--on-event", "exit 7"], &raw_frames(12));
    assert!(
        stderr(&output).contains("--on-event, for `bare`: exit status: 7"),
        "{}",
        stderr(&output)
    );
    thread::sleep(Duration::from_secs(3));
    assert!(!Path::new(&marker).exists());
}

/// A program that is ended with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "needs mosquitto"]
fn events_reach_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene_file(&folder, SCENE);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let start = |program: &str, arguments: &[&str]| {
        // Debian has the broker where only administrators look.
        let paths = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.env("PATH", paths).args(["-p", &port]).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let _broker = Service(start("mosquitto", &[]));
    while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        thread::sleep(Duration::from_millis(50));
    }
    // What is published is kept for who comes later.
    let publish = format!("mosquitto_pub -p {port} -r -t masks/$(date +%s%N) -s");
    let output =
        watch_raw(&["--fps", "10", "--scene", &scene, "--on-event", &publish], &raw_frames(24));
    assert_eq!(stderr(&output).matches("--on-event").count(), 0, "{}", stderr(&output));
    let listener = start("mosquitto_sub", &["-t", "masks/#", "-C", "2", "-W", "30"]);
    let heard = String::from_utf8(listener.wait_with_output().unwrap().stdout).unwrap();
    // `-s` also sends the end of the line.
    let lines = heard.lines().filter(|line| !line.is_empty());
    let mut heard: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    heard.sort_by(|a, b| a["time"].as_f64().partial_cmp(&b["time"].as_f64()).unwrap());
    let events: Vec<Value> = records(&output)
        .iter()
        .flat_map(|record| record["events"].as_array().cloned().unwrap_or_default())
        .collect();
    assert_eq!((heard.len(), heard), (2, events));
}

#[test]
fn scenes_are_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("[[rule]]\nname = 'a'\nwhen = 'people'\nabove = -1", "scene.toml, line "),
        (
            "[[rule]]\nname = 'a'\nwhen = 'class'\nclass = 'x'",
            "scene.toml: rule `a`: there is no class `x`",
        ),
    ] {
        let output = watch_raw(&["--scene", &scene_file(&folder, text)], &raw_frames(1));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}
