//! Videos, cameras and network streams. What needs ffmpeg is ignored unless asked for.

mod cameras;
mod events;
mod raw;
mod records;
mod videos;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
};

use image::{RgbImage, imageops};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{example, mask_cli};

/// A face that moves to the right over grey, at 256 x 192.
pub(super) fn scene(frame: u32) -> RgbImage {
    scene_at(frame, 256, 192)
}

pub(super) fn scene_at(frame: u32, width: u32, height: u32) -> RgbImage {
    let photo = image::open(example("astronaut.jpg")).unwrap().into_rgb8();
    let head = imageops::crop_imm(&photo, 140, 0, 200, 200).to_image();
    let head = imageops::resize(&head, 160, 160, imageops::FilterType::Triangle);
    let mut image = RgbImage::from_pixel(width, height, image::Rgb([120, 120, 120]));
    imageops::replace(&mut image, &head, 10 + 2 * i64::from(frame), 16);
    image
}

pub(super) fn watch<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    mask_cli().arg("watch").args(arguments).output().unwrap()
}

/// The program, which waits for frames on standard input.
pub(super) fn raw_command(arguments: &[&str]) -> Command {
    let mut command = mask_cli();
    command.args(["watch", "--raw", "256x192"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(super) fn start_raw(arguments: &[&str]) -> Child {
    raw_command(arguments).spawn().unwrap()
}

/// Frames on standard input.
pub(super) fn watch_raw(arguments: &[&str], bytes: &[u8]) -> Output {
    let mut child = start_raw(arguments);
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // The program may end before it has read all.
    let writer = thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

pub(super) fn raw_frames(count: u32) -> Vec<u8> {
    (0..count).flat_map(|frame| scene(frame).into_raw()).collect()
}

pub(super) fn tracks(record: &Value) -> Vec<u64> {
    let faces = record["faces"].as_array().unwrap();
    faces.iter().map(|face| face["track"].as_u64().unwrap()).collect()
}

/// A line in the way of the face, and somebody without a mask.
pub(crate) const SCENE: &str = "
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

pub(crate) fn scene_file(folder: &TempDir, text: &str) -> String {
    let path = path_of(folder, "scene.toml");
    fs::write(&path, text).unwrap();
    path
}

/// What a query of a database yields, a text a row.
pub(crate) fn query(path: &str, sql: &str) -> Vec<String> {
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

/// Runs ffmpeg.
pub(crate) fn ffmpeg(arguments: &[&str]) {
    let output =
        Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Numbered images of the scene.
pub(crate) fn images(folder: &TempDir, count: u32, width: u32, height: u32) -> String {
    for frame in 0..count {
        let name = format!("{width}-{frame:03}.png");
        scene_at(frame, width, height).save(folder.path().join(name)).unwrap();
    }
    folder.path().join(format!("{width}-%03d.png")).display().to_string()
}

pub(crate) fn path_of(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// A video's streams, as `kind,width,height`, and its seconds.
pub(super) fn probe(path: &Path) -> (Vec<String>, f64) {
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
