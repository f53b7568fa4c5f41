//! Videos, cameras and network streams. What needs ffmpeg is ignored unless asked for.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use image::{RgbImage, imageops};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{example, labels, mask_cli, records, stderr};

/// A face that moves to the right over grey, at 256 x 192.
fn scene(frame: u32) -> RgbImage {
    scene_at(frame, 256, 192)
}

fn scene_at(frame: u32, width: u32, height: u32) -> RgbImage {
    let photo = image::open(example("astronaut.jpg")).unwrap().into_rgb8();
    let head = imageops::crop_imm(&photo, 140, 0, 200, 200).to_image();
    let head = imageops::resize(&head, 160, 160, imageops::FilterType::Triangle);
    let mut image = RgbImage::from_pixel(width, height, image::Rgb([120, 120, 120]));
    imageops::replace(&mut image, &head, 10 + 2 * i64::from(frame), 16);
    image
}

fn watch<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    mask_cli().arg("watch").args(arguments).output().unwrap()
}

/// Frames on standard input.
fn watch_raw(arguments: &[&str], bytes: &[u8]) -> Output {
    let mut child = mask_cli()
        .args(["watch", "--raw", "256x192"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // The program may end before it has read all.
    let writer = thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

fn raw_frames(count: u32) -> Vec<u8> {
    (0..count).flat_map(|frame| scene(frame).into_raw()).collect()
}

fn tracks(record: &Value) -> Vec<u64> {
    let faces = record["faces"].as_array().unwrap();
    faces.iter().map(|face| face["track"].as_u64().unwrap()).collect()
}

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

/// A line in the way of the face, and somebody without a mask.
const SCENE: &str = "
    [[line]]
    name = 'door'
    from = [0.4, 1.0]
    to = [0.4, 0.0]
    [[rule]]
    name = 'visitor'
    when = 'crossed'
    line = 'door'
    [[rule]]
    name = 'bare'
    when = 'class'
    class = 'without_mask'
    seconds = 0.3
    cooldown = 0.5
";

fn scene_file(folder: &TempDir, text: &str) -> String {
    let path = path_of(folder, "scene.toml");
    fs::write(&path, text).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn events_are_told_and_acted_upon() {
    let folder = tempfile::tempdir().unwrap();
    let (scene, heard) = (scene_file(&folder, SCENE), path_of(&folder, "heard"));
    let command = format!("cat >> {heard}; echo noise");
    let arguments = ["--fps", "10", "--scene", &scene, "--on-event", &command, "--summary"];
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

/// What a query of a database yields, a text a row.
fn query(path: &str, sql: &str) -> Vec<String> {
    let database = rusqlite::Connection::open(path).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let fields = (0..columns).map(|at| -> rusqlite::Result<String> {
            Ok(match row.get_ref(at)? {
                rusqlite::types::ValueRef::Null => "-".to_owned(),
                rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                rusqlite::types::ValueRef::Real(value) => format!("{value:.2}"),
                value => value.as_str().unwrap_or("bytes").to_owned(),
            })
        });
        Ok(fields.collect::<rusqlite::Result<Vec<_>>>()?.join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

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
        let mut child = mask_cli()
            .args(["watch", "--raw", "256x192", "--fps", "10"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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

/// Runs ffmpeg.
fn ffmpeg(arguments: &[&str]) {
    let output =
        Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Numbered images of the scene.
fn images(folder: &TempDir, count: u32, width: u32, height: u32) -> String {
    for frame in 0..count {
        let name = format!("{width}-{frame:03}.png");
        scene_at(frame, width, height).save(folder.path().join(name)).unwrap();
    }
    folder.path().join(format!("{width}-%03d.png")).display().to_string()
}

fn path_of(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// A video's streams, as `kind,width,height`, and its seconds.
fn probe(path: &Path) -> (Vec<String>, f64) {
    let ask = |entries: &str| {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-of", "csv=p=0", "-show_entries", entries])
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let streams = ask("stream=codec_type,width,height");
    let seconds = ask("format=duration").trim().parse().unwrap();
    (streams.lines().map(|line| line.trim_end_matches(',').to_owned()).collect(), seconds)
}

#[test]
#[ignore = "needs ffmpeg"]
fn videos_of_every_kind_are_read_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let scene = images(&folder, 10, 256, 192);
    let odd = images(&folder, 10, 255, 191);
    let path = |name: &str| path_of(&folder, name);
    let from = |images: &str, rest: &[&str]| {
        ffmpeg(&[&["-framerate", "25", "-i", images][..], rest].concat());
    };
    from(&scene, &["-c:v", "libx264", "-pix_fmt", "yuv420p", &path("h264.mp4")]);
    from(&scene, &["-c:v", "mjpeg", "-q:v", "3", &path("mjpeg.avi")]);
    from(&odd, &["-c:v", "libx264", "-pix_fmt", "yuv444p", &path("odd.mkv")]);
    // As phones record: lying, with a note which way is up.
    from(
        &scene,
        &["-vf", "transpose=2", "-c:v", "libx264", "-pix_fmt", "yuv420p", &path("lying.mp4")],
    );
    let turned = path("turned.mp4");
    ffmpeg(&["-i", &path("lying.mp4"), "-c", "copy", "-metadata:s:v", "rotate=270", &turned]);
    // Frames 5 to 9 last twice as long.
    let slower = "setpts='if(lt(N,5),N,5+2*(N-5))/25/TB'";
    let vfr = path("vfr.mkv");
    from(
        &scene,
        &[
            "-vf",
            slower,
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            &vfr,
        ],
    );
    let even: Vec<f64> = (0..10).map(|frame| f64::from(frame) / 25.0).collect();
    let uneven: Vec<f64> =
        (0..10).map(|n| f64::from(if n < 5 { n } else { 2 * n - 5 }) / 25.0).collect();
    for (name, width, height, times) in [
        ("h264.mp4", 256, 192, &even),
        ("mjpeg.avi", 256, 192, &even),
        ("odd.mkv", 255, 191, &even),
        ("turned.mp4", 256, 192, &even),
        ("vfr.mkv", 256, 192, &uneven),
        ("256-%03d.png", 256, 192, &even),
    ] {
        let output = watch([path(name)]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        let records = records(&output);
        assert_eq!(records.len(), 10, "{name}");
        for (record, time) in records.iter().zip(times) {
            let size = (record["width"].as_u64(), record["height"].as_u64());
            assert_eq!(size, (Some(width), Some(height)), "{name}");
            let difference = record["time"].as_f64().unwrap() - time;
            assert!(difference.abs() < 0.002, "{name}: {record}");
            assert_eq!((labels(record), tracks(record)), (vec!["without_mask"], vec![1]), "{name}");
        }
    }
    let cut = watch([
        path("h264.mp4").as_str(),
        "--start",
        "0.12",
        "--max-fps",
        "12.5",
        "--size",
        "128x96",
    ]);
    let cut = records(&cut);
    let times: Vec<f64> = cut.iter().map(|record| record["time"].as_f64().unwrap()).collect();
    assert_eq!(times.len(), 4, "{times:?}");
    assert!((times[0] - 0.12).abs() < 0.002 && (times[3] - 0.36).abs() < 0.002, "{times:?}");
    assert_eq!(cut[0]["width"].as_u64(), Some(128));
    fs::write(folder.path().join("broken.mp4"), [7; 5000]).unwrap();
    let broken = watch([path("broken.mp4")]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stderr(&broken).contains("broken.mp4: "), "{}", stderr(&broken));
}

#[test]
#[ignore = "needs ffmpeg"]
fn the_size_may_change_in_mid_stream() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = Vec::new();
    for (width, height) in [(256, 192), (640, 360)] {
        let images = images(&folder, 6, width, height);
        let part = path_of(&folder, "part.ts");
        ffmpeg(&["-i", &images, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "mpegts", &part]);
        whole.extend(fs::read(&part).unwrap());
    }
    let path = folder.path().join("both.ts");
    fs::write(&path, whole).unwrap();
    let drawn = folder.path().join("drawn.mp4");
    let output = watch([path.as_path(), Path::new("--output"), &drawn]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let records = records(&output);
    let widths: Vec<_> = records.iter().map(|record| record["width"].as_u64().unwrap()).collect();
    assert_eq!(widths, [[256; 6], [640; 6]].concat());
    // What is written keeps its size.
    assert_eq!(probe(&drawn).0, ["video,256,192"]);
}

#[test]
#[ignore = "needs ffmpeg"]
fn drawn_videos_keep_time_and_sound() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(&folder, 30, 255, 191);
    let path = path_of(&folder, "spoken.mp4");
    ffmpeg(&[
        "-framerate",
        "25",
        "-i",
        &images,
        "-f",
        "lavfi",
        "-i",
        "sine=d=1.2",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv444p",
        "-c:a",
        "aac",
        &path,
    ]);
    let drawn = folder.path().join("drawn.mp4");
    let output = watch([Path::new(&path), Path::new("--output"), &drawn, Path::new("--blur")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(records(&output).iter().all(|record| labels(record) == ["without_mask"]));
    let (streams, seconds) = probe(&drawn);
    assert_eq!(streams, ["video,256,192", "audio"]);
    assert!((seconds - 1.2).abs() < 0.1, "{seconds}");
    // Nobody is recognised, nor found, in what was written.
    let frame = folder.path().join("frame.png");
    ffmpeg(&[
        "-ss",
        "0.6",
        "-i",
        &drawn.display().to_string(),
        "-frames:v",
        "1",
        &frame.display().to_string(),
    ]);
    let found = mask_cli().arg("detect").arg(&frame).output().unwrap();
    assert_eq!(labels(&records(&found)[0]), Vec::<&str>::new());
    // Nothing half-written stays, and the source is not written over.
    let names: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("partial")));
    let over = watch([path.as_str(), "--output", &path]);
    assert_eq!(over.status.code(), Some(2));
    assert!(stderr(&over).contains("would be overwritten"));
}

/// A camera that serves motion JPEG over HTTP, as they do.
struct Camera {
    address: String,
    stop: Arc<AtomicBool>,
}

impl Camera {
    /// For each visitor in turn, what `show` sends before it closes the connection.
    fn new(show: impl Fn(usize, &mut Visitor) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/video", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            for (number, connection) in listener.incoming().map_while(Result::ok).enumerate() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let mut visitor = Visitor { connection, gone: false };
                let mut request = [0; 4096];
                let _ = visitor.connection.read(&mut request);
                visitor.send(
                    b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n",
                );
                show(number, &mut visitor);
            }
        });
        Self { address, stop }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Visitor {
    connection: TcpStream,
    gone: bool,
}

impl Visitor {
    fn send(&mut self, bytes: &[u8]) {
        self.gone |= self.connection.write_all(bytes).is_err();
    }

    fn frame(&mut self, image: &RgbImage) {
        let mut jpeg = std::io::Cursor::new(Vec::new());
        image.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        let length = jpeg.len();
        self.send(
            format!("--f\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n")
                .as_bytes(),
        );
        self.send(&jpeg);
        self.send(b"\r\n");
        thread::sleep(Duration::from_millis(40));
    }

    /// Keeps the connection, but sends nothing, until the other side gives up.
    fn wait(&mut self) {
        self.connection.set_read_timeout(None).unwrap();
        let _ = self.connection.read(&mut [0; 1]);
    }
}

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Watches a camera until `enough` of its output, then ends it as a service is ended.
fn watch_camera(
    address: &str,
    arguments: &[&str],
    mut enough: impl FnMut(&str) -> bool,
) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let mut child = mask_cli()
        .args(["watch", address, "--summary"])
        .args(arguments)
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let started = Instant::now();
    while !enough(&format!("{}{}", read(&out), read(&err))) {
        assert!(child.try_wait().unwrap().is_none(), "{}", read(&err));
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{}", read(&err));
        }
        thread::sleep(Duration::from_millis(50));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", read(&err));
    (read(&out), read(&err))
}

#[cfg(unix)]
#[test]
#[ignore = "needs ffmpeg"]
fn a_camera_that_is_lost_is_looked_for_again() {
    let camera = Camera::new(|number, visitor| {
        let frames = if number < 5 { 10 } else { 10_000 };
        (0..frames)
            .take_while(|frame| {
                visitor.frame(&scene(frame % 20));
                !visitor.gone
            })
            .for_each(drop);
    });
    let backs = |text: &str| text.matches(": back\n").count();
    let address = camera.address.as_str();
    let (out, err) = watch_camera(address, &[], |text| backs(text) >= 5);
    assert_eq!(err.matches("; trying again in 1 s\n").count(), 5, "{err}");
    // Frames and times go on.
    let records: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.len() > 20);
    for pair in records.windows(2) {
        assert!(pair[0]["frame"].as_u64() < pair[1]["frame"].as_u64(), "{pair:?}");
        assert!(pair[0]["time"].as_f64() <= pair[1]["time"].as_f64(), "{pair:?}");
    }
}

/// GStreamer's RTSP server.
struct RtspServer(Child);

impl RtspServer {
    /// Serves images on a port, which may still be in use by one that was killed.
    fn start(port: u16, images: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/rtsp_camera.py");
        // Debian's own Python has Debian's modules.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args([&port.to_string(), images])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self(child)
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[cfg(unix)]
#[test]
#[ignore = "needs ffmpeg and GStreamer's RTSP server"]
fn an_rtsp_camera_may_be_switched_off_and_on_five_times() {
    let folder = tempfile::tempdir().unwrap();
    for frame in 0..20 {
        scene(frame).save(folder.path().join(format!("{frame:04}.jpg"))).unwrap();
    }
    let images = path_of(&folder, "%04d.jpg");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Some(RtspServer::start(port, &images));
    let address = format!("rtsp://me:secret@127.0.0.1:{port}/camera");
    let (mut rounds, mut seen) = (0, 0);
    let (out, err) = watch_camera(&address, &[], |text| {
        let frames = text.matches("\"frame\":").count();
        let lost = text.matches("trying again in 1 s").count();
        if server.is_none() && lost > rounds {
            rounds += 1;
            seen = frames;
            server = Some(RtspServer::start(port, &images));
        } else if server.is_some() && rounds < 5 && frames > seen + 10 {
            server = None;
        }
        text.matches(": back\n").count() == 5 && frames > seen + 10
    });
    let records: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.iter().any(|record| tracks(record) == [1]));
    for pair in records.windows(2) {
        assert!(pair[0]["frame"].as_u64() < pair[1]["frame"].as_u64(), "{pair:?}");
    }
    // The password stands in no line, whoever wrote it.
    assert!(!out.contains("secret") && !err.contains("secret"), "{err}");
    assert!(err.contains(&format!("rtsp://me@127.0.0.1:{port}/camera: ")), "{err}");
}

#[cfg(unix)]
#[test]
#[ignore = "needs ffmpeg"]
fn of_a_camera_the_newest_frame_counts() {
    // Far more frames than the networks can take at this size, and then none.
    let camera = Camera::new(|_, visitor| {
        for frame in 0..60 {
            visitor.frame(&scene(frame % 30));
        }
        visitor.wait();
    });
    let arguments = ["--input-size", "long:1600", "--stall", "600", "--format", "ndjson"];
    let number = |line: &str| -> Option<usize> {
        line.split("\"frame\":").nth(1)?.split(',').next()?.parse().ok()
    };
    // ffmpeg keeps the last frames until others come.
    let (out, err) = watch_camera(&camera.address, &arguments, |text| {
        text.lines().filter_map(number).any(|number| number >= 55)
    });
    let (count, last) = (out.lines().count(), out.lines().filter_map(number).next_back().unwrap());
    assert!(count < 50, "{count}");
    assert!(err.contains(&format!("{} dropped", last + 1 - count)), "{err}");
}

#[cfg(unix)]
#[test]
#[ignore = "needs ffmpeg"]
fn a_camera_that_hangs_or_freezes_is_noticed() {
    let camera = Camera::new(|number, visitor| match number {
        // Hangs.
        0 => {
            (0..10).for_each(|frame| visitor.frame(&scene(frame)));
            visitor.wait();
        }
        // Freezes, and moves again.
        _ => {
            (0..60).for_each(|_| visitor.frame(&scene(3)));
            (0..1000)
                .take_while(|frame| {
                    visitor.frame(&scene(frame % 20));
                    !visitor.gone
                })
                .for_each(drop);
        }
    });
    let (_, err) =
        watch_camera(&camera.address, &["--stall", "1"], |text| text.contains("moves again"));
    let at = |words: &str| err.find(words).unwrap_or_else(|| panic!("{words}: {err}"));
    assert!(at("no frame for 1 s; trying again") < at(": back"));
    assert!(at(": back") < at("the picture has been the same for 1 s"));
    assert!(at("the picture has been the same") < at("the picture moves again"));
}
