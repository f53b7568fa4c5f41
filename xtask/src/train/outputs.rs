//! What a training leaves behind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use burn::tensor::Device;
use indicatif::ProgressBar;
use mask_data::{Dataset, Split, SplitFile};
use mask_metrics::ConfusionMatrix;
use mask_model::{HeadCheckpoint, Labels, MaskHead, WeightsSource, argmax};
use serde::Serialize;
use sha2::{Digest, Sha256};
use trainer::{EpochMetrics, Observer, StepMetrics, TrainError, history_csv};

use crate::{
    files::write_file,
    plot::{Curves, Line, PlotFormat},
    progress::{bar, print, remark},
};

/// The checkpoint's name in the output folder.
pub(crate) const CHECKPOINT: &str = "checkpoint.bpk";
/// The best head so far, in the output folder.
const BEST: &str = "best.bpk";

/// The lock file of this build, for the versions of what trained.
const LOCK_FILE: &str = include_str!("../../../Cargo.lock");

/// The output folder.
pub(crate) struct Outputs {
    folder: PathBuf,
    config: String,
    run: Run,
    /// What tells this training from others: images, split, settings and device.
    pub(crate) fingerprint: String,
}

/// SHA-256 of everything that decides a training's result.
pub(crate) struct Fingerprint(pub(crate) String);

impl Fingerprint {
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        parts.iter().for_each(|part| digest.update(part));
        Self(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The weights that a training starts from; none are the built-in ones.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StartWeights {
    file: PathBuf,
    sha256: String,
}

impl StartWeights {
    /// Reads the file, if there is one.
    pub(crate) fn of(file: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let Some(file) = file else { return Ok(None) };
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Some(Self { file: file.to_path_buf(), sha256: Fingerprint::of(&[&bytes]).0 }))
    }

    /// What tells them from others.
    pub(crate) fn fingerprint(weights: Option<&Self>) -> &[u8] {
        weights.map_or(&[], |weights| weights.sha256.as_bytes())
    }
}

/// What it takes to repeat a training, beside config.toml and split.json.
#[derive(Serialize)]
struct Run {
    version: &'static str,
    dataset: PathBuf,
    dataset_sha256: String,
    weights: Option<StartWeights>,
    device: String,
    classes: Vec<String>,
    train: usize,
    validation: usize,
    without_face: usize,
    straddling_duplicates: usize,
    dependencies: Vec<String>,
}

#[derive(Serialize)]
struct Metrics<'a> {
    kept_epoch: usize,
    accuracy: f64,
    confusion: &'a ConfusionMatrix,
    report: mask_metrics::Report,
    run: &'a Run,
    history: &'a [EpochMetrics],
}

impl Outputs {
    pub(crate) fn new(
        folder: &Path,
        settings: &impl Serialize,
        data: &Dataset,
        split: &Split,
        weights: Option<StartWeights>,
        device: &str,
    ) -> anyhow::Result<Self> {
        let config = toml::to_string(settings)?;
        let written = serde_json::to_vec(&SplitFile::new(&data.set, &data.root, split))?;
        let fingerprint = Fingerprint::of(&[
            config.as_bytes(),
            data.sha256.as_bytes(),
            &written,
            device.as_bytes(),
            StartWeights::fingerprint(weights.as_ref()),
        ])
        .0;
        let run = Run {
            version: env!("CARGO_PKG_VERSION"),
            dataset: data.root.clone(),
            dataset_sha256: data.sha256.clone(),
            weights,
            device: device.to_owned(),
            classes: data.set.classes.clone(),
            train: split.train.len(),
            validation: split.validation.len(),
            without_face: data.without_region,
            straddling_duplicates: data.straddling(split),
            dependencies: dependencies(),
        };
        Ok(Self { folder: folder.to_path_buf(), config, run, fingerprint })
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        write_file(&self.folder.join(name), content.as_ref())
    }

    /// Writes what is known before training.
    pub(crate) fn write_inputs(&self, data: &Dataset, split: &Split) -> anyhow::Result<()> {
        self.write("config.toml", &self.config)?;
        let written = SplitFile::new(&data.set, &data.root, split);
        self.write("split.json", serde_json::to_string_pretty(&written)?)?;
        self.write("copies.txt", data.duplicates_report(split))
    }

