//! The networks as the arguments want them.

use std::fmt::Display;

use anyhow::Context;
use mask_detector::{
    Arithmetic, DetectError, FaceSsdError, MaskDetector, MaskDetectorConfig, MaskModelError,
    OpenDevice, WeightsSource,
};

use crate::args::DetectorArgs;

/// Images that enter the networks of a GPU at once, if nobody says otherwise.
pub(crate) const GPU_BATCH: usize = 8;

/// Starts as many threads as are asked for.
///
/// # Errors
/// If they cannot be started.
pub(crate) fn start_threads(args: &DetectorArgs) -> anyhow::Result<()> {
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into());
        pool.build_global().context("cannot start the threads")?;
    }
    Ok(())
}

/// Opens the device; `report` hears why it is another than one might think.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open_device(
    args: &DetectorArgs,
    report: impl FnOnce(&dyn Display),
) -> anyhow::Result<OpenDevice> {
    let open = args
        .device
        .open()
        .map_err(|error| anyhow::anyhow!("{error}; try another --device, such as cpu"))?;
    if let Some(reason) = &open.fallback {
        report(&format_args!("running on the CPU: {reason}"));
    }
    Ok(open)
}

/// The networks' settings.
pub(crate) fn config(args: &DetectorArgs) -> MaskDetectorConfig {
    let mut config = MaskDetectorConfig::default();
    config.faces.input_size = args.input_size;
    if let Some(layout) = args.prior_layout {
        config.faces = config.faces.with_prior_layout(layout);
    }
    config.faces.postprocess.score_threshold = args.min_confidence;
    config.faces.postprocess.iou_threshold = args.max_iou;
    config.faces.postprocess.overlap_threshold = args.max_overlap;
    config.faces.tiles = args.tiles;
    config.faces.weights = WeightsSource::from(args.face_weights.as_deref());
    config.faces.engine = args.engine;
    config.faces.arithmetic = args.precision;
    config.masks.head = WeightsSource::from(args.head.as_deref());
    config.masks.engine = args.engine;
    config.masks.arithmetic = args.precision;
    config
}

/// Loads the networks.
///
/// # Errors
/// If their weights cannot be used, or not as the arguments want it.
pub(crate) fn load(
    args: &DetectorArgs,
    config: MaskDetectorConfig,
    open: &OpenDevice,
) -> anyhow::Result<MaskDetector> {
    MaskDetector::new(config, &open.device).map_err(|error| {
        let unprepared = matches!(
            error,
            DetectError::Faces(FaceSsdError::Compile(_))
                | DetectError::Masks(MaskModelError::Compile(_))
        );
        let error = anyhow::Error::from(error);
        match args.precision {
            Some(Arithmetic::Int8) if unprepared => anyhow::anyhow!(
                "{error:#}; leave --precision out, or see cargo xtask calibrate --help"
            ),
            _ => error,
        }
    })
}
