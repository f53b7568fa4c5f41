//! `cargo xtask train --network face`: from images with boxes to a face network.

use std::path::PathBuf;

use burn::tensor::Device;
use face_ssd::{
    Engine, PriorLayout, encode_weights,
    network::Res10Ssd,
    train::{FaceTask, FaceTraining},
};
use mask_data::{DatasetConfig, Scene, SceneSet, SplitFile};
use mask_metrics::average_precision;
use mask_training::{FaceImages, ignore_found};
use serde::Serialize;
use trainer::EpochMetrics;
use weights_file::{Precision, WeightsSource};

use super::{
    Started, TrainArgs, open_device, open_output,
    outputs::{Fingerprint, Keeper, Network, StartWeights, curves},
    samples::{remark_dropped, with_remedy},
};
use crate::{
    files::write_file,
    plot::PlotFormat,
    progress::{bar, print, remark},
};

/// Runs the training.
pub(crate) fn train(args: &TrainArgs) -> anyhow::Result<()> {
    let settings = args.settings.face_settings()?;
    let checkpoint = open_output(args)?;
    let (device, output) = (open_device(args)?, &args.output);
    let progress = bar(0, "reading");
    let config = DatasetConfig {
        max_unreadable: settings.data.max_unreadable,
        allow_duplicates: settings.data.allow_duplicates,
        ..DatasetConfig::default()
    };
    let data = SceneSet::open(&args.dataset, &config, &|| progress.inc(1)).map_err(with_remedy)?;
    progress.finish_and_clear();
    for error in &data.unreadable {
        remark(format_args!("skipped: {error}"));
    }
    remark_dropped(&data.dropped);
    let split = match &args.split {
        Some(file) => SplitFile::read(file)?.apply(&data.set, &data.root, file)?,
        None => {
            data.split(settings.data.validation, settings.training.seed).map_err(with_remedy)?
        }
    };
    let written = SplitFile::new(&data.set, &data.root, &split);
    let written = serde_json::to_string_pretty(&written)?;
    if let Some(path) = &args.write_split {
        write_file(path, written.as_bytes())?;
    }
    let config_text = toml::to_string(&settings)?;
    let weights = WeightsSource::from(args.weights.as_deref());
    let start = StartWeights::of(args.weights.as_deref())?;
    let fingerprint = Fingerprint::of(&[
        config_text.as_bytes(),
        data.sha256.as_bytes(),
        written.as_bytes(),
        device.name.as_bytes(),
        StartWeights::fingerprint(start.as_ref()),
    ]);
    let scenes = |images: &[usize]| -> Vec<Scene> {
        images.iter().map(|image| data.scenes[*image].clone()).collect()
    };
    let (mut train, validation) = (scenes(&split.train), scenes(&split.validation));
    let faces = |scenes: &[Scene]| scenes.iter().map(|scene| scene.faces.len()).sum::<usize>();
    remark(format_args!(
        "{} images with {} faces to learn from, {} with {} to validate on",
        train.len(),
        faces(&train),
        validation.len(),
        faces(&validation),
    ));

    let mut training =
        FaceTraining::new(settings.training.clone(), &weights, &fingerprint.0, &device.device)?;
    let progress = bar(train.len(), "looking for faces without a box");
    let (network, shown) = (training.network(), || progress.inc(1));
    let ignored = ignore_found(&mut train, &network, &settings, &device.device, &shown)?;
    progress.finish_and_clear();
    if ignored > 0 {
        remark(format_args!("{ignored} regions without a box look like faces and are ignored"));
    }
    Started { args, checkpoint: &checkpoint }.resume(|source| training.resume(source))?;
    write_file(&output.join("config.toml"), config_text.as_bytes())?;
    write_file(&output.join("split.json"), written.as_bytes())?;

    let (cache, shown) = (args.image_cache << 20, bar(validation.len(), "validation"));
    let count = validation.len().max(1) as u64;
    let progress = Box::new(move || shown.set_position((shown.position() + 1) % count));
    let source = FaceImages::new(train, validation, &settings, cache, &device.device, progress)?;
    let task = FaceTask::new(
        settings.training.clone(),
        &training.network(),
        source,
        Engine::default(),
        &device.device,
    )?;
    let saved = FaceNetwork { priors: settings.training.priors, device: device.device.clone() };
    let mut keeper = Keeper::new(output, settings.training.epochs, saved);
    let fitted = training.run(&task, &mut keeper)?;

    let images = task.source().results(&fitted.module)?;
    let metrics = FaceMetrics {
        version: env!("CARGO_PKG_VERSION"),
        fingerprint: fingerprint.0,
        dataset: args.dataset.clone(),
        dataset_sha256: data.sha256.clone(),
        weights: start,
        device: device.name.clone(),
        train: split.train.len(),
        validation: split.validation.len(),
        ignored_regions: ignored,
        average_precision: average_precision(&images, None, 0.5).unwrap_or_default(),
        history: fitted.history,
    };
    let report = format!(
        "average precision at IoU 0.5 on {} validation images: {:.4}\n",
        metrics.validation, metrics.average_precision
    );
    let curves = curves(&metrics.history, "average precision");
    write_file(&output.join("history.csv"), trainer::history_csv(&metrics.history)?.as_bytes())?;
    write_file(&output.join("metrics.json"), serde_json::to_string_pretty(&metrics)?.as_bytes())?;
    write_file(&output.join("report.txt"), report.as_bytes())?;
    write_file(&output.join("plot.png"), &curves.draw(PlotFormat::Png)?)?;
    write_file(&output.join("plot.svg"), &curves.draw(PlotFormat::Svg)?)?;
    let network = output.join("res10_ssd.bpk");
    write_file(
        &network,
        &encode_weights(&fitted.module, settings.training.priors, Precision::F32)?,
    )?;
    print(format_args!(
        "{report}face network: {}\nuse it: mask-cli detect --face-weights {} photo.jpg",
        network.display(),
        network.display()
    ))?;
    Ok(())
}

/// What is known of a training afterwards.
#[derive(Serialize)]
struct FaceMetrics {
    version: &'static str,
    fingerprint: String,
    dataset: Vec<PathBuf>,
    dataset_sha256: String,
    weights: Option<StartWeights>,
    device: String,
    train: usize,
    validation: usize,
    ignored_regions: usize,
    average_precision: f64,
    history: Vec<EpochMetrics>,
}

/// How the network is kept while it is trained.
struct FaceNetwork {
    priors: PriorLayout,
    device: Device,
}

impl Network<Res10Ssd> for FaceNetwork {
    fn to_bytes(&self, network: &Res10Ssd) -> anyhow::Result<Vec<u8>> {
        Ok(encode_weights(network, self.priors, Precision::F32)?)
    }

    fn load(&self, file: &WeightsSource) -> anyhow::Result<Res10Ssd> {
        Ok(Res10Ssd::load(file, &self.device)?.0)
    }
}
