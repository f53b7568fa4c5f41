//! The samples of a training: listed, read, grouped, divided.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use burn::tensor::Device;
use face_ssd::{FaceDetector, FaceDetectorConfig};
use mask_data::{
    Copies, DecodeLimits, LabelledSet, PictureCache, Region, Sample, ScannedSet, Split, SplitFile,
    VocCrops, class_folders, find_copies, grouped_split, read_voc, scan, voc_folders, voc_samples,
};
use rayon::prelude::*;

use super::settings::{DataSettings, Input};
use crate::progress::{bar, remark};

/// Samples ready for training.
pub(crate) struct TrainingData {
    pub(crate) root: PathBuf,
    pub(crate) set: LabelledSet,
    pub(crate) copies: Copies,
    pub(crate) sha256: String,
    /// Pictures in which the detector found no face, if it was asked.
    pub(crate) without_face: usize,
}

/// Lists the samples of a data set: class folders, or annotations in VOC's layout.
pub(crate) fn list(root: &Path, settings: &DataSettings) -> anyhow::Result<LabelledSet> {
    let Some((annotations, images)) = voc_folders(root) else {
        return Ok(class_folders(root)?);
    };
    let crops = VocCrops { margin: settings.margin, difficult: settings.difficult };
    Ok(voc_samples(root, &read_voc(&annotations, &images)?, crops)?)
}

/// Lists and reads a data set.
pub(crate) fn read(
    root: &Path,
    settings: &DataSettings,
    device: &Device,
) -> anyhow::Result<TrainingData> {
    let listed = list(root, settings)?;
    let bar_ = bar(listed.samples.len(), "reading");
    let limits = DecodeLimits::default();
    let scanned = scan(root, listed, &limits, settings.max_unreadable, &|| bar_.inc(1))?;
    bar_.finish_and_clear();
    for error in &scanned.unreadable {
        remark(format_args!("skipped: {error}"));
    }
    let sha256 = scanned.sha256(root);
    let (scanned, without_face) = match settings.input {
        Input::Whole => (scanned, 0),
        input => with_faces(scanned, input, device)?,
    };
    let copies = find_copies(&scanned, settings.copy_distance);
    Ok(TrainingData { root: root.to_path_buf(), set: scanned.set, copies, sha256, without_face })
}

/// Replaces whole pictures by the faces in them, or adds those.
fn with_faces(
    scanned: ScannedSet,
    input: Input,
    device: &Device,
) -> anyhow::Result<(ScannedSet, usize)> {
    let detector = FaceDetector::new(FaceDetectorConfig::default(), device)?;
    let cache = PictureCache::new(DecodeLimits::default(), 0);
    let bar = bar(scanned.set.samples.len(), "faces");
    let find = |sample: &Sample| -> anyhow::Result<Option<Region>> {
        bar.inc(1);
        if sample.region.is_some() {
            return Ok(sample.region);
        }
        let faces = detector.detect(&*cache.get(&sample.picture)?)?;
        let best = faces.iter().max_by(|a, b| a.confidence.total_cmp(&b.confidence));
        Ok(best.map(|face| {
            let bounds = face.bbox;
            let (x_min, y_min) = (bounds.x_min, bounds.y_min);
            Region { x_min, y_min, x_max: bounds.x_max, y_max: bounds.y_max }
        }))
    };
    let regions: Vec<_> =
        scanned.set.samples.par_iter().map(find).collect::<Result<Vec<_>, _>>()?;
    bar.finish_and_clear();
    let mut without_face = 0;
    let ScannedSet { set, facts, unreadable } = scanned;
    let (mut samples, mut all_facts) = (Vec::new(), Vec::new());
    for ((sample, facts), region) in set.samples.into_iter().zip(facts).zip(regions) {
        without_face += usize::from(region.is_none());
        let whole = input == Input::Both && sample.region.is_none() && region.is_some();
        if whole {
            samples.push(sample.clone());
            all_facts.push(facts.clone());
        }
        samples.push(Sample { region, ..sample });
        all_facts.push(facts);
    }
    let set = LabelledSet { classes: set.classes, samples };
    Ok((ScannedSet { set, facts: all_facts, unreadable }, without_face))
}

impl TrainingData {
    /// Divides the samples, as a file says or by chance.
    pub(crate) fn split(
        &self,
        file: Option<&Path>,
        settings: &DataSettings,
        seed: u64,
    ) -> anyhow::Result<Split> {
        if let Some(file) = file {
            return Ok(SplitFile::read(file)?.apply(&self.set, &self.root, file)?);
        }
        let classes: Vec<usize> = self.set.samples.iter().map(|sample| sample.class).collect();
        let split = grouped_split(&classes, &self.copies.groups, settings.validation, seed);
        for (side, samples) in [("training", &split.train), ("validation", &split.validation)] {
            for (class, name) in self.set.classes.iter().enumerate() {
                samples.iter().find(|sample| classes[**sample] == class).with_context(|| {
                    format!(
                        "{}: class `{name}` has too few pictures that are no copies of each other: \
                         none is left for {side}; add some, or name the pictures with --split",
                        self.root.display()
                    )
                })?;
            }
        }
        Ok(split)
    }

    /// The copies in text: contradicting labels first, and how many straddle the split.
    pub(crate) fn copies_report(&self, split: &Split) -> String {
        let mut text = String::new();
        let pairs = &self.copies.pairs;
        let count =
            |of: &dyn Fn(&mask_data::CopyPair) -> bool| pairs.iter().filter(|p| of(p)).count();
        let side = |sample: &usize| split.validation.binary_search(sample).is_ok();
        let straddling = |pair: &mask_data::CopyPair| side(&pair.first) != side(&pair.second);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} pairs of copies: {} exact, {} near; {} with contradicting labels; {} straddle the split.",
            pairs.len(),
            count(&|pair| pair.exact),
            count(&|pair| !pair.exact),
            count(&|pair| pair.contradicting),
            count(&straddling),
        );
        for pair in pairs {
            let kind = if pair.exact { "exact" } else { "near" };
            let labels = if pair.contradicting { "CONTRADICTING" } else { "same label" };
            let [first, second] =
                [pair.first, pair.second].map(|s| self.set.samples[s].picture.display());
            let distance = pair.distance;
            let _ = writeln!(text, "{labels}\t{kind}\t{distance} bits\t{first}\t{second}");
        }
        text
    }

    /// The samples, for loaders.
    pub(crate) fn shared_samples(&self) -> Arc<Vec<Sample>> {
        Arc::new(self.set.samples.clone())
    }
}
