//! `cargo xtask train --unfreeze N`: a head together with the last blocks of its backbone.

use burn::tensor::Device;
use mask_model::{
    ClassifierCheckpoint, ClassifierNetwork, ClassifierTask, ClassifierTraining, Engine, Labels,
    WeightsSource,
};
use mask_training::CropImages;
use weights_file::Precision;

use super::{
    Started, TrainArgs, open_device, open_output,
    outputs::{Keeper, Network, Outputs, StartWeights},
    samples,
};
use crate::files::write_file;

/// The name of what is made, in the output folder.
const FILE: &str = "mask_classifier.bpk";

/// Runs the training.
pub(crate) fn train(args: &TrainArgs) -> anyhow::Result<()> {
    let settings = args.settings.classifier_settings()?;
    let checkpoint = open_output(args)?;
    let (device, output) = (open_device(args)?, &args.output);
    let data = samples::read(&args.dataset, &settings.data, 2, &device.device)?;
    let seed = settings.training.seed;
    let split = super::divide(args, &data, settings.data.validation, seed)?;
    let start = StartWeights::of(args.weights.as_deref())?;
    let files = Outputs::new(output, &settings, &data, &split, start, &device.name)?;
    let backbone = WeightsSource::from(args.weights.as_deref());
    let mut training = ClassifierTraining::new(
        settings.training.clone(),
        &data.set.classes,
        &backbone,
        &files.fingerprint,
        &device.device,
    )?;
    Started { args, checkpoint: &checkpoint }.resume(|source| training.resume(source))?;
    files.write_inputs(&data, &split)?;

    let images = CropImages::new(&data, &split, &settings, args.image_cache << 20, &device.device)?;
    let network = training.network();
    let config = settings.training.clone();
    let task = ClassifierTask::new(config, &network, images, Engine::default(), &device.device)?;
    let classes = data.set.classes.clone();
    let labels = Labels { classes, crop: settings.data.crop(), temperature: 1.0 };
    let kept = KeptClassifier { labels: labels.clone(), device: device.device.clone() };
    let mut keeper = Keeper::new(output, settings.training.epochs, kept);
    let fitted = training.run(&task, &mut keeper)?;

    let mut validation = task.source().probabilities(&fitted.module)?;
    let labels = labels.calibrated(&mut validation);
    let doubtful = task.source().doubtful(&validation);
    write_file(&output.join("doubtful.txt"), doubtful.as_bytes())?;
    let network = ClassifierCheckpoint { network: fitted.module, labels, input_ranges: None };
    let bytes = network.to_bytes(Precision::F32)?;
    let written = (FILE, bytes.as_slice());
    files.write_results(
        &network.labels.classes,
        written,
        &fitted.history,
        fitted.kept_epoch,
        &validation,
    )
}

/// How the network is kept while it is trained.
struct KeptClassifier {
    labels: Labels,
    device: Device,
}

impl Network<ClassifierNetwork> for KeptClassifier {
    fn to_bytes(&self, network: &ClassifierNetwork) -> anyhow::Result<Vec<u8>> {
        let labels = self.labels.clone();
        let checkpoint =
            ClassifierCheckpoint { network: network.clone(), labels, input_ranges: None };
        Ok(checkpoint.to_bytes(Precision::F32)?)
    }

    fn load(&self, file: &WeightsSource) -> anyhow::Result<ClassifierNetwork> {
        let embedded = WeightsSource::Embedded;
        Ok(ClassifierCheckpoint::load(&embedded, file, &self.device)?.network)
    }
}
