//! Whole commands, from their start to their end.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, ensure};

use crate::{
    PeersConfig,
    report::{Measured, ProcessRow, plural},
    run_command,
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
    let detect = |size: &[&str], threads: usize| {
        let mut command: Vec<OsString> = vec![tools.mask_cli.clone().into()];
        command.extend(["detect", "--threads"].map(Into::into));
        command.push(threads.to_string().into());
        command.extend(size.iter().map(Into::into));
        command
    };
    let (small, default) = (["--input-size", "300"].as_slice(), [].as_slice());
    let pipeline = |classifier: OsString| -> Vec<OsString> {
        let script = OsString::from("bench/pipeline.py");
        let threads = args.threads.to_string().into();
        vec![tools.python.clone().into(), script, tools.models.clone().into(), classifier, threads]
    };
    let all = args.threads;
    let threads = plural(all, "thread");
    let mut commands = vec![
        (format!("mask-cli, 300 x 300, {threads}"), detect(small, all)),
        (format!("mask-cli, default size, {threads}"), detect(default, all)),
        (format!("OpenCV and onnxruntime, 300 x 300, {threads}"), pipeline(classifier(tools)?)),
        (format!("OpenCV and TensorFlow, 300 x 300, {threads}"), pipeline("keras".into())),
    ];
    if all > 1 {
        commands.insert(1, ("mask-cli, 300 x 300, 1 thread".to_owned(), detect(small, 1)));
        let one = ("mask-cli, default size, 1 thread".to_owned(), detect(default, 1));
        commands.insert(3, one);
    }
    let mut measured: Vec<(Measured, f64)> = commands
        .iter()
        .map(|(name, _)| (Measured { name: name.clone(), times: Vec::new(), first: None }, 0.0))
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
    Ok(ProcessRow { title: title.to_owned(), commands, peak_mebibytes })
}

/// The classifier as ONNX, which is written first.
fn classifier(tools: &Tools) -> anyhow::Result<OsString> {
    let file = tools.folder.join("classifier.onnx");
    if !file.exists() {
        run_command(Command::new(&tools.mask_bench).arg("export-classifier").arg(&file))?;
    }
    Ok(file.into())
}
