//! Running the real binary.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The binary, ready for arguments.
pub(crate) fn mask_cli() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mask-cli"))
}

/// Runs `detect` with the given arguments.
pub(crate) fn detect<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    mask_cli().arg("detect").args(arguments).output().unwrap()
}

/// An image in `examples/`.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// A file of the published weights.
pub(crate) fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/reference").join(name)
}

/// An unusual image in `tests/fixtures/`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The NDJSON records on standard output.
pub(crate) fn records(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The labels in a record.
pub(crate) fn labels(record: &Value) -> Vec<&str> {
    let faces = record["faces"].as_array().unwrap_or_else(|| panic!("no faces in {record}"));
    faces.iter().map(|face| face["label"].as_str().unwrap()).collect()
}

/// The checksum of PNG chunks (ISO 3309), bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
