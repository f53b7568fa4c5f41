//! `cargo xtask bench`: the plans' kernels, and the networks and the whole program beside other
//! engines, which `peer_bench` measures.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Subcommand};
use peer_bench::PeersConfig;

use crate::{files::write_file, progress::print};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchTask {
    /// Single kernels and both networks as plans, with divan.
    Kernels {
        /// Only benches whose name contains this.
        filter: Option<String>,
    },
    /// The networks and the whole program beside OpenCV, onnxruntime, TensorFlow, tract and rten.
    Peers(PeersArgs),
    /// The networks on a GPU, batch by batch, beside the plans on all cores.
    Gpu {
        /// Images that enter at once.
        #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = peer_bench::BATCHES)]
        batches: Vec<usize>,
        /// Runs of every network after the first.
        #[arg(long, value_name = "N", default_value_t = 20)]
        rounds: usize,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    /// Folder of photographs for the run over many; without it that row is left out.
    #[arg(long, alias = "pictures", value_name = "DIR")]
    images: Option<PathBuf>,
    /// Photographs of that folder, from its first on.
    #[arg(long, value_name = "N", default_value_t = 200)]
    count: usize,
    /// Runs of every network by every peer.
    #[arg(long, value_name = "N", default_value_t = 25)]
    rounds: usize,
    /// Runs of every whole command.
    #[arg(long, value_name = "N", default_value_t = 5)]
    process_rounds: usize,
    /// Threads of the commands over whole images.
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// Replace the table in docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// Runs the task.
pub(crate) fn run(task: &BenchTask) -> anyhow::Result<()> {
    match task {
        BenchTask::Kernels { filter } => peer_bench::kernels(filter.as_deref()),
        BenchTask::Peers(args) => peers(args),
        BenchTask::Gpu { batches, rounds } => {
            Ok(print(peer_bench::measure_gpu(batches, (*rounds).max(1))?)?)
        }
    }
}

fn peers(args: &PeersArgs) -> anyhow::Result<()> {
    let &PeersArgs { count, rounds, process_rounds, threads, .. } = args;
    let images = args.images.clone();
    let config = PeersConfig { images, count, rounds, process_rounds, threads };
    let results = peer_bench::measure(&config)?;
    write_file(Path::new("target/bench/peers.json"), &results.to_json()?)?;
    if !args.write {
        return Ok(print(results.table()?)?);
    }
    let path = Path::new("docs/performance.md");
    let text = fs::read_to_string(path).context("cannot read docs/performance.md")?;
    write_file(path, results.replace_table(&text)?.as_bytes())
}
