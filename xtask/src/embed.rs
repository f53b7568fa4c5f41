//! `cargo xtask embed`: trained networks into `models/`, as the programs that are built next carry them.

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};
use burn::tensor::Device;
use clap::Args;
use face_ssd::{FaceCheckpoint, WeightsSource};
use mask_model::ClassifierCheckpoint;
use sha2::{Digest, Sha256};
use toml::{Table, Value};
use weights_file::Precision;

use crate::{files::write_file, progress::print};

/// Replace the built-in networks with trained ones, in half precision, and their entries in the
/// manifest.
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    /// The face network's weights, as `train --network face` or `calibrate` writes them.
    #[arg(long, value_name = "FILE")]
    face_weights: Option<PathBuf>,
    /// The classifier, as `train` or `calibrate` writes it: a head, or both parts of --unfreeze.
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Folder of the models, with their manifest.
    #[arg(long, value_name = "DIR", default_value = "models")]
    output: PathBuf,
}

/// Runs the task.
pub(crate) fn run(args: &EmbedArgs) -> anyhow::Result<()> {
    let device = Device::flex();
    let mut files = Vec::new();
    if let Some(path) = &args.face_weights {
        let checkpoint = FaceCheckpoint::load(&path.clone().into(), &device)?;
        files.push(("res10_ssd.bpk", checkpoint.to_bytes(Precision::F16)?));
    }
    if let Some(path) = &args.head {
        let imagenet = WeightsSource::Embedded;
        let checkpoint = ClassifierCheckpoint::load(&imagenet, &path.clone().into(), &device)?;
        files.push(("mask_classifier.bpk", checkpoint.to_bytes(Precision::F16)?));
    }
    ensure!(!files.is_empty(), "give --face-weights, --head or both");
    let manifest = args.output.join("manifest.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let mut table: Table =
        toml::from_str(&text).with_context(|| format!("{} is damaged", manifest.display()))?;
    for (name, bytes) in files {
        let entries = table.get_mut("file").and_then(Value::as_array_mut);
        let named = |entry: &&mut Value| entry.get("path").and_then(Value::as_str) == Some(name);
        let entry = entries.into_iter().flatten().find(named).and_then(Value::as_table_mut);
        let entry = entry.with_context(|| format!("{} has no entry {name}", manifest.display()))?;
        let sha256: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        print(format_args!("{}: SHA-256 {sha256}", args.output.join(name).display()))?;
        entry.insert("sha256".to_owned(), sha256.into());
        entry.insert("bytes".to_owned(), i64::try_from(bytes.len())?.into());
        write_file(&args.output.join(name), &bytes)?;
    }
    write_file(&manifest, toml::to_string_pretty(&table)?.as_bytes())
}
