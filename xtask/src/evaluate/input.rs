//! What is evaluated: faces with their true classes and what was predicted for them.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use annotations::{AnnotatedImage, Annotations};
use anyhow::{bail, ensure};
use image_input::{DecodeOptions, decode_file};
use mask_data::{
    Augmentation, AugmentedSample, Dataset, ImageCache, LoaderConfig, Sample, class_folders,
    divided_folders, load_samples,
};
use mask_detector::{MaskClassifierConfig, MaskDetector};
use mask_metrics::{
    ClassNames, Detection, EvaluationInput, GroundTruth, ImageResult, LabeledPrediction,
    Predictions,
};
use mask_model::{Crop, INPUT_SIZE, MaskClassifier};
use mask_training::{DataSettings, Input, network_input};

use super::EvaluateArgs;
use crate::{
    progress::{bar, remark},
    train::samples,
};

/// Images that enter the classifier at once.
const BATCH: usize = 16;

/// Collects what the arguments ask for.
pub(super) fn collect(args: &EvaluateArgs) -> anyhow::Result<EvaluationInput> {
    let mut classes = ClassNames::new(&args.merge_class);
    let input = match Annotations::find(&args.dataset) {
        Some(annotations) => {
            let set = annotations.read()?;
            ensure!(!set.images.is_empty(), "{}: no annotations", args.dataset.display());
            samples::remark_dropped(&set.dropped);
            annotated(args, &set.images, &mut classes)?
        }
        None if args.face_weights.is_some() => bail!(
            "--face-weights is for photographs with boxes, and {} has class folders",
            args.dataset.display()
        ),
        None if divided_folders(&args.dataset).is_some() => bail!(
            "{}: it is divided into parts; give one of them, such as its folder for testing",
            args.dataset.display()
        ),
        None => match &args.predictions {
            Some(file) => predicted_folders(args, file, &mut classes)?,
            None => folders(args, &mut classes)?,
        },
    };
    ensure!(!input.labeled.is_empty(), "{}: no face to evaluate", args.dataset.display());
    Ok(input.with_classes(classes.names()))
}

fn head_name(args: &EvaluateArgs) -> String {
    args.head
        .as_ref()
        .map_or_else(|| "the built-in classifier".to_owned(), |path| path.display().to_string())
}

fn classifier_config(args: &EvaluateArgs) -> MaskClassifierConfig {
    let mut config = MaskClassifierConfig::default();
    config.head = args.head.as_deref().into();
    config.margin = args.margin;
    config
}

/// Class folders, through the classifier.
fn folders(args: &EvaluateArgs, classes: &mut ClassNames) -> anyhow::Result<EvaluationInput> {
    let device = args.device.open()?.device;
    let input = if args.face_crops { Input::Faces } else { Input::Whole };
    let settings = DataSettings { input, max_unreadable: 1.0, ..DataSettings::default() };
    let data = samples::read(std::slice::from_ref(&args.dataset), &settings, 1, &device)?;
    let classifier = MaskClassifier::new(classifier_config(args), &device)?;
    for name in classifier.classes().iter() {
        classes.index(name);
    }
    check_classes(args, &data.set.classes, classifier.classes())?;
    let labeled = classify(&classifier, &data, classes)?;
    let about = format!(
        "{} on {} images of {}{}",
        head_name(args),
        labeled.len(),
        args.dataset.display(),
        match input {
            Input::Faces =>
                format!(", by their faces ({} without one, taken whole)", data.without_region),
            _ => String::new(),
        }
    );
    Ok(EvaluationInput { labeled, about, ..EvaluationInput::default() })
}

/// Classes of a data set must be those that the head tells apart, or count as these.
fn check_classes(
    args: &EvaluateArgs,
    of_data: &[String],
    of_head: &[String],
) -> anyhow::Result<()> {
    let counts_as = |class: &String| {
        let merged = args.merge_class.iter().find(|(from, _)| from == class);
        merged.map_or_else(|| class.clone(), |(_, to)| to.clone())
    };
    let known: Vec<String> = of_head.iter().map(counts_as).collect();
    let unknown: Vec<&String> =
        of_data.iter().filter(|class| !known.contains(&counts_as(class))).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let nearest = |class: &str| {
        let alike =
            |head: &&String| strsim::jaro_winkler(&head.to_lowercase(), &class.to_lowercase());
        let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        format!("--merge-class '{class}={}'", nearest.map_or("", |name| name))
    };
    let flags: Vec<String> = unknown.iter().map(|class| nearest(class)).collect();
    bail!(
        "{}: its classes are {}, and the head's are {}; say which is which, for example: {}",
        args.dataset.display(),
        of_data.join(", "),
        of_head.join(", "),
        flags.join(" ")
    )
}

