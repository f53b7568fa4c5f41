//! `cargo xtask bench`: the plans' kernels, and the networks and the whole program beside other
//! engines.
//!
//! `setup` builds and installs the peers; `peer` talks to one that holds a network; `networks` runs
//! them in turn; `processes` times whole commands; `report` writes it down.

mod networks;
mod peer;
mod processes;
mod report;
mod setup;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::command::run_command;
use report::Results;

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
        BenchTask::Kernels { filter } => {
            let mut cargo = setup::cargo();
            cargo.args(["bench", "--manifest-path", "bench/Cargo.toml", "--bench", "kernels"]);
            if let Some(filter) = filter {
                cargo.args(["--", filter]);
            }
            run_command(&mut cargo)
        }
        BenchTask::Peers(args) => peers(args),
    }
}

fn peers(args: &PeersArgs) -> anyhow::Result<()> {
    let tools = setup::tools()?;
    let mut results = Results::new();
    results.gemm_gflops = networks::gemm_peak(&tools, args.rounds)?;
    for case in networks::CASES {
        results.networks.push(networks::measure(&tools, case, args.rounds)?);
    }
    results.processes = processes::measure(&tools, args)?;
    results.write(args.write)
}
