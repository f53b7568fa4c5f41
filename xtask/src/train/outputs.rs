//! What a training leaves behind.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use mask_data::{Split, SplitFile};
use mask_metrics::Confusion;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    dataset::TrainingData,
    session::{EpochFigures, Trained, history_csv},
    settings::Settings,
};
use crate::{
    files::write_file,
    plot::{Curves, PlotFormat},
};

/// The lock file of this build, for the versions of what trained.
const LOCK_FILE: &str = include_str!("../../../Cargo.lock");

/// The output folder.
pub(crate) struct Outputs {
    folder: PathBuf,
    config: String,
    run: Run,
    /// What tells this training from others: pictures, split, settings and device.
    pub(crate) fingerprint: String,
}

/// What it takes to repeat a training, beside config.toml and split.json.
#[derive(Serialize)]
struct Run {
    version: &'static str,
    dataset: PathBuf,
    dataset_sha256: String,
    device: String,
    classes: Vec<String>,
    train: usize,
    validation: usize,
    without_face: usize,
    dependencies: Vec<String>,
}

#[derive(Serialize)]
struct Metrics<'a> {
    kept_epoch: usize,
    accuracy: f64,
    confusion: &'a Confusion,
    report: mask_metrics::Report,
    run: &'a Run,
    history: &'a [EpochFigures],
}

impl Outputs {
    pub(crate) fn new(
        folder: &Path,
        settings: &Settings,
        data: &TrainingData,
        split: &Split,
        device: &str,
    ) -> anyhow::Result<Self> {
        let config = toml::to_string(settings)?;
        let mut digest = Sha256::new();
        digest.update(&config);
        digest.update(&data.sha256);
        digest.update(serde_json::to_vec(&SplitFile::new(&data.set, &data.root, split))?);
        digest.update(device);
        let fingerprint = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let run = Run {
            version: env!("CARGO_PKG_VERSION"),
            dataset: data.root.clone(),
            dataset_sha256: data.sha256.clone(),
            device: device.to_owned(),
            classes: data.set.classes.clone(),
            train: split.train.len(),
            validation: split.validation.len(),
            without_face: data.without_face,
            dependencies: dependencies(),
        };
        Ok(Self { folder: folder.to_path_buf(), config, run, fingerprint })
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        write_file(&self.folder.join(name), content.as_ref())
    }

    /// Writes what is known before training.
    pub(crate) fn write_inputs(&self, data: &TrainingData, split: &Split) -> anyhow::Result<()> {
        self.write("config.toml", &self.config)?;
        let written = SplitFile::new(&data.set, &data.root, split);
        self.write("split.json", serde_json::to_string_pretty(&written)?)?;
        self.write("copies.txt", data.copies_report(split))
    }

    /// Writes the head and everything about it; shows the report.
    pub(crate) fn write_results(&self, trained: &Trained) -> anyhow::Result<()> {
        let classes = &trained.head.classes;
        let labelled = trained.validation.iter().map(|(truth, row)| (*truth, most_probable(row)));
        let confusion = Confusion::count(classes.len(), labelled);
        let report = confusion.report();
        let text = report.to_text(classes);
        let metrics = Metrics {
            kept_epoch: trained.kept_epoch,
            accuracy: confusion.accuracy(),
            confusion: &confusion,
            report,
            run: &self.run,
            history: &trained.history,
        };
        self.write("history.csv", history_csv::encode(&trained.history)?)?;
        self.write("metrics.json", serde_json::to_string_pretty(&metrics)?)?;
        self.write("report.txt", &text)?;
        let curves = curves(&trained.history);
        self.write("plot.png", curves.draw(PlotFormat::Png)?)?;
        self.write("plot.svg", curves.draw(PlotFormat::Svg)?)?;
        // The head last: where it lies, all the rest lies too.
        self.write("mask_head.bpk", trained.head.to_bytes()?)?;
        let head = self.folder.join("mask_head.bpk");
        let result = writeln!(
            io::stdout(),
            "{text}\nhead of epoch {}: {}\nuse it: mask-cli detect --head {} photo.jpg",
            trained.kept_epoch,
            head.display(),
            head.display()
        );
        match result {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Loss and accuracy over the epochs.
fn curves(history: &[EpochFigures]) -> Curves {
    let line = |name: &str, value: fn(&EpochFigures) -> f64| {
        let points = history.iter().map(|figures| (figures.epoch as f64, value(figures)));
        (name.to_owned(), points.collect::<Vec<_>>())
    };
    let lines = vec![
        line("training loss", |figures| figures.train_loss),
        line("validation loss", |figures| figures.validation_loss),
        line("training accuracy", |figures| figures.train_accuracy),
        line("validation accuracy", |figures| figures.validation_accuracy),
    ];
    let highest = lines.iter().flat_map(|(_, line)| line).fold(1.0, |most, (_, y)| y.max(most));
    let (title, last) = ("Training loss and accuracy".to_owned(), history.len().max(2) as f64);
    Curves { title, x_name: "epoch", x: 1.0..last, y: 0.0..highest, lines }
}

/// Index of the largest probability, the first of equals.
fn most_probable(row: &[f32]) -> usize {
    let indexed = row.iter().enumerate().rev();
    indexed.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
}

/// Names and versions of all packages that this program was locked to.
fn dependencies() -> Vec<String> {
    let lock: toml::Table = toml::from_str(LOCK_FILE).unwrap_or_default();
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let text = |package: &toml::Value, key: &str| {
        package.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let packages = packages.into_iter().flatten();
    packages.map(|p| format!("{} {}", text(p, "name"), text(p, "version"))).collect()
}
