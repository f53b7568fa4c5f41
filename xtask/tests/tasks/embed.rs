//! `xtask embed`.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use crate::{fail, succeed};

#[test]
fn networks_are_stored_with_their_hashes_or_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let written = root.join("models");
    fs::create_dir(&written).unwrap();
    let manifest = fs::read_to_string(models.join("manifest.toml")).unwrap();
    fs::write(written.join("manifest.toml"), &manifest).unwrap();

    let head = models.join("reference/reference_head.bpk");
    let absent = ["embed", "--head", head.to_str().unwrap(), "--face-weights", "absent.bpk"];
    fail(root, &absent, "absent.bpk");
    fail(root, &["embed"], "give --face-weights, --head or both");
    assert_eq!(fs::read_dir(&written).unwrap().count(), 1);

    succeed(root, &["embed", "--head", head.to_str().unwrap()]);
    let bytes = fs::read(written.join("mask_classifier.bpk")).unwrap();
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let table: toml::Table =
        toml::from_str(&fs::read_to_string(written.join("manifest.toml")).unwrap()).unwrap();
    let before: toml::Table = toml::from_str(&manifest).unwrap();
    for (now, before) in
        table["file"].as_array().unwrap().iter().zip(before["file"].as_array().unwrap())
    {
        let embedded = now["path"].as_str() == Some("mask_classifier.bpk");
        assert_eq!(now["source"], before["source"]);
        assert_eq!(now["sha256"] != before["sha256"], embedded);
        if embedded {
            assert_eq!(now["sha256"].as_str(), Some(hash.as_str()));
            assert_eq!(now["bytes"].as_integer(), Some(bytes.len() as i64));
        }
    }
    // The head and the ImageNet backbone that it needs, as a program would read them.
    succeed(root, &["export", "--network", "classifier", "--head", "models/mask_classifier.bpk"]);
}
