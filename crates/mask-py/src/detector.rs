//! The detector, as Python sees it.

use std::{
    fmt::Display,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use image_input::{DecodeOptions, Decoded, ImageView};
use mask_detector::{
    DetectError, DeviceChoice, ImageSize, InputSize, MaskDetector, MaskDetectorConfig,
    WeightsSource,
};
use mask_track::TrackerConfig;
use pyo3::{
    Bound, Py, PyAny, PyResult, Python,
    exceptions::PyValueError,
    pyclass, pymethods,
    types::{PyAnyMethods, PyDict, PyDictMethods, PyTuple},
};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::{
    color::Color,
    detections::{Detections, Found},
    errors::{Failure, detector_error},
    pool::{Pool, lock},
    source::{Image, Source},
    tracker::Tracker,
};

/// Images that enter the networks of a GPU at once.
const GPU_BATCH: usize = 8;
/// How often a long call looks whether the user has pressed Ctrl-C.
const SIGNALS: Duration = Duration::from_millis(50);

/// Finds faces and their classes. May be shared between threads, and sent to other processes.
#[pyclass(frozen, module = "mask_detector")]
pub(crate) struct Detector {
    pub(crate) detector: Arc<MaskDetector>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) options: DecodeOptions,
    /// Of the faces that are reported.
    pub(crate) min_confidence: f32,
    input_size: InputSize,
    is_cpu: bool,
    device: String,
    /// What it was made of, for a copy in another process.
    arguments: Py<PyDict>,
}

