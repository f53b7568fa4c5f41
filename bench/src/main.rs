//! One engine with one network, for `cargo xtask bench peers`, which runs several side by side.
//!
//! `serve` loads the network, writes `ready` with the milliseconds of its first run, and then answers
//! every line on standard input with those that one run took. The Python peers in `peers.py` speak the same way.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use burn::tensor::{Device, Tensor, TensorData};
use clap::{Args, Parser, Subcommand, ValueEnum};
use face_ssd::{FaceDetectorConfig, WeightsSource, network::Res10Ssd};
use fused_cpu::{Calibration, Graph, Plan, Workspace};
use mask_model::{Backbone, ClassifierCheckpoint, ClassifierNetwork};
use onnx_export::{Export, ExportOutput};
use rten_tensor::prelude::*;
use tract_onnx::prelude::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a network and run it whenever asked.
    Serve(ServeArgs),
    /// Write the classifier as ONNX.
    ExportClassifier { output: PathBuf },
    /// Write the face network as ONNX, without flattening and softmax, for inputs of one size.
    ExportFace {
        #[arg(long)]
        height: usize,
        #[arg(long)]
        width: usize,
        #[arg(long)]
        output: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[arg(long, value_enum)]
    engine: Engine,
    #[arg(long, value_enum)]
    network: Network,
    /// The network as ONNX, for the engines that read it.
    #[arg(long)]
    onnx: Option<PathBuf>,
    #[arg(long)]
    batch: usize,
    #[arg(long)]
    height: usize,
    #[arg(long)]
    width: usize,
    #[arg(long)]
    threads: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engine {
    Fused,
    FusedInt8,
    Burn,
    Tract,
    Rten,
    #[cfg(feature = "gpu")]
    Wgpu,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Network {
    Backbone,
    Face,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::ExportClassifier { output } => export_classifier(output),
        Command::ExportFace { height, width, output } => export_face(height, width, output),
    }
}

/// A loaded network with an input: a call is a run.
type Run = Box<dyn FnMut() -> anyhow::Result<()>>;

fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let mut run = match args.engine {
        Engine::Fused => fused(args, false)?,
        Engine::FusedInt8 => fused(args, true)?,
        Engine::Burn => burn(args, Device::flex())?,
        Engine::Tract => tract(args)?,
        Engine::Rten => rten(args)?,
        #[cfg(feature = "gpu")]
        Engine::Wgpu => burn(args, mask_detector::DeviceChoice::Gpu(None).open()?.device)?,
    };
    let first = Instant::now();
    run()?;
    println!("ready {}", first.elapsed().as_secs_f64() * 1e3);
    for line in io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        run()?;
        println!("{}", start.elapsed().as_secs_f64() * 1e3);
        io::stdout().flush()?;
    }
    Ok(())
}

/// The input: the same numbers for every engine; the values do not matter.
fn values(args: &ServeArgs) -> Vec<f32> {
    let count = args.batch * args.height * args.width * 3;
    (0..count).map(|at| (at * 7919 % 255) as f32 / 127.5 - 1.0).collect()
}

fn channels_first(args: &ServeArgs) -> [usize; 4] {
    [args.batch, 3, args.height, args.width]
}

/// The published network, which the peers run.
fn face_network(device: &Device) -> anyhow::Result<Res10Ssd> {
    Ok(Res10Ssd::load(&FaceDetectorConfig::reference().weights, device)?.0)
}

fn backbone(device: &Device) -> anyhow::Result<Backbone> {
    Ok(Backbone::load(&WeightsSource::Embedded, device)?)
}

/// The face network as the peers see it: everything but the decoding of boxes.
fn face_outputs(network: &Res10Ssd, input: Tensor<4>) -> (Tensor<3>, Tensor<3>) {
    let output = network.forward(input);
    (output.box_deltas, output.class_logits)
}