fn classify(
    classifier: &MaskClassifier,
    data: &Dataset,
    classes: &mut ClassNames,
) -> anyhow::Result<Vec<LabeledPrediction>> {
    let samples = data.shared_samples();
    let bar = bar(samples.len(), "classifying");
    let cache = Arc::new(ImageCache::new(DecodeOptions::default(), 0));
    let views = (0..samples.len())
        .map(|sample| AugmentedSample { sample, epoch: 0, overlay: None })
        .collect();
    let config = LoaderConfig {
        side: INPUT_SIZE,
        crop: classifier.crop(),
        augmentation: Augmentation::none(),
        seed: 0,
        batch_size: BATCH,
    };
    let mut labeled = Vec::with_capacity(samples.len());
    for images in load_samples(Arc::clone(&samples), cache, config, views) {
        for row in classifier.classify_inputs(&network_input(&images?)?)? {
            let Sample { image, region, class } = samples[labeled.len()].clone();
            let named = classifier.classes().iter().map(String::as_str);
            let probabilities = classes.probabilities(named.zip(row.into_iter().map(f64::from)));
            let truth = classes.index(&data.set.classes[class]);
            labeled.push(LabeledPrediction { image, region, truth, probabilities });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(labeled)
}

/// Class folders, by what a file says of the most confident face in each image.
fn predicted_folders(
    args: &EvaluateArgs,
    file: &Path,
    classes: &mut ClassNames,
) -> anyhow::Result<EvaluationInput> {
    let set = class_folders(&args.dataset)?;
    let mut lines = Predictions::read(file, classes)?;
    let (mut absent, mut without_face) = (0, 0);
    let mut labeled = Vec::new();
    for Sample { image, class, .. } in set.samples {
        let name = image.strip_prefix(&args.dataset).unwrap_or(&image);
        let Some(faces) = lines.take(name) else {
            absent += 1;
            continue;
        };
        let best = faces.into_iter().max_by(|a, b| a.confidence.total_cmp(&b.confidence));
        let Some(Detection { bbox, probabilities, .. }) = best else {
            without_face += 1;
            continue;
        };
        let truth = classes.index(&set.classes[class]);
        labeled.push(LabeledPrediction { image, region: Some(bbox), truth, probabilities });
    }
    if absent > 0 {
        remark(format_args!("{absent} images have no line in {}", file.display()));
    }
    let about = format!(
        "{} on {} images of {}, by their most confident faces; {without_face} without one are left \
         out",
        file.display(),
        labeled.len(),
        args.dataset.display()
    );
    Ok(EvaluationInput { labeled, about, ..EvaluationInput::default() })
}

/// Annotated photographs, through the whole detector or from a file.
fn annotated(
    args: &EvaluateArgs,
    images: &[AnnotatedImage],
    classes: &mut ClassNames,
) -> anyhow::Result<EvaluationInput> {
    let (found, crop) = match &args.predictions {
        Some(file) => (predicted(file, images, classes)?, Crop::default()),
        None => detect(args, images, classes)?,
    };
    let mut results = Vec::with_capacity(images.len());
    for (image, detections) in images.iter().zip(found) {
        let truths = image.objects.iter().map(|object| GroundTruth {
            bbox: object.bbox,
            class: classes.index(&object.class),
            difficult: object.difficult,
        });
        results.push(ImageResult { truths: truths.collect(), detections });
    }
    let files: Vec<_> = images
        .iter()
        .map(|image| image.image.clone().unwrap_or_else(|| image.annotation.clone()))
        .collect();
    let labeled = EvaluationInput::labeled_matches(&files, &results, crop);
    let what =
        args.predictions.as_ref().map_or_else(|| head_name(args), |f| f.display().to_string());
    let about = format!("{what} on {} photographs of {}", results.len(), args.dataset.display());
    Ok(EvaluationInput { labeled, images: Some(results), about, ..EvaluationInput::default() })
}

/// What a file says of annotated photographs.
fn predicted(
    file: &Path,
    images: &[AnnotatedImage],
    classes: &mut ClassNames,
) -> anyhow::Result<Vec<Vec<Detection>>> {
    let mut lines = Predictions::read(file, classes)?;
    // Annotations know the image's name, but not always its extension.
    let (found, absent) = lines.take_all(images.iter().map(|image| &*image.annotation));
    if absent > 0 {
        remark(format_args!("{absent} annotated images have no line in {}", file.display()));
    }
    Ok(found)
}

/// The faces that the detector finds, and how it crops them.
fn detect(
    args: &EvaluateArgs,
    images: &[AnnotatedImage],
    classes: &mut ClassNames,
) -> anyhow::Result<(Vec<Vec<Detection>>, Crop)> {
    let mut builder = MaskDetector::builder().device(args.device).masks(classifier_config(args));
    if let Some(file) = &args.face_weights {
        builder = builder.face_weights(file.clone());
    }
    let detector = builder.build()?;
    for name in detector.classes().iter() {
        classes.index(name);
    }
    let named: BTreeSet<String> =
        images.iter().flat_map(|image| &image.objects).map(|object| object.class.clone()).collect();
    let named: Vec<String> = named.into_iter().collect();
    check_classes(args, &named, detector.classes())?;
    let bar = bar(images.len(), "detecting");
    let mut found = Vec::with_capacity(images.len());
    for image in images {
        bar.inc(1);
        let Some(path) = &image.image else {
            remark(format_args!("skipped: {} has no image", image.annotation.display()));
            found.push(Vec::new());
            continue;
        };
        let faces = match decode_file(path, &DecodeOptions::default()) {
            Ok(decoded) => detector.detect(&decoded.image)?,
            Err(error) => {
                remark(format_args!("skipped: {error}"));
                Vec::new()
            }
        };
        let faces = faces.into_iter().map(|face| {
            let named = face.classes.iter().map(String::as_str);
            let named = named.zip(face.probabilities.iter().map(|p| f64::from(*p)));
            let probabilities = classes.probabilities(named);
            Detection { bbox: face.bbox, confidence: face.score.into(), probabilities }
        });
        found.push(faces.collect());
    }
    bar.finish_and_clear();
    Ok((found, detector.crop()))
}
