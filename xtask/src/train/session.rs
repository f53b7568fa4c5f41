//! The training itself, epoch by epoch, with a checkpoint after each.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use mask_data::{Split, seed};
use mask_model::{FEATURES, Head, HeadTrainer};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{
    dataset::TrainingData,
    features::Backbone,
    settings::{Keep, Settings},
};
use crate::{
    files::write_file,
    progress::{bar, remark},
};

/// The checkpoint's name in the output folder.
pub(crate) const CHECKPOINT: &str = "checkpoint.bpk";
/// The best head so far, in the output folder.
const BEST: &str = "best.bpk";

/// An epoch's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochFigures {
    pub(crate) epoch: usize,
    pub(crate) learning_rate: f64,
    pub(crate) train_loss: f64,
    pub(crate) train_accuracy: f64,
    pub(crate) validation_loss: f64,
    pub(crate) validation_accuracy: f64,
}

/// What a checkpoint holds beside the trainer's own state.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// What data, split and settings the training is of.
    fingerprint: String,
    #[serde(with = "history_csv")]
    history: Vec<EpochFigures>,
    best_epoch: usize,
}

/// The history as CSV, whose numbers come back to the last bit; JSON's need not.
pub(super) mod history_csv {
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _,
    };

    use super::EpochFigures;

    /// A line an epoch, under a line of names.
    pub(in crate::train) fn encode(history: &[EpochFigures]) -> anyhow::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for figures in history {
            writer.serialize(figures)?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    pub(super) fn serialize<S: Serializer>(
        history: &[EpochFigures],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        encode(history).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<EpochFigures>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

/// The end of a training.
pub(crate) struct Trained {
    pub(crate) head: Head,
    pub(crate) history: Vec<EpochFigures>,
    /// The epoch, counted from 1, whose head was kept.
    pub(crate) kept_epoch: usize,
    /// True class and class probabilities of every validation sample.
    pub(crate) validation: Vec<(usize, Vec<f32>)>,
}

pub(crate) struct Session<'a> {
    settings: &'a Settings,
    data: &'a TrainingData,
    split: &'a Split,
    backbone: Backbone,
    trainer: HeadTrainer,
    progress: Progress,
    output: PathBuf,
    device: Device,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        data: &'a TrainingData,
        split: &'a Split,
        backbone: Backbone,
        output: &Path,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let classes = data.set.classes.clone();
        let mut weights = vec![1.0; classes.len()];
        if settings.selection.balance_classes {
            let mut support = vec![0usize; classes.len()];
            split.train.iter().for_each(|sample| support[data.set.samples[*sample].class] += 1);
            let mean = split.train.len() as f32 / classes.len() as f32;
            for (weight, support) in weights.iter_mut().zip(support) {
                *weight = mean / support.max(1) as f32;
            }
        }
        let steps =
            settings.training.epochs * split.train.len().div_ceil(settings.training.batch_size);
        let trainer = HeadTrainer::new(settings.training.clone(), classes, weights, steps, device);
        let (progress, output) = (Progress::default(), output.to_path_buf());
        Ok(Self {
            settings,
            data,
            split,
            backbone,
            trainer,
            progress,
            output,
            device: device.clone(),
        })
    }

    /// Goes on from the output folder's checkpoint.
    pub(crate) fn resume(&mut self, fingerprint: &str) -> anyhow::Result<()> {
        let file = self.output.join(CHECKPOINT);
        let progress = self.trainer.resume(&file)?;
        let progress: Progress = serde_json::from_str(&progress)
            .with_context(|| format!("{} is damaged; train anew", file.display()))?;
        ensure!(
            progress.fingerprint == fingerprint,
            "{}: a checkpoint of other pictures, another split or other settings; repeat them (see \
             config.toml and split.json beside it), or train anew in another folder",
            file.display()
        );
        remark(format_args!("going on after epoch {}", progress.history.len()));
        self.progress = progress;
        Ok(())
    }

    /// Trains to the end.
    pub(crate) fn run(mut self, fingerprint: &str) -> anyhow::Result<Trained> {
        self.progress.fingerprint = fingerprint.to_owned();
        let validation = self.backbone.plain(&self.split.validation)?;
        let views = self.views()?;
        let epochs = self.settings.training.epochs;
        let patience = self.settings.selection.patience;
        while self.progress.history.len() < epochs {
            let since_best = self.progress.history.len() - self.progress.best_epoch;
            if patience > 0 && since_best >= patience {
                remark(format_args!("no improvement in {patience} epochs: stopped"));
                break;
            }
            self.epoch(&views, &validation)?;
        }
        let (kept_epoch, head) = match self.settings.selection.keep {
            Keep::Last => (self.progress.history.len(), self.trainer.head()),
            _ => {
                let best = Head::load(Some(&self.output.join(BEST)), &self.device)?;
                (self.progress.best_epoch, best)
            }
        };
        let probabilities = self.probabilities(&head, &validation)?;
        let truths =
            self.split.validation.iter().map(|sample| self.data.set.samples[*sample].class);
        let validation = truths.zip(probabilities).collect();
        Ok(Trained { head, history: self.progress.history, kept_epoch, validation })
    }

    /// The kept views' features, one list a view, if views are kept.
    fn views(&self) -> anyhow::Result<Vec<Vec<f32>>> {
        let count = self.settings.data.cache_features;
        let bar = bar(count * self.split.train.len(), "features");
        let mut views = Vec::with_capacity(count);
        for view in 0..count {
            let mut features = Vec::with_capacity(self.split.train.len() * FEATURES);
            self.backbone.augmented(&self.split.train, view as u64, |batch| {
                bar.inc((batch.len() / FEATURES) as u64);
                features.extend_from_slice(batch);
                Ok(())
            })?;
            views.push(features);
        }
        bar.finish_and_clear();
        Ok(views)
    }

    fn epoch(&mut self, views: &[Vec<f32>], validation: &[f32]) -> anyhow::Result<()> {
        let training = &self.settings.training;
        let epoch = self.progress.history.len();
        // Positions in the list of training samples.
        let mut order: Vec<usize> = (0..self.split.train.len()).collect();
        order.shuffle(&mut seed::generator(seed::Purpose::Order, training.seed, epoch as u64, 0));
        let samples: Vec<usize> = order.iter().map(|at| self.split.train[*at]).collect();
        let targets: Vec<usize> =
            samples.iter().map(|sample| self.data.set.samples[*sample].class).collect();
        let bar = bar(samples.len(), &format!("epoch {}/{}", epoch + 1, training.epochs));
        let mut target_batches = targets.chunks(training.batch_size);
        let (mut loss, mut correct) = (0.0, 0);
        let trainer = &mut self.trainer;
        let mut step = |features: &[f32]| -> anyhow::Result<()> {
            let targets = target_batches.next().unwrap_or_default();
            let outcome = trainer.step(features, targets)?;
            loss += f64::from(outcome.loss) * targets.len() as f64;
            correct += outcome.correct;
            bar.inc(targets.len() as u64);
            bar.set_message(format!("loss {:.4}", outcome.loss));
            Ok(())
        };
        if views.is_empty() {
            self.backbone.augmented(&samples, epoch as u64, step)?;
        } else {
            let view = &views[epoch % views.len()];
            for batch in order.chunks(training.batch_size) {
                let rows = batch.iter().flat_map(|at| &view[at * FEATURES..(at + 1) * FEATURES]);
                step(&rows.copied().collect::<Vec<f32>>())?;
            }
        }
        bar.finish_and_clear();
        let steps = training.epochs * order.len().div_ceil(training.batch_size);
        let learning_rate = training.rate_at(self.trainer.steps_done() - 1, steps);
        let head = self.trainer.head();
        let probabilities = self.probabilities(&head, validation)?;
        let (validation_loss, validation_accuracy) = self.judge(&probabilities);
        let count = order.len() as f64;
        let figures = EpochFigures {
            epoch: epoch + 1,
            learning_rate,
            train_loss: loss / count,
            train_accuracy: correct as f64 / count,
            validation_loss,
            validation_accuracy,
        };
        remark(format_args!(
            "epoch {:3}  loss {:.4}  accuracy {:.4}  validation loss {:.4}  accuracy {:.4}",
            figures.epoch,
            figures.train_loss,
            figures.train_accuracy,
            figures.validation_loss,
            figures.validation_accuracy
        ));
        if self.is_best(&figures) {
            write_file(&self.output.join(BEST), &head.to_bytes()?)?;
            self.progress.best_epoch = figures.epoch;
        }
        self.progress.history.push(figures);
        let checkpoint = self.trainer.checkpoint(&serde_json::to_string(&self.progress)?)?;
        write_file(&self.output.join(CHECKPOINT), &checkpoint)
    }

    fn is_best(&self, figures: &EpochFigures) -> bool {
        let best = |value: fn(&EpochFigures) -> f64| {
            self.progress.history.iter().map(value).fold(f64::INFINITY, f64::min) > value(figures)
        };
        match self.settings.selection.keep {
            Keep::Last => false,
            Keep::Loss => best(|figures| figures.validation_loss),
            Keep::Accuracy => best(|figures| -figures.validation_accuracy),
        }
    }

    /// Class probabilities of features, without dropout.
    fn probabilities(&self, head: &Head, features: &[f32]) -> anyhow::Result<Vec<Vec<f32>>> {
        let count = features.len() / FEATURES;
        let data = TensorData::new(features.to_vec(), [count, FEATURES]);
        let scores = head.layers.forward(Tensor::from_data(data, &self.device));
        let values: Vec<f32> = softmax(scores, 1).try_into_vec_as()?;
        Ok(values.chunks(head.classes.len()).map(<[f32]>::to_vec).collect())
    }

    /// Mean cross-entropy and accuracy over the validation samples.
    fn judge(&self, probabilities: &[Vec<f32>]) -> (f64, f64) {
        let (mut loss, mut correct) = (0.0, 0);
        for (sample, row) in self.split.validation.iter().zip(probabilities) {
            let truth = self.data.set.samples[*sample].class;
            loss -= f64::from(row[truth].max(f32::MIN_POSITIVE)).ln();
            correct += usize::from(
                row.iter().enumerate().all(|(class, p)| class == truth || *p < row[truth]),
            );
        }
        let count = probabilities.len().max(1) as f64;
        (loss / count, correct as f64 / count)
    }
}
