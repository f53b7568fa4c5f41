//! Cameras that are lost, hang, freeze, or are faster than the networks.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use image::RgbImage;
use serde_json::Value;

use super::{path_of, query, scene, scene_file, tracks};
use crate::support::mask_cli;

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
    let backs = |text: &str| text.matches("/video: back\n").count();
    let folder = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nname = 'gone'\nwhen = 'lost'\ncooldown = 0\n\
                 [[rule]]\nname = 'here'\nwhen = 'back'\ncooldown = 0";
    let (scene, db) = (scene_file(&folder, rules), path_of(&folder, "record.sqlite"));
    let arguments = ["--scene", &scene, "--db", &db];
    let (out, err) = watch_camera(&camera.address, &arguments, |text| backs(text) >= 5);
    assert_eq!(err.matches("; trying again in 1 s\n").count(), 5, "{err}");
    // What happened to the source is recorded as what happened in it.
    let events = query(&db, "SELECT rule FROM event ORDER BY id");
    assert_eq!(events, ["gone", "here"].repeat(5));
    // Frames and times go on.
    let records: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The newest of each visit at least.
    assert!(records.len() >= 5, "{out}");
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
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/streams/rtsp_camera.py");
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
        // Freezes for twenty seconds, and moves again.
        _ => {
            (0..500).for_each(|_| visitor.frame(&scene(3)));
            (0..1000)
                .take_while(|frame| {
                    visitor.frame(&scene(frame % 20));
                    !visitor.gone
                })
                .for_each(drop);
        }
    });
    let (_, err) = watch_camera(&camera.address, &[], |text| text.contains("moves again"));
    let at = |words: &str| err.find(words).unwrap_or_else(|| panic!("{words}: {err}"));
    assert!(at("no frame for 10 s; trying again") < at(": back"));
    assert!(at(": back") < at("the picture has been the same for 10 s"));
    assert!(at("the picture has been the same") < at("the picture moves again"));
}
