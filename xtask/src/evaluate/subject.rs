//! What is judged: faces with their true classes and what was said of them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use burn::tensor::Device;
use mask_data::{
    Augmentation, DecodeLimits, PictureCache, Region, Sample, View, VocPicture, decode_file,
    load_views, read_voc, voc_folders,
};
use mask_detector::{MaskDetector, MaskDetectorConfig};
use mask_metrics::{Prediction, Scene, Truth, matches};
use mask_model::{CROP_SIDE, CropBatch, MaskClassifier, MaskClassifierConfig};
use serde::Deserialize;

use super::EvaluateArgs;
use crate::{
    progress::{bar, remark},
    train::{
        dataset,
        settings::{DataSettings, Input},
    },
};

/// A found face counts from this confidence on, as the detector's own default.
pub(super) const CONFIDENCE: f64 = 0.5;
/// The overlap at which a found face is an annotated one.
pub(super) const IOU: f64 = 0.5;
/// Faces or pictures that enter a network at once.
const BATCH: usize = 16;

/// A face or picture whose class is known, with what was said of it.
pub(super) struct Judged {
    pub(super) picture: PathBuf,
    pub(super) region: Option<Region>,
    pub(super) truth: usize,
    pub(super) probabilities: Vec<f64>,
}

/// Everything that is judged.
pub(super) struct Subject {
    pub(super) classes: Vec<String>,
    pub(super) judged: Vec<Judged>,
    /// Annotated pictures with what was found in them, of annotated sets.
    pub(super) scenes: Option<Vec<Scene>>,
    pub(super) about: String,
}

/// Classes under their names after folding.
struct Classes<'a> {
    names: Vec<String>,
    folds: &'a [(String, String)],
}

impl Classes<'_> {
    fn index(&mut self, name: &str) -> usize {
        let folded = self.folds.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to);
        self.names.iter().position(|known| known == folded).unwrap_or_else(|| {
            self.names.push(folded.to_owned());
            self.names.len() - 1
        })
    }

    /// Probabilities by this list's order, those of folded classes added.
    fn spread<'b>(&mut self, of: impl IntoIterator<Item = (&'b str, f64)>) -> Vec<f64> {
        let mut spread = vec![0.0; self.names.len()];
        for (name, probability) in of {
            let at = self.index(name);
            spread.resize(self.names.len().max(spread.len()), 0.0);
            spread[at] += probability;
        }
        spread
    }
}

/// Collects what the arguments ask for.
pub(super) fn collect(args: &EvaluateArgs) -> anyhow::Result<Subject> {
    let mut classes = Classes { names: Vec::new(), folds: &args.fold };
    let mut subject = match voc_folders(&args.dataset) {
        Some((annotations, images)) => {
            let pictures = read_voc(&annotations, &images)?;
            ensure!(!pictures.is_empty(), "{}: no annotations", annotations.display());
            annotated(args, &pictures, &mut classes)?
        }
        None if args.predictions.is_some() => {
            bail!("--predictions needs annotated photographs: a folder with images and annotations")
        }
        None => folders(args, &mut classes)?,
    };
    // Every list of probabilities knows every class, also those that turned up late.
    let count = classes.names.len();
    subject.judged.iter_mut().for_each(|judged| judged.probabilities.resize(count, 0.0));
    for scene in subject.scenes.iter_mut().flatten() {
        scene.predictions.iter_mut().for_each(|found| found.probabilities.resize(count, 0.0));
    }
    subject.classes = classes.names;
    ensure!(!subject.judged.is_empty(), "{}: no face to judge", args.dataset.display());
    Ok(subject)
}

fn head_name(args: &EvaluateArgs) -> String {
    args.head
        .as_ref()
        .map_or_else(|| "the built-in head".to_owned(), |path| path.display().to_string())
}

/// Class folders, through the classifier.
fn folders(args: &EvaluateArgs, classes: &mut Classes<'_>) -> anyhow::Result<Subject> {
    let device = args.device.open()?.device;
    let input = if args.face_crops { Input::Faces } else { Input::Whole };
    let settings = DataSettings { input, max_unreadable: 1.0, ..DataSettings::default() };
    let data = dataset::read(&args.dataset, &settings, &device)?;
    let config =
        MaskClassifierConfig { head: args.head.clone(), ..MaskClassifierConfig::default() };
    let classifier = MaskClassifier::new(config, &device)?;
    for name in classifier.classes() {
        classes.index(name);
    }
    let samples = data.shared_samples();
    let judged = classify(&classifier, &samples, &data.set.classes, classes)?;
    let about = format!(
        "{} on {} pictures of {}{}",
        head_name(args),
        judged.len(),
        args.dataset.display(),
        match input {
            Input::Faces =>
                format!(", by their faces ({} without one, taken whole)", data.without_face),
            _ => String::new(),
        }
    );
    Ok(Subject { classes: Vec::new(), judged, scenes: None, about })
}

