//! `cargo xtask export`: the networks for other programs.
//!
//! The way: `network` loads a network and traces it; `onnx_export` writes the trace down; every file
//! is read back and compared before it is written to its place.

mod network;

use std::{collections::HashMap, fs, path::PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use weights_file::{NamedTensor, Precision, WeightsFile, encode};

use crate::{files::write_file, progress::print};
use network::Network;

/// Write the classifier and the face detector for other programs, and read each file back.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A head's weights file [default: the built-in classifier].
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Weights of the face network [default: the built-in ones].
    #[arg(long, value_name = "FILE")]
    face_weights: Option<PathBuf>,
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
    /// ONNX, operator set 13, with any batch.
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
        let network = Network::load(*name, args.head.as_deref(), args.face_weights.as_deref())?;
        for format in &args.format {
            // What cannot be read back is not written.
            let (extension, encoded) = match format {
                Format::Onnx => ("onnx", onnx(&network)),
                Format::Safetensors => ("safetensors", safetensors(&network)),
                Format::Burnpack => ("bpk", burnpack(&network)),
            };
            let path = output.join(format!("{}.{extension}", network.name));
            let (bytes, checked) =
                encoded.with_context(|| format!("{} was not written", path.display()))?;
            write_file(&path, &bytes)?;
            print(format_args!("{}: {checked}", path.display()))?;
        }
    }
    Ok(())
}

/// The bytes of a file, and what reading them back showed.
type Checked = (Vec<u8>, String);

fn onnx(network: &Network) -> anyhow::Result<Checked> {
    let (bytes, difference) = network.to_onnx()?;
    let text = format!(
        "read back by rten, batches of 1 and 3: within {difference:.1e} of the largest output"
    );
    Ok((bytes, text))
}

fn safetensors(network: &Network) -> anyhow::Result<Checked> {
    let values: Vec<(&NamedTensor, Vec<u8>)> =
        network.tensors.iter().map(|tensor| (tensor, tensor.to_le_bytes())).collect();
    let mut views = Vec::with_capacity(values.len());
    for (tensor, values) in &values {
        let dtype = ::safetensors::Dtype::F32;
        let view = ::safetensors::tensor::TensorView::new(dtype, tensor.shape(), values)?;
        views.push((tensor.name(), view));
    }
    let metadata: HashMap<String, String> =
        network.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let bytes = ::safetensors::serialize(views, Some(metadata.clone()))?;

    let file = ::safetensors::SafeTensors::deserialize(&bytes)?;
    ensure!(file.len() == values.len(), "it has {} parameters when read back", file.len());
    for (tensor, values) in &values {
        let view = file.tensor(tensor.name())?;
        let same = view.shape() == tensor.shape() && view.data() == values;
        ensure!(same, "{} differs when read back", tensor.name());
    }
    let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes)?;
    ensure!(header.metadata().as_ref() == Some(&metadata), "its metadata differ when read back");
    let text = format!("read back, {} parameters the same", values.len());
    Ok((bytes, text))
}

fn burnpack(network: &Network) -> anyhow::Result<Checked> {
    let (metadata, tensors) = (network.metadata(), network.tensors.clone());
    ensure!(!tensors.is_empty(), "{} has no parameters", network.name);
    let bytes = encode(network.name, &metadata, tensors, Precision::F32)?;

    let file = WeightsFile::from_bytes(bytes.clone(), network.name)?;
    for (key, value) in metadata {
        ensure!(file.metadata(key)? == value, "{key} differs when read back");
    }
    for tensor in &network.tensors {
        let values = file.values(tensor.name())?;
        let values: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        ensure!(values == tensor.to_le_bytes(), "{} differs when read back", tensor.name());
    }
    let text = format!("read back, {} parameters the same", network.tensors.len());
    Ok((bytes, text))
}
