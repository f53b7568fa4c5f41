//! Rules, and commands that hear of events.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{SCENE, ffmpeg, path_of, probe, raw_frames, scene_file, start_raw, watch_raw};
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
    let events = events_of(&output);
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

/// A web server that answers each request with the next of some statuses, `None` with nothing at all; what it
/// was sent, and its address.
fn web_server(statuses: Vec<Option<&'static str>>) -> (mpsc::Receiver<Value>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (heard, bodies) = mpsc::channel();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for status in statuses {
            let mut connection = BufReader::new(listener.accept().unwrap().0);
            let (mut length, mut line) = (0, String::new());
            while connection.read_line(&mut line).unwrap() > 2 {
                let header = line.trim_end().to_lowercase();
                if let Some(value) = header.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).unwrap();
            heard.send(serde_json::from_slice(&body).unwrap()).unwrap();
            match status {
                Some(status) => {
                    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
                    connection.get_mut().write_all(answer.as_bytes()).unwrap();
                }
                None => silent.push(connection),
            }
        }
    });
    (bodies, address)
}

fn events_of(output: &Output) -> Vec<Value> {
    let events = |record: &Value| record["events"].as_array().cloned().unwrap_or_default();
    records(output).iter().flat_map(events).collect()
}

#[test]
fn webhooks_are_tried_again_and_hold_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene_file(&folder, SCENE);
    let statuses = vec![None, Some("503 Busy"), Some("204 Done"), Some("404 Not Found")];
    let (bodies, address) = web_server(statuses);
    let arguments = ["--fps", "10", "--scene", &scene, "--event-limit", "0.5", "--webhook"];
    let mut child = start_raw(&[&arguments[..], &[&address]].concat());
    let mut input = child.stdin.take().unwrap();
    input.write_all(&raw_frames(24)).unwrap();
    let heard: Vec<Value> = bodies.iter().collect();
    // The end of the stream.
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), records(&output).len()), (Some(0), 24));
    let events = events_of(&output);
    let [bare, visitor] = &events[..] else { panic!("{events:?}") };
    assert_eq!(heard, [bare, bare, bare, visitor].map(Clone::clone));
    // Who does not want it is not asked again.
    let lines: Vec<String> = stderr(&output)
        .lines()
        .filter(|line| line.contains("--webhook"))
        .map(String::from)
        .collect();
    let refused = "mask-cli: -: --webhook, for `visitor`: status 404 Not Found, tried once";
    assert_eq!(lines, [refused]);

    // Where nobody answers, the end comes all the same.
    let (_bodies, address) = web_server(vec![None; 8]);
    let output = watch_raw(&[&arguments[..], &[&address]].concat(), &raw_frames(24));
    assert_eq!((output.status.code(), records(&output).len()), (Some(0), 24));
    let errors = stderr(&output);
    assert!(errors.contains("for `bare`: no answer within 0.5 s, tried"), "{errors}");
    assert!(errors.contains("for `visitor`: dropped, for nobody answers"), "{errors}");

    for (argument, address) in [("--webhook", "ftp://a/b"), ("--mqtt", "mqtt://me:secret@broker")] {
        let output = watch_raw(&["--scene", &scene, argument, address], &raw_frames(1));
        assert_eq!(output.status.code(), Some(2));
        let errors = stderr(&output);
        assert!(errors.contains(argument) && errors.contains("give "), "{errors}");
        assert!(!errors.contains("secret"), "{errors}");
    }
}

/// A program that is ended with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have been ended.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

#[cfg(unix)]
#[test]
#[ignore = "needs mosquitto"]
fn events_reach_a_broker_that_comes_late() {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene_file(&folder, SCENE);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let config = path_of(&folder, "mosquitto.conf");
    let place = folder.path().display();
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
         persistence_location {place}/\n"
    );
    fs::write(&config, text).unwrap();
    let start = |program: &str, arguments: &[&str]| {
        // Debian has the broker where only administrators look.
        let paths = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.env("PATH", paths).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let broker = || {
        let broker = Service(start("mosquitto", &["-c", &config]));
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
        broker
    };
    // For somebody who has been there before, a broker keeps what arrives.
    let listen = |rest: &[&str]| {
        let listener = ["-p", &port, "-t", "masks/#", "-c", "-q", "1", "-i", "listener", "-v"];
        let output = start("mosquitto_sub", &[&listener[..], rest].concat()).wait_with_output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let mut first = broker();
    listen(&["-E"]);
    let pid = first.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    first.0.wait().unwrap();

    let address = format!("mqtt://127.0.0.1:{port}/masks/door");
    let mut child = start_raw(&["--fps", "10", "--scene", &scene, "--mqtt", &address]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(&raw_frames(24)).unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(
        errors.any(|line| line.contains("Connection refused") && line.contains("trying again"))
    );
    let _second = broker();
    // Two events, and that it is there and was.
    let heard = listen(&["-C", "4", "-W", "30"]);
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(errors.filter(|line| line.contains("--mqtt, for")).count(), 0);
    let events = events_of(&output);
    let [bare, visitor] = &events[..] else { panic!("{events:?}") };
    let mut lines = heard.lines().map(|line| line.split_once(' ').unwrap());
    assert_eq!(lines.next(), Some(("masks/door/status", "online")));
    for event in [bare, visitor] {
        let (topic, json) = lines.next().unwrap();
        assert_eq!((topic, &serde_json::from_str::<Value>(json).unwrap()), ("masks/door", event));
    }
    let status = start("mosquitto_sub", &["-p", &port, "-t", "masks/door/status", "-C", "1"]);
    assert_eq!(status.wait_with_output().unwrap().stdout, b"offline\n");
}

#[test]
#[ignore = "needs ffmpeg"]
fn clips_show_what_was_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let (scene, saved) = (scene_file(&folder, SCENE), path_of(&folder, "saved"));
    let arguments = ["--fps", "10", "--scene", &scene, "--save-events", &saved, "--clips", "1.5"];
    let output = watch_raw(&[&arguments[..], &["--blur"]].concat(), &raw_frames(46));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let events = events_of(&output);
    let [bare, visitor] = &events[..] else { panic!("{events:?}") };
    // One follows the other closely: one clip shows both.
    let path = Path::new(bare["clip"].as_str().unwrap());
    assert_eq!(bare["clip"], visitor["clip"]);
    let (streams, seconds) = probe(path);
    let time = |event: &Value| event["time"].as_f64().unwrap();
    let expected = time(visitor) + 1.5 - (time(bare) - 1.5).max(0.0);
    assert_eq!(streams, ["video,256,192"]);
    assert!((seconds - expected).abs() <= 0.11, "{seconds} instead of {expected}");
    // Nobody is recognised in it, and nothing half-written stays.
    let frame = path_of(&folder, "frame.png");
    ffmpeg(&["-ss", "0.3", "-i", &path.display().to_string(), "-frames:v", "1", &frame]);
    assert_eq!(labels(&records(&detect([frame]))[0]), Vec::<&str>::new());
    let names: Vec<_> =
        fs::read_dir(&saved).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.to_string_lossy().starts_with("event-")), "{names:?}");
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
