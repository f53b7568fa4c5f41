//! Whole commands, from their start to their end.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use crate::{
    PeersConfig,
    report::{Measured, ProcessRow},
    setup::Tools,
};

/// The photograph of the rows of one image.
const PHOTOGRAPH: &str = "examples/astronaut_masked.jpg";

/// Runs the program and the pipeline it replaces in turn, on one image and on many.
pub(crate) fn measure(tools: &Tools, args: &PeersConfig) -> anyhow::Result<Vec<ProcessRow>> {
    let mut rows = vec![row(tools, args, "one image", &[PHOTOGRAPH.into()])?];
    if let Some(folder) = &args.images {
        let failed = || format!("{} cannot be read", folder.display());
        let entries = folder.read_dir().with_context(failed)?;
        let mut images: Vec<PathBuf> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()
            .with_context(failed)?;
        images.sort();
        images.truncate(args.count);
        let title = format!("{} images", images.len());
        rows.push(row(tools, args, &title, &images)?);
    }
    Ok(rows)
}

fn row(
    tools: &Tools,
    args: &PeersConfig,
    title: &str,
    images: &[PathBuf],
) -> anyhow::Result<ProcessRow> {
    let threads = args.threads.to_string();
    let detect = |size: &str| {
        let mut command: Vec<OsString> = vec![tools.mask_cli.clone().into()];
        command.extend(["detect", "--threads", &threads, "--input-size", size].map(Into::into));
        command
    };
    let pipeline: Vec<OsString> = vec![
        tools.python.clone().into(),
        "bench/pipeline.py".into(),
        tools.models.clone().into(),
        threads.clone().into(),
    ];
    let commands = [
        ("mask-cli, 300 x 300", detect("300")),
        ("mask-cli, long:496 (default)", detect("long:496")),
        ("OpenCV and TensorFlow, 300 x 300", pipeline),
    ];
    let mut measured: Vec<(Measured, f64)> = commands
        .iter()
        .map(|(name, _)| (Measured { name: (*name).to_owned(), times: Vec::new() }, 0.0))
        .collect();
    for _ in 0..args.process_rounds {
        for ((_, command), (measured, memory)) in commands.iter().zip(&mut measured) {
            let output = Command::new(&tools.python)
                .arg("bench/measure.py")
                .args(command)
                .args(images)
                .output()
                .context("cannot run bench/measure.py")?;
            ensure!(output.status.success(), "{} failed", measured.name);
            let text = String::from_utf8_lossy(&output.stdout);
            let (seconds, peak) = text.trim().split_once(' ').context("no measurement")?;
            measured.times.push(1e3 * seconds.parse::<f64>()?);
            *memory = f64::max(*memory, peak.parse()?);
        }
    }
    let (commands, peak_mebibytes) = measured.into_iter().unzip();
    Ok(ProcessRow { title: title.to_owned(), threads: args.threads, commands, peak_mebibytes })
}