    /// Writes the trained network, under a name, and everything about it; shows the report.
    pub(crate) fn write_results(
        &self,
        classes: &[String],
        (name, network): (&str, &[u8]),
        history: &[EpochMetrics],
        kept_epoch: usize,
        validation: &[(usize, Vec<f32>)],
    ) -> anyhow::Result<()> {
        let labelled = validation.iter().map(|(truth, row)| (*truth, argmax(row)));
        let confusion = ConfusionMatrix::count(classes.len(), labelled);
        let report = confusion.report();
        let text = match self.run.straddling_duplicates {
            0 => report.to_text(classes),
            pairs => format!(
                "{}\n{pairs} pairs of duplicates straddle the split: these figures flatter\n",
                report.to_text(classes)
            ),
        };
        let metrics = Metrics {
            kept_epoch,
            accuracy: confusion.accuracy(),
            confusion: &confusion,
            report,
            run: &self.run,
            history,
        };
        self.write("history.csv", history_csv(history)?)?;
        self.write("metrics.json", serde_json::to_string_pretty(&metrics)?)?;
        self.write("report.txt", &text)?;
        let curves = curves(history, "accuracy");
        self.write("plot.png", curves.draw(PlotFormat::Png)?)?;
        self.write("plot.svg", curves.draw(PlotFormat::Svg)?)?;
        // The network last: where it lies, all the rest lies too.
        self.write(name, network)?;
        let network = self.folder.join(name);
        print(format_args!(
            "{text}\nnetwork of epoch {}: {}\nuse it: mask-cli detect --head {} photo.jpg",
            kept_epoch,
            network.display(),
            network.display()
        ))?;
        Ok(())
    }
}

/// Loss and accuracy, or what stands for it in validation, over the epochs.
pub(crate) fn curves(history: &[EpochMetrics], validation: &str) -> Curves {
    let line = |at: usize, name: &str, value: fn(&EpochMetrics) -> f64| {
        let points = history.iter().map(|metrics| (metrics.epoch as f64, value(metrics)));
        Line::new(at, name, points.collect())
    };
    let lines = vec![
        line(0, "training loss", |metrics| metrics.train_loss),
        line(1, "validation loss", |metrics| metrics.validation_loss),
        line(2, "training accuracy", |metrics| metrics.train_accuracy),
        line(3, &format!("validation {validation}"), |metrics| metrics.validation_accuracy),
    ];
    let points = lines.iter().flat_map(|line| &line.points);
    let highest = points.fold(1.0, |most: f64, (_, y)| y.max(most));
    let (title, last) = ("Training loss and accuracy".to_owned(), history.len().max(2) as f64);
    Curves { title, x_name: "epoch", x: 1.0..last, y: 0.0..highest, lines }
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

/// How a network in training is stored.
pub(crate) trait Network<M> {
    /// The bytes of its file.
    fn to_bytes(&self, network: &M) -> anyhow::Result<Vec<u8>>;

    /// Reads it back.
    fn load(&self, file: &WeightsSource) -> anyhow::Result<M>;
}

/// A head with its classes.
pub(crate) struct KeptHead {
    pub(crate) labels: Labels,
    pub(crate) device: Device,
}

impl Network<MaskHead> for KeptHead {
    fn to_bytes(&self, network: &MaskHead) -> anyhow::Result<Vec<u8>> {
        let labels = self.labels.clone();
        Ok(HeadCheckpoint { layers: network.clone(), labels }.to_bytes()?)
    }

    fn load(&self, file: &WeightsSource) -> anyhow::Result<MaskHead> {
        Ok(HeadCheckpoint::load(file, &self.device)?.layers)
    }
}

/// Keeps what training yields in the output folder and says how it goes.
pub(crate) struct Keeper<N> {
    folder: PathBuf,
    epochs: usize,
    network: N,
    progress: ProgressBar,
}

impl<N> Keeper<N> {
    pub(crate) fn new(folder: &Path, epochs: usize, network: N) -> Self {
        let progress = ProgressBar::hidden();
        Self { folder: folder.to_path_buf(), epochs, network, progress }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        write_file(&self.folder.join(name), bytes).map_err(anyhow_error)
    }
}

fn anyhow_error(error: anyhow::Error) -> TrainError {
    TrainError::Task(format!("{error:#}").into())
}

impl<M, N: Network<M>> Observer<M> for Keeper<N> {
    fn epoch_started(&mut self, epoch: usize, steps: usize) {
        self.progress = bar(steps, &format!("epoch {}/{}", epoch + 1, self.epochs));
    }

    fn step(&mut self, metrics: &StepMetrics, _samples: usize) {
        self.progress.inc(1);
        self.progress.set_message(format!("loss {:.4}", metrics.loss));
    }

    fn epoch(&mut self, metrics: &EpochMetrics) {
        self.progress.finish_and_clear();
        remark(format_args!(
            "epoch {:3}  loss {:.4}  accuracy {:.4}  validation loss {:.4}  accuracy {:.4}",
            metrics.epoch,
            metrics.train_loss,
            metrics.train_accuracy,
            metrics.validation_loss,
            metrics.validation_accuracy
        ));
    }

    fn stopped_early(&mut self, patience: usize) {
        remark(format_args!("no improvement in {patience} epochs: stopped"));
    }

    fn keep_best(&mut self, module: &M) -> Result<(), TrainError> {
        self.write(BEST, &self.network.to_bytes(module).map_err(anyhow_error)?)
    }

    fn best(&mut self) -> Result<M, TrainError> {
        let file = WeightsSource::File(self.folder.join(BEST));
        self.network.load(&file).map_err(anyhow_error)
    }

    fn checkpoint(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        self.write(CHECKPOINT, bytes)
    }
}
