//! Runs the same task again in a build that holds the importer, so that the code generator is
//! compiled only by those who import.

use std::process::Command;

use anyhow::{Context, bail};

/// Runs `cargo run -p xtask --features import` with this process's arguments.
pub(crate) fn with_importer() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--release", "-p", "xtask", "--features", "import", "--"])
        .args(std::env::args_os().skip(1))
        .status()
        .context("cannot run cargo to build the importer")?;
    if !status.success() {
        bail!("the import failed ({status})");
    }
    Ok(())
}