#[pymethods]
impl Detector {
    /// Loads both networks.
    ///
    /// `device` is `auto`, `cpu`, `gpu` or `gpu:N`; `threads` share the work of all calls, as many as there are
    /// cores if none are given. The other arguments are those of the program of the same name, with its defaults.
    #[new]
    #[pyo3(signature = (
        *, device="auto", threads=None, min_confidence=None, max_iou=None, max_overlap=None, input_size=None,
        tiles=None, precision=None, face_weights=None, head=None, max_megapixels=None, strict=false
    ))]
    #[allow(clippy::too_many_arguments, reason = "Python names them")]
    fn new(
        py: Python<'_>,
        device: &str,
        threads: Option<usize>,
        min_confidence: Option<f32>,
        max_iou: Option<f32>,
        max_overlap: Option<f32>,
        input_size: Option<&str>,
        tiles: Option<u32>,
        precision: Option<&str>,
        face_weights: Option<PathBuf>,
        head: Option<PathBuf>,
        max_megapixels: Option<u64>,
        strict: bool,
    ) -> PyResult<Self> {
        let arguments = PyDict::new(py);
        arguments.set_item("device", device)?;
        arguments.set_item("threads", threads)?;
        arguments.set_item("min_confidence", min_confidence)?;
        arguments.set_item("max_iou", max_iou)?;
        arguments.set_item("max_overlap", max_overlap)?;
        arguments.set_item("input_size", input_size)?;
        arguments.set_item("tiles", tiles)?;
        arguments.set_item("precision", precision)?;
        arguments.set_item("face_weights", face_weights.clone())?;
        arguments.set_item("head", head.clone())?;
        arguments.set_item("max_megapixels", max_megapixels)?;
        arguments.set_item("strict", strict)?;

        if threads == Some(0) {
            return Err(PyValueError::new_err("threads=0: give 1 or more, or None for all cores"));
        }
        let choice: DeviceChoice = parsed("device", device)?;
        let mut config = MaskDetectorConfig::default();
        let faces = &mut config.faces;
        let thresholds = &mut faces.postprocess;
        for (name, value, threshold) in [
            ("min_confidence", min_confidence, &mut thresholds.score_threshold),
            ("max_iou", max_iou, &mut thresholds.iou_threshold),
            ("max_overlap", max_overlap, &mut thresholds.overlap_threshold),
        ] {
            *threshold = probability(name, value)?.unwrap_or(*threshold);
        }
        if let Some(size) = input_size {
            faces.input_size = parsed("input_size", size)?;
        }
        if let Some(side) = tiles
            && side < InputSize::MIN_SIDE
        {
            let least = InputSize::MIN_SIDE;
            return Err(PyValueError::new_err(format!("tiles={side}: give {least} or more")));
        }
        faces.tiles = tiles;
        // Tracks go on, and faces are blurred, with boxes that are less sure than those that are reported.
        let min_confidence = faces.postprocess.score_threshold;
        faces.postprocess.score_threshold = TrackerConfig::from_confidence(min_confidence).doubtful;
        faces.weights = WeightsSource::from(face_weights);
        config.masks.head = WeightsSource::from(head);
        let precision = precision.map(|text| parsed("precision", text)).transpose()?;
        config.faces.arithmetic = precision;
        config.masks.arithmetic = precision;
        let mut options = DecodeOptions { strict, ..DecodeOptions::default() };
        if let Some(millions) = max_megapixels {
            options.max_pixels = millions.saturating_mul(1_000_000);
        }

        let (pool, input_size) = (Pool::new(threads.unwrap_or(0)), config.faces.input_size);
        let load = || {
            let open = choice.open()?;
            config.faces.max_batch = if open.is_cpu() { 1 } else { GPU_BATCH };
            let detector = MaskDetector::new(config, &open.device)?;
            Ok((detector, open))
        };
        let loaded = py.detach(|| pool.run(load))?;
        let (detector, open) = loaded.map_err(|error: DetectError| detector_error(&error))?;
        Ok(Self {
            detector: Arc::new(detector),
            pool: Arc::new(pool),
            options,
            min_confidence,
            input_size,
            is_cpu: open.is_cpu(),
            device: open.name,
            arguments: arguments.unbind(),
        })
    }

    /// Names of the classes, in the order of the probabilities.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.detector.classes().to_vec()
    }

    /// What it runs on: `CPU`, or a GPU's name.
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    /// The faces in an image: a path, the bytes of an image file, a numpy array (uint8; height, width and 1, 3 or 4
    /// channels in the order of `color`) or an image of PIL.
    #[pyo3(signature = (image, *, color=Color::Rgb))]
    fn detect<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        color: Color,
    ) -> PyResult<Detections> {
        let source = Source::of(image, color)?;
        let image = source.image()?;
        let found = py.detach(|| self.pool.run(|| self.search(image)))?;
        let found = found.map_err(|failure| failure.into_exception(py))?;
        Ok(self.detections(found, &source))
    }

    /// The faces in each of some images, each on a thread of its own.
    ///
    /// Where an image cannot be used, its error is raised; with `errors="return"` it stands in the image's place
    /// instead.
    #[pyo3(signature = (images, *, color=Color::Rgb, errors="raise"))]
    fn detect_batch<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        color: Color,
        errors: &str,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let returns = match errors {
            "raise" => false,
            "return" => true,
            other => {
                let text = format!("errors={other:?}: valid are 'raise' and 'return'");
                return Err(PyValueError::new_err(text));
            }
        };
        let mut sources = Vec::new();
        for image in images.try_iter()? {
            match Source::of(&image?, color) {
                Ok(source) => sources.push(Ok(source)),
                Err(error) if returns => sources.push(Err(error)),
                Err(error) => return Err(error),
            }
        }
        let usable: Vec<&Source<'_>> = sources.iter().flatten().collect();
        let images = usable.iter().map(|source| source.image()).collect::<PyResult<Vec<_>>>()?;
        let mut found = self.search_all(py, &images, returns)?.into_iter();
        let result = |source: PyResult<Source<'py>>| {
            let error = match source {
                Ok(source) => match found.next().unwrap_or(Err(Failure::Interrupted)) {
                    Ok(found) => {
                        return Ok(Py::new(py, self.detections(found, &source))?.into_any());
                    }
                    Err(failure) => failure.into_exception(py),
                },
                Err(error) => error,
            };
            if returns { Ok(error.into_value(py).into_any()) } else { Err(error) }
        };
        sources.into_iter().map(result).collect()
    }

    /// What follows people over the frames of a video or a camera.
    ///
    /// Faces are looked for in every `detect_every`-th frame, and predicted between.
    #[pyo3(signature = (*, detect_every=1))]
    fn tracker(&self, detect_every: u32) -> PyResult<Tracker> {
        if detect_every == 0 {
            return Err(PyValueError::new_err("detect_every=0: give 1 or more"));
        }
        Ok(Tracker::new(self, detect_every))
    }

    /// The people in each frame, with the numbers of their tracks.
    ///
    /// `fps` frames are a second; without it, each is of the time at which it comes.
    #[pyo3(signature = (frames, *, fps=None, detect_every=1, color="rgb"))]
    fn track<'py>(
        &self,
        frames: &Bound<'py, PyAny>,
        fps: Option<f64>,
        detect_every: u32,
        color: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let track = frames.py().import("mask_detector._frames")?.getattr("track")?;
        track.call1((self.tracker(detect_every)?, frames, fps, color))
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyTuple>, Bound<'py, PyDict>) {
        (PyTuple::empty(py), self.arguments.bind(py).clone())
    }

    fn __repr__(&self) -> String {
        let Self { device, input_size, .. } = self;
        format!("Detector(device={device:?}, input_size=\"{input_size}\")")
    }
}

impl Detector {
    fn detections(&self, found: Found, source: &Source<'_>) -> Detections {
        let path = source.path().map(Into::into);
        Detections::new(found, path, self.detector.classes(), self.options)
    }