fn classify(
    classifier: &MaskClassifier,
    samples: &Arc<Vec<Sample>>,
    truths: &[String],
    classes: &mut Classes<'_>,
) -> anyhow::Result<Vec<Judged>> {
    let bar = bar(samples.len(), "classifying");
    let cache = Arc::new(PictureCache::new(DecodeLimits::default(), 0));
    let views = (0..samples.len()).map(|sample| View { sample, epoch: 0 }).collect();
    let shape = (CROP_SIDE, BATCH, 0);
    let mut judged = Vec::with_capacity(samples.len());
    for pictures in load_views(Arc::clone(samples), cache, Augmentation::none(), views, shape) {
        let mut batch = CropBatch::default();
        for picture in pictures? {
            batch.push(&picture)?;
        }
        for row in classifier.classify_batch(batch)? {
            let Sample { picture, region, class } = samples[judged.len()].clone();
            let named = classifier.classes().iter().map(String::as_str);
            let probabilities = classes.spread(named.zip(row.into_iter().map(f64::from)));
            let truth = classes.index(&truths[class]);
            judged.push(Judged { picture, region, truth, probabilities });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(judged)
}

/// Annotated photographs, through the whole detector or from a file.
fn annotated(
    args: &EvaluateArgs,
    pictures: &[VocPicture],
    classes: &mut Classes<'_>,
) -> anyhow::Result<Subject> {
    let found = match &args.predictions {
        Some(file) => read_predictions(file, pictures, classes)?,
        None => detect(args, pictures, classes)?,
    };
    let mut scenes = Vec::with_capacity(pictures.len());
    for (picture, predictions) in pictures.iter().zip(found) {
        let truths = picture.objects.iter().map(|object| Truth {
            bounds: bounds(object.region),
            class: classes.index(&object.class),
            difficult: object.difficult,
        });
        scenes.push(Scene { truths: truths.collect(), predictions });
    }
    let faces = matches(&scenes, IOU, CONFIDENCE).into_iter();
    let judged = faces
        .map(|(scene, object, prediction)| {
            let file = &pictures[scene];
            let found = &scenes[scene].predictions[prediction];
            let [x_min, y_min, x_max, y_max] = found.bounds.map(|side| side as f32);
            Judged {
                picture: file.picture.clone().unwrap_or_else(|| file.annotation.clone()),
                region: Some(Region { x_min, y_min, x_max, y_max }),
                truth: scenes[scene].truths[object].class,
                probabilities: found.probabilities.clone(),
            }
        })
        .collect();
    let what =
        args.predictions.as_ref().map_or_else(|| head_name(args), |f| f.display().to_string());
    let about = format!("{what} on {} photographs of {}", scenes.len(), args.dataset.display());
    Ok(Subject { classes: Vec::new(), judged, scenes: Some(scenes), about })
}

fn bounds(region: Region) -> [f64; 4] {
    [region.x_min, region.y_min, region.x_max, region.y_max].map(f64::from)
}

fn detect(
    args: &EvaluateArgs,
    pictures: &[VocPicture],
    classes: &mut Classes<'_>,
) -> anyhow::Result<Vec<Vec<Prediction>>> {
    let device: Device = args.device.open()?.device;
    let mut config = MaskDetectorConfig::default();
    config.masks.head.clone_from(&args.head);
    let detector = MaskDetector::new(config, device)?;
    for name in detector.classes() {
        classes.index(name);
    }
    let bar = bar(pictures.len(), "detecting");
    let mut found = Vec::with_capacity(pictures.len());
    for picture in pictures {
        bar.inc(1);
        let Some(path) = &picture.picture else {
            remark(format_args!("skipped: {} has no picture", picture.annotation.display()));
            found.push(Vec::new());
            continue;
        };
        let faces = match decode_file(path, &DecodeLimits::default()) {
            Ok(picture) => detector.detect(&picture)?,
            Err(error) => {
                remark(format_args!("skipped: {error}"));
                Vec::new()
            }
        };
        let faces = faces.into_iter().map(|face| {
            let named = face.probabilities.iter();
            let named = named.map(|entry| (entry.class.as_str(), f64::from(entry.probability)));
            let probabilities = classes.spread(named);
            let bbox = face.face.bbox;
            let bounds = [bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max].map(f64::from);
            Prediction { bounds, confidence: face.face.confidence.into(), probabilities }
        });
        found.push(faces.collect());
    }
    bar.finish_and_clear();
    Ok(found)
}

/// A line of predictions.
#[derive(Deserialize)]
struct Line {
    image: PathBuf,
    #[serde(default)]
    faces: Vec<LineFace>,
}

#[derive(Deserialize)]
struct LineFace {
    #[serde(rename = "box")]
    bounds: Region,
    confidence: f64,
    label: String,
    #[serde(default)]
    probabilities: HashMap<String, f64>,
}

fn read_predictions(
    file: &Path,
    pictures: &[VocPicture],
    classes: &mut Classes<'_>,
) -> anyhow::Result<Vec<Vec<Prediction>>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut by_stem = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).with_context(|| {
            format!(
                "{}, line {}: no predictions as mask-cli prints them",
                file.display(),
                number + 1
            )
        })?;
        let mut found = Vec::with_capacity(line.faces.len());
        for face in line.faces {
            let mut named: Vec<_> =
                face.probabilities.iter().map(|(c, p)| (c.as_str(), *p)).collect();
            named.sort_unstable_by_key(|(class, _)| *class);
            if named.is_empty() {
                named.push((&face.label, 1.0));
            }
            let probabilities = classes.spread(named);
            let bounds = bounds(face.bounds);
            found.push(Prediction { bounds, confidence: face.confidence, probabilities });
        }
        by_stem.insert(line.image.file_stem().unwrap_or_default().to_owned(), found);
    }
    let mut absent = 0;
    let found = pictures.iter().map(|picture| {
        let stem = picture.annotation.file_stem().unwrap_or_default();
        by_stem.remove(stem).unwrap_or_else(|| {
            absent += 1;
            Vec::new()
        })
    });
    let found = found.collect();
    if absent > 0 {
        remark(format_args!("{absent} annotated pictures have no line in {}", file.display()));
    }
    Ok(found)
}
