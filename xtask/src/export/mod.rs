//! `cargo xtask export`: the networks for other programs.
//!
//! The way: `network` loads a network and traces it; `onnx` writes the trace down; `verify` reads
//! every file back and compares, before the command says done.

mod network;
mod onnx;
mod verify;

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use weights_file::{NamedTensor, Precision, encode};

use crate::files::write_file;
use network::Network;

/// Write the classifier and the face detector for other programs, and read each file back.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A head's weights file [default: the built-in head].
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Formats to write, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["onnx", "safetensors", "burnpack"])]
    format: Vec<Format>,
    /// Networks to write, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["classifier", "faces"])]
    network: Vec<NetworkName>,
    /// Folder to write the files to.
    #[arg(long, value_name = "DIR", default_value = "export")]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// ONNX, operator set 13, with a free batch.
    Onnx,
    /// Parameters alone, by their module paths.
    Safetensors,
    /// As safetensors, in Burn's own container.
    Burnpack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkName {
    /// Backbone and head: crops in, class probabilities out.
    Classifier,
    /// The face detector without the decoding of its boxes.
    Faces,
}

/// Runs the task.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let output = &args.output;
    fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
    for name in &args.network {
        let network = Network::load(*name, args.head.as_deref())?;
        for format in &args.format {
            let (extension, bytes) = match format {
                Format::Onnx => ("onnx", onnx::encode(&network)?),
                Format::Safetensors => ("safetensors", safetensors(&network)?),
                Format::Burnpack => ("bpk", burnpack(&network)?),
            };
            let path = output.join(format!("{}.{extension}", network.name));
            // What cannot be read back is not written.
            let checked = match format {
                Format::Onnx => verify::onnx(&bytes, &network),
                Format::Safetensors => verify::safetensors(&bytes, &network),
                Format::Burnpack => verify::burnpack(bytes.clone(), &network),
            };
            let checked = checked.with_context(|| format!("{} was not written", path.display()))?;
            write_file(&path, &bytes)?;
            match writeln!(io::stdout(), "{}: {checked}", path.display()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

fn safetensors(network: &Network) -> anyhow::Result<Vec<u8>> {
    let bytes: Vec<(&NamedTensor, Vec<u8>)> =
        network.tensors.iter().map(|tensor| (tensor, tensor.to_le_bytes())).collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (tensor, bytes) in &bytes {
        let dtype = ::safetensors::Dtype::F32;
        let view = ::safetensors::tensor::TensorView::new(dtype, tensor.shape(), bytes)?;
        views.push((tensor.name(), view));
    }
    let metadata: HashMap<String, String> =
        network.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Ok(::safetensors::serialize(views, Some(metadata))?)
}

fn burnpack(network: &Network) -> anyhow::Result<Vec<u8>> {
    let metadata: Vec<(&str, &str)> =
        network.metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
    ensure!(!network.tensors.is_empty(), "{} has no parameters", network.name);
    Ok(encode(network.name, &metadata, network.tensors.clone(), Precision::F32)?)
}
