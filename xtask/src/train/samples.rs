//! Data sets for heads, with what a user is told of them.

use std::path::PathBuf;

use anyhow::anyhow;
use burn::tensor::Device;
use face_ssd::{FaceDetector, FaceDetectorConfig};
use mask_data::{Dataset, DatasetConfig, DatasetError, SampleRegions};
use mask_training::{DataSettings, Input};

use crate::progress::{bar, remark};

/// Reads a data set of at least so many classes and, if asked for, finds the faces in its images.
pub(crate) fn read(
    roots: &[PathBuf],
    settings: &DataSettings,
    min_classes: usize,
    device: &Device,
) -> anyhow::Result<Dataset> {
    let config = DatasetConfig {
        max_unreadable: settings.max_unreadable,
        duplicate_distance: settings.copy_distance,
        difficult: settings.difficult,
        allow_duplicates: settings.allow_duplicates,
        min_classes,
    };
    let progress = bar(0, "reading");
    let dataset = Dataset::open_all(roots, &config, &|| progress.inc(1)).map_err(with_remedy)?;
    progress.finish_and_clear();
    for error in &dataset.unreadable {
        remark(format_args!("skipped: {error}"));
    }
    remark_dropped(&dataset.dropped);
    let regions = match settings.input {
        Input::Whole => return Ok(dataset),
        Input::Faces => SampleRegions::Found,
        Input::Both => SampleRegions::Both,
    };
    let detector = FaceDetector::new(FaceDetectorConfig::default(), device)?;
    let progress = bar(dataset.set.samples.len(), "faces");
    let dataset = dataset.with_regions(regions, |image| {
        progress.inc(1);
        let faces = detector.detect(image)?;
        Ok::<_, face_ssd::FaceSsdError>(faces.first().map(|face| face.bbox))
    })?;
    progress.finish_and_clear();
    Ok(dataset)
}

/// Says once which boxes are left out.
pub(crate) fn remark_dropped(dropped: &[String]) {
    for line in dropped {
        remark(format_args!("left out: {line}"));
    }
}

/// The error, with the flags that help.
pub(crate) fn with_remedy(error: DatasetError) -> anyhow::Error {
    match &error {
        DatasetError::TooManyUnreadable { .. } => {
            anyhow!("{error}; remove them or raise --max-unreadable")
        }
        DatasetError::TooFew { .. } => {
            anyhow!(
                "{error}, because copies stay together; add images of other occasions, name those of both \
                 parts with --split, or give --allow-duplicates, whose figures flatter"
            )
        }
        _ => error.into(),
    }
}
