//! What the parity tests share: the reference's recorded outputs and the comparison with them.
//!
//! What every test needs is in `goldens/`, made by `goldens/record.py`. Tests that need the whole data
//! sets beside the project are ignored unless asked for.
#![allow(clippy::expect_used, clippy::panic, reason = "this crate serves tests only")]

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use npyz::NpyFile;
use zip::ZipArchive;

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A path below `../shared`, for tests that are ignored where it is absent.
pub fn shared(path: &str) -> PathBuf {
    let full = root().join("../shared").join(path);
    assert!(full.exists(), "../shared/{path} is absent: this test needs the data sets");
    full
}

/// The names of the images in `examples/` that the reference was recorded on.
pub const IMAGES: [&str; 2] = ["astronaut", "astronaut_incorrect"];

/// The reference's recorded outputs on an image of [`IMAGES`].
pub fn golden(name: &str) -> Arrays {
    Arrays::read(&root().join(format!("tests/goldens/{name}.npz")))
}

/// The image as OpenCV resized it to 300 x 300: BGR, rows first.
pub fn resized_bgr(name: &str) -> Vec<u8> {
    let bytes = |name: &str, array: &str| -> Vec<u8> {
        golden(name).get(array).1.iter().map(|value| *value as u8).collect()
    };
    let first = bytes(IMAGES[0], "resized_bgr");
    if name == IMAGES[0] {
        return first;
    }
    let difference = bytes(name, "resized_bgr_xor_first");
    first.iter().zip(difference).map(|(a, b)| a ^ b).collect()
}

/// Every n-th value, as long arrays are recorded.
pub fn every(stride: usize, values: &[f32]) -> Vec<f32> {
    values.iter().copied().step_by(stride).collect()
}

/// Writes a line on standard error that the test harness does not swallow.
pub fn say(line: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "mask-tests: {line}");
}

/// Arrays of a NumPy archive.
pub struct Arrays(HashMap<String, (Vec<usize>, Vec<f32>)>);

impl Arrays {
    /// Reads all float and byte arrays of an archive, as floats.
    pub fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut archive = ZipArchive::new(file).expect("a NumPy archive");
        let mut arrays = HashMap::new();
        for index in 0..archive.len() {
            let entry = archive.by_index(index).expect("a readable entry");
            let name = entry.name().expect("a name").into_owned();
            let array = NpyFile::new(entry).expect("an array");
            let shape = array.shape().iter().map(|side| *side as usize).collect();
            let values = match array.dtype().descr().as_str() {
                "'<f4'" => array.into_vec::<f32>().expect("floats"),
                "'|u1'" => {
                    array.into_vec::<u8>().expect("bytes").into_iter().map(f32::from).collect()
                }
                _ => continue,
            };
            arrays.insert(name.trim_end_matches(".npy").to_owned(), (shape, values));
        }
        Self(arrays)
    }

    /// Shape and values of an array, row-major.
    pub fn get(&self, name: &str) -> (&[usize], &[f32]) {
        let (shape, values) = self.0.get(name).unwrap_or_else(|| panic!("no array {name}"));
        (shape, values)
    }
}

/// The largest absolute difference of two lists of equal length.
pub fn max_difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len(), "lists differ in length");
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// A model in single precision, as `.ci/run` imports it, for the tolerances of exact arithmetic.
pub fn exact_model(name: &str) -> Option<PathBuf> {
    let file = root().join("target/exact-models").join(name);
    if !file.exists() {
        say(&format!(
            "{name}: half precision; cargo xtask import --precision f32 --output \
             target/exact-models --generated target/exact-models makes an exact one"
        ));
        return None;
    }
    Some(file)
}

/// The head of the reference's classifier, as `cargo xtask import` makes it.
pub fn reference_head() -> PathBuf {
    root().join("models/reference/reference_head.bpk")
}

/// The examples of the documents, which `cargo test` compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/architecture.md")]
pub struct Documents;
