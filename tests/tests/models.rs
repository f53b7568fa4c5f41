//! The files in `models/` are what the manifest says, and the generated code is theirs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeSet, fs};

use mask_tests::root;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Manifest {
    file: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    sha256: String,
    bytes: u64,
    source: String,
    licence: String,
}

/// The published networks, and what was trained from them.
const FOLDERS: [&str; 2] = ["models/reference", "models"];

fn manifest(folder: &str) -> Manifest {
    let file = root().join(folder).join("manifest.toml");
    toml::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_model_is_in_the_manifest_with_its_hash() {
    for (folder, least) in FOLDERS.into_iter().zip([4, 2]) {
        let entries = manifest(folder).file;
        for entry in &entries {
            let bytes = fs::read(root().join(folder).join(&entry.path)).unwrap();
            assert_eq!(bytes.len() as u64, entry.bytes, "{}", entry.path);
            assert_eq!(sha256(&bytes), entry.sha256, "{}", entry.path);
            assert!(!entry.source.is_empty() && !entry.licence.is_empty());
        }
        let listed: BTreeSet<String> = entries.into_iter().map(|entry| entry.path).collect();
        let present: BTreeSet<String> = fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".bpk") || name.ends_with(".onnx"))
            .collect();
        assert_eq!(listed, present);
        assert!(present.len() >= least);
    }
}

#[test]
fn the_models_stay_small_enough_for_git() {
    let files = FOLDERS.into_iter().flat_map(|folder| manifest(folder).file);
    let bytes: u64 = files.map(|entry| entry.bytes).sum();
    assert!(bytes < 32_000_000, "{bytes} bytes");
}

#[test]
fn the_generated_backbone_is_not_stale() {
    let onnx = fs::read(root().join("models/reference/mobilenet_v2.onnx")).unwrap();
    let code = root().join("crates/mask-model/src/generated/mobilenet_v2.rs");
    let code = fs::read_to_string(code).unwrap();
    assert!(
        code.contains(&format!("SHA-256 {}", sha256(&onnx))),
        "mobilenet_v2.rs was generated from another mobilenet_v2.onnx; run cargo xtask import"
    );
    // Code and weights name the same layers, so that one cannot be replaced without the other.
    let backbone = fs::read(root().join("models/reference/mobilenet_v2.bpk")).unwrap();
    let text = String::from_utf8_lossy(&backbone);
    for index in 1..=52 {
        let (layer, weight) =
            (format!("    conv2d{index}: Conv2d,"), format!("conv2d{index}.weight"));
        assert!(code.contains(&layer) && text.contains(&weight), "layer {index}");
    }
}
