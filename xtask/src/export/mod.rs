//! `cargo xtask export`: the networks for other programs.
//!
//! The way: `network` loads a network and traces it; `onnx_export` writes the trace down; every file
//! is read back and compared before it is written to its place, by `end_to_end` on photographs.

mod end_to_end;
mod network;

use std::{collections::HashMap, fs, path::PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use face_ssd::InputSize;
use geometry::ImageSize;
use onnx_export::{OperatorSetVersion, Storage};
use weights_file::{NamedTensor, Precision, WeightsFile, encode};

use crate::{files::write_file, progress::print};
use network::{Network, OnnxOptions};

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
    /// Write ONNX files that take images and do everything, and a README for their users: colours, and for the face
    /// network the decoding of boxes and the choice among them.
    #[arg(long)]
    with_postprocess: bool,
    /// Width and height of the images that the face network takes then.
    #[arg(long, value_name = "WxH", default_value = "640x640", requires = "with_postprocess")]
    input_size: InputSize,
    /// What those files hold: int8 needs calibrated weights.
    #[arg(long, value_enum, default_value_t = OnnxPrecision::F32, requires = "with_postprocess")]
    precision: OnnxPrecision,
    /// Version of the operators of ONNX files.
    #[arg(long, value_name = "13..25", default_value = "13", value_parser = operator_set)]
    opset: OperatorSetVersion,
    /// Folder to write the files to.
    #[arg(long, value_name = "DIR", default_value = "export")]
    output: PathBuf,
}

fn operator_set(text: &str) -> Result<OperatorSetVersion, String> {
    let version = text.parse().ok().and_then(OperatorSetVersion::new);
    version.ok_or_else(|| "give a number from 13 to 25".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnnxPrecision {
    /// Parameters as they are.
    F32,
    /// Parameters in half precision.
    F16,
    /// Convolutions in eight bits, as they run on the CPU.
    Int8,
}

impl OnnxPrecision {
    /// What names of files end with.
    fn ending(self) -> &'static str {
        match self {
            Self::F32 => "",
            Self::F16 => "-f16",
            Self::Int8 => "-int8",
        }
    }
}

impl From<OnnxPrecision> for Storage {
    fn from(precision: OnnxPrecision) -> Self {
        match precision {
            OnnxPrecision::F32 => Self::Single,
            OnnxPrecision::F16 => Self::Half,
            OnnxPrecision::Int8 => Self::Bytes,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// ONNX, with any batch unless boxes are decoded.
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
    let InputSize::Fixed { width, height } = args.input_size else {
        bail!("--input-size: give a width and a height, such as 640x640");
    };
    fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
    let onnx_options = OnnxOptions {
        storage: args.precision.into(),
        operator_set: args.opset,
        end_to_end: args.with_postprocess,
    };
    for name in &args.network {
        let size = ImageSize { width, height };
        let (head, faces) = (args.head.as_deref(), args.face_weights.as_deref());
        let network = Network::load(*name, head, faces, size)?;
        for format in &args.format {
            // What cannot be read back is not written.
            let (file, encoded) = match format {
                Format::Onnx => {
                    let check = || match args.with_postprocess {
                        true => end_to_end::check(*name, args, &network, onnx_options),
                        false => onnx(&network, onnx_options),
                    };
                    let stem = match args.with_postprocess {
                        true => network.end_to_end_name(),
                        false => network.name.to_owned(),
                    };
                    (format!("{stem}{}.onnx", args.precision.ending()), check())
                }
                Format::Safetensors => {
                    (format!("{}.safetensors", network.name), safetensors(&network))
                }
                Format::Burnpack => (format!("{}.bpk", network.name), burnpack(&network)),
            };
            let path = output.join(file);
            let (bytes, checked) =
                encoded.with_context(|| format!("{} was not written", path.display()))?;
            write_file(&path, &bytes)?;
            print(format_args!("{}: {checked}", path.display()))?;
        }
    }
    if args.with_postprocess {
        let path = output.join("README.md");
        write_file(&path, end_to_end::readme(args, ImageSize { width, height })?.as_bytes())?;
        print(format_args!("{}: how to use them", path.display()))?;
    }
    Ok(())
}

/// The bytes of a file, and what reading them back showed.
type Checked = (Vec<u8>, String);

fn onnx(network: &Network, options: OnnxOptions) -> anyhow::Result<Checked> {
    let bytes = network.encode(options)?;
    let difference = network.verify(&bytes)?;
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