fn fused(args: &ServeArgs, quantized: bool) -> anyhow::Result<Run> {
    let (example, device) = (channels_first(args), Device::flex());
    let mut graph = match args.network {
        Network::Backbone => Graph::trace(&backbone(&device)?, example, Backbone::feature_maps)?,
        Network::Face => Graph::trace(&face_network(&device)?, example, face_outputs)?,
    };
    let (values, mut workspace) = (values(args), Workspace::new());
    let shape = [args.batch, args.height, args.width, 3];
    if quantized {
        let mut calibration = Calibration::new(&graph)?;
        calibration.observe(&values, shape)?;
        graph.quantize(&calibration.ranges())?;
    }
    let plan = Plan::from_graph(graph)?;
    Ok(Box::new(move || Ok(plan.run(&mut workspace, &values, shape)?)))
}

/// Burn by itself, from values to values.
fn burn(args: &ServeArgs, device: Device) -> anyhow::Result<Run> {
    let (values, shape) = (values(args), channels_first(args));
    let on = device.clone();
    let input = move || Tensor::<4>::from_data(TensorData::new(values.clone(), shape), &on);
    Ok(match args.network {
        Network::Backbone => {
            let network = backbone(&device)?;
            Box::new(move || {
                network.feature_maps(input()).try_into_data()?;
                Ok(())
            })
        }
        Network::Face => {
            let network = face_network(&device)?;
            Box::new(move || {
                let (box_deltas, class_logits) = face_outputs(&network, input());
                box_deltas.try_into_data()?;
                class_logits.try_into_data()?;
                Ok(())
            })
        }
    })
}

fn onnx_file(args: &ServeArgs) -> anyhow::Result<&Path> {
    args.onnx.as_deref().context("this engine reads a file: give --onnx")
}

fn tract(args: &ServeArgs) -> anyhow::Result<Run> {
    let shape = channels_first(args);
    let model = tract_onnx::onnx()
        .model_for_path(onnx_file(args)?)?
        .with_input_fact(0, f32::fact(shape).into())?
        .into_optimized()?
        .into_runnable()?;
    let input = tract_onnx::prelude::Tensor::from_shape(&shape, &values(args))?;
    Ok(Box::new(move || {
        model.run(tvec!(input.clone().into()))?;
        Ok(())
    }))
}

fn rten(args: &ServeArgs) -> anyhow::Result<Run> {
    let model = rten::Model::load_file(onnx_file(args)?)?;
    let pool = Arc::new(rten::ThreadPool::with_num_threads(args.threads));
    let input = rten_tensor::NdTensor::from_data(channels_first(args), values(args));
    let node = *model.input_ids().first().context("the network has no input")?;
    Ok(Box::new(move || {
        let options = rten::RunOptions::default().with_thread_pool(Some(pool.clone()));
        model.run(vec![(node, input.view().into())], model.output_ids(), Some(options))?;
        Ok(())
    }))
}

fn export_classifier(output: PathBuf) -> anyhow::Result<()> {
    let embedded = WeightsSource::Embedded;
    let checkpoint = ClassifierCheckpoint::load(&embedded, &embedded, &Device::flex())?;
    let values = checkpoint.labels.classes.len();
    let network = checkpoint.calibrated();
    let graph = Graph::trace(&network, [1, 3, 224, 224], ClassifierNetwork::forward)?;
    let outputs = [ExportOutput { name: "probabilities", values, rows: false }];
    let export =
        Export { input_size: Some([224; 2]), ..Export::new("classifier", &graph, &outputs) };
    Ok(std::fs::write(output, export.encode("mask-bench")?)?)
}

fn export_face(height: usize, width: usize, output: PathBuf) -> anyhow::Result<()> {
    let graph = Graph::trace(&face_network(&Device::flex())?, [1, 3, height, width], face_outputs)?;
    let outputs = [
        ExportOutput { name: "box_deltas", values: 4, rows: true },
        ExportOutput { name: "class_logits", values: 2, rows: true },
    ];
    let export = Export {
        input_size: Some([height, width]),
        ..Export::new("face-detector", &graph, &outputs)
    };
    Ok(std::fs::write(output, export.encode("mask-bench")?)?)
}