    /// Everything with one image.
    fn search(&self, image: Image<'_>) -> Result<Found, Failure> {
        let decoded = image.decode(&self.options)?;
        self.search_decoded(vec![(image, decoded)])?.pop().ok_or(Failure::Interrupted)
    }

    /// Searches images together, as a GPU wants it.
    fn search_together(&self, images: &[Image<'_>]) -> Vec<Result<Found, Failure>> {
        let decoded: Vec<Result<_, Failure>> =
            images.par_iter().map(|image| Ok((*image, image.decode(&self.options)?))).collect();
        let mut failures = Vec::with_capacity(decoded.len());
        let mut usable = Vec::with_capacity(decoded.len());
        for decoded in decoded {
            match decoded {
                Ok(decoded) => {
                    usable.push(decoded);
                    failures.push(None);
                }
                Err(failure) => failures.push(Some(failure)),
            }
        }
        let mut found = match self.search_decoded(usable) {
            Ok(found) => found.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(failure) => images.iter().map(|_| Err(failure.clone())).collect::<Vec<_>>(),
        }
        .into_iter();
        let result = |failure: Option<Failure>| match failure {
            Some(failure) => Err(failure),
            None => found.next().unwrap_or(Err(Failure::Interrupted)),
        };
        failures.into_iter().map(result).collect()
    }

    fn search_decoded(
        &self,
        images: Vec<(Image<'_>, Option<Decoded>)>,
    ) -> Result<Vec<Found>, Failure> {
        let views: Vec<ImageView<'_>> = images
            .iter()
            .filter_map(|(image, decoded)| {
                decoded.as_ref().map(|decoded| (&decoded.image).into()).or_else(|| image.pixels())
            })
            .collect();
        let mut faces = self.detector.find_faces(&views).map_err(Failure::networks)?;
        let mut regions = Vec::with_capacity(faces.len());
        for faces in &mut faces {
            regions.push(faces.iter().map(|face| face.bbox).collect::<Vec<_>>());
            faces.retain(|face| face.score >= self.min_confidence);
        }
        let faces = self.detector.classify_faces(&views, &faces).map_err(Failure::networks)?;
        let sizes: Vec<ImageSize> = views.iter().map(ImageView::size).collect();
        let found = images.into_iter().zip(sizes).zip(faces).zip(regions);
        let found = found.map(|((((_, decoded), size), faces), regions)| Found {
            width: size.width,
            height: size.height,
            faces,
            regions,
            warning: decoded.and_then(|decoded| decoded.warning),
        });
        Ok(found.collect())
    }

    /// Searches many images and looks for Ctrl-C meanwhile. Unless `all`, a failure ends it.
    fn search_all(
        &self,
        py: Python<'_>,
        images: &[Image<'_>],
        all: bool,
    ) -> PyResult<Vec<Result<Found, Failure>>> {
        let stop = AtomicBool::new(false);
        let one = |image: &Image<'_>| {
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            self.search(*image).inspect_err(|_| {
                stop.fetch_or(!all, Ordering::Relaxed);
            })
        };
        let work = || match self.is_cpu {
            // Each image has a thread from decoding to labels; those without an image help.
            true => images.par_iter().with_max_len(1).map(one).collect::<Vec<_>>(),
            false => images
                .chunks(GPU_BATCH)
                .flat_map(|images| {
                    if stop.load(Ordering::Relaxed) {
                        return images.iter().map(|_| Err(Failure::Interrupted)).collect();
                    }
                    self.search_together(images)
                })
                .collect(),
        };
        let pool = self.pool.threads()?;
        thread::scope(|scope| {
            let (sender, results) = sync_channel(1);
            // Only this thread has it, but what is done without Python's lock might be done by any.
            let results = Mutex::new(results);
            scope.spawn(move || sender.send(pool.install(work)));
            let mut interrupted = None;
            let found = loop {
                match py.detach(|| lock(&results).recv_timeout(SIGNALS)) {
                    Ok(found) => break found,
                    Err(RecvTimeoutError::Disconnected) => break Vec::new(),
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(error) = py.check_signals() {
                            interrupted = Some(error);
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            };
            // What was not begun because of a failure is not what is said.
            let failed = found.iter().find(|found| {
                matches!(found, Err(failure) if !all && !matches!(failure, Failure::Interrupted))
            });
            match (interrupted, failed) {
                (Some(error), _) => Err(error),
                (None, Some(Err(failure))) => Err(failure.clone().into_exception(py)),
                _ => Ok(found),
            }
        })
    }
}

/// A value of a text.
fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> PyResult<T> {
    text.parse().map_err(|error| PyValueError::new_err(format!("{name}={text:?}: {error}")))
}

/// A probability, if one is given.
fn probability(name: &str, value: Option<f32>) -> PyResult<Option<f32>> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(PyValueError::new_err(format!("{name}={value}: give a number from 0 to 1")))
        }
        value => Ok(value),
    }
}
