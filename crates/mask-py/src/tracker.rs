//! People followed over frames.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use image_input::{DecodeOptions, ImageView};
use mask_detector::MaskDetector;
use mask_stream::{Analysis, AnalysisConfig};
use mask_track::TrackerConfig;
use pyo3::{
    Bound, PyAny, PyResult, Python,
    exceptions::PyValueError,
    pyclass, pymethods,
    types::{PyDict, PyDictMethods},
};

use crate::{
    color::Color,
    detections::{Detections, Found},
    detector::Detector,
    errors::Failure,
    pool::{Pool, lock},
    source::Source,
};

/// Follows people from frame to frame; made by `Detector.tracker`.
#[pyclass(frozen, module = "mask_detector")]
pub(crate) struct Tracker {
    analysis: Mutex<Analysis<Arc<MaskDetector>>>,
    detector: Arc<MaskDetector>,
    pool: Arc<Pool>,
    options: DecodeOptions,
    times: Mutex<Times>,
}

/// When the frames were.
#[derive(Default)]
struct Times {
    first: Option<Instant>,
    last: f64,
}

impl Tracker {
    pub(crate) fn new(detector: &Detector, detect_every: u32) -> Self {
        let tracker = TrackerConfig::from_confidence(detector.min_confidence);
        let config = AnalysisConfig { detect_every, tracker, ..AnalysisConfig::default() };
        let Detector { detector, pool, options, .. } = detector;
        Self {
            analysis: Mutex::new(Analysis::new(Arc::clone(detector), config)),
            detector: Arc::clone(detector),
            pool: Arc::clone(pool),
            options: *options,
            times: Mutex::default(),
        }
    }
}

#[pymethods]
impl Tracker {
    /// The people in the next frame, with the numbers of their tracks.
    ///
    /// `time` is in seconds and must not go back; without it, a frame is of now.
    #[pyo3(signature = (frame, time=None, *, color=Color::Rgb))]
    fn update<'py>(
        &self,
        py: Python<'py>,
        frame: &Bound<'py, PyAny>,
        time: Option<f64>,
        color: Color,
    ) -> PyResult<Detections> {
        let source = Source::of(frame, color)?;
        let image = source.image()?;
        let time = {
            let mut times = lock(&self.times);
            let first = *times.first.get_or_insert_with(Instant::now);
            let time = time.unwrap_or_else(|| first.elapsed().as_secs_f64());
            if !time.is_finite() || time < times.last {
                return Err(PyValueError::new_err(format!(
                    "time={time}: the frame before was of {} s; times are seconds and do not go back",
                    times.last
                )));
            }
            times.last = time;
            time
        };
        let found = py.detach(|| {
            self.pool.run(|| -> Result<Found, Failure> {
                let decoded = image.decode(&self.options)?;
                let decoded = decoded.as_ref();
                let view =
                    decoded.map(|decoded| (&decoded.image).into()).or_else(|| image.pixels());
                let view: ImageView<'_> = view.ok_or(Failure::Interrupted)?;
                let warning = decoded.and_then(|decoded| decoded.warning.clone());
                let size = view.size();
                let mut analysis = lock(&self.analysis);
                let faces = analysis.process(view, time).map_err(Failure::networks)?;
                let regions = analysis.regions();
                Ok(Found { width: size.width, height: size.height, faces, regions, warning })
            })
        })?;
        let found = found.map_err(|failure| failure.into_exception(py))?;
        let path = source.path().map(Into::into);
        Ok(Detections::new(found, path, self.detector.classes(), self.options))
    }

    /// How many different people there were so far, by the last label of each.
    #[getter]
    fn people<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        // The lock is held by who does not hold Python's.
        let people = py.detach(|| lock(&self.analysis).people().all());
        let counts = PyDict::new(py);
        for (class, count) in self.detector.classes().iter().zip(people) {
            counts.set_item(class, count)?;
        }
        Ok(counts)
    }
}
