//! The faces of an image, as Python sees them.

use std::{path::PathBuf, sync::Arc};

use detection_schema::{ImageRecord, Outcome};
use image::RgbImage;
use image_input::DecodeOptions;
use mask_detector::{Annotator, BoundingBox, FaceDetection, LabelText, blur_faces};
use numpy::{PyArray1, PyArray2, PyArray3};
use pyo3::{
    Bound, Py, PyAny, PyResult, Python,
    exceptions::{PyIndexError, PyValueError},
    pyclass, pymethods,
    types::{PyAnyMethods, PyDict, PyDictMethods, PySlice, PyTuple},
};
use pythonize::pythonize;

use crate::{
    color::Color,
    drawing::array,
    errors::{Failure, detector_error},
    face::{Face, objects},
    source::Source,
};

/// What was found in an image.
pub(crate) struct Found {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The faces from the least confidence on that was asked for.
    pub(crate) faces: Vec<FaceDetection>,
    /// Every box that was found, also of less confidence.
    pub(crate) regions: Vec<BoundingBox>,
    /// What was repaired.
    pub(crate) warning: Option<String>,
}

/// The faces of an image, highest confidence first: a sequence of `Face`.
#[pyclass(frozen, sequence, module = "mask_detector")]
pub(crate) struct Detections {
    found: Found,
    path: Option<PathBuf>,
    classes: Arc<[String]>,
    options: DecodeOptions,
}

impl Detections {
    pub(crate) fn new(
        found: Found,
        path: Option<PathBuf>,
        classes: &Arc<[String]>,
        options: DecodeOptions,
    ) -> Self {
        Self { found, path, classes: Arc::clone(classes), options }
    }

    fn record(&self) -> ImageRecord {
        let Found { width, height, faces, warning, .. } = &self.found;
        ImageRecord {
            image: self.image().unwrap_or_default(),
            outcome: Outcome::Faces {
                width: *width,
                height: *height,
                faces: faces.iter().map(FaceDetection::to_record).collect(),
                warning: warning.clone(),
                drawn: None,
            },
        }
    }

    /// Rows of a number a face.
    fn rows<'py>(
        &self,
        py: Python<'py>,
        columns: usize,
        row: impl Fn(&FaceDetection) -> Vec<f32>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let faces = &self.found.faces;
        let rows: Vec<f32> = faces.iter().flat_map(row).collect();
        let array = numpy::ndarray::Array2::from_shape_vec((faces.len(), columns), rows);
        let array = array.map_err(|error| detector_error(&error))?;
        Ok(PyArray2::from_owned_array(py, array))
    }
}

#[pymethods]
impl Detections {
    /// The path of the image, if it is a file.
    #[getter]
    fn image(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.to_string_lossy().into_owned())
    }

    /// Width of the upright image in pixels.
    #[getter]
    fn width(&self) -> u32 {
        self.found.width
    }

    /// Height of the upright image in pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.found.height
    }

    /// What was wrong with the file and was repaired.
    #[getter]
    fn warning(&self) -> Option<&str> {
        self.found.warning.as_deref()
    }

    /// Names of the classes, in the order of `probabilities` and `class_ids`.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.classes.to_vec()
    }

    /// The boxes in pixels, x_min, y_min, x_max and y_max: float32, (faces, 4).
    #[getter]
    fn boxes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.rows(py, 4, |face| {
            let bbox = face.bbox;
            vec![bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max]
        })
    }

    /// The probability of each that it is a face: float32, (faces,).
    #[getter]
    fn confidences<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_iter(py, self.found.faces.iter().map(|face| face.score))
    }

    /// The probabilities of the classes: float32, (faces, classes).
    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.rows(py, self.classes.len(), |face| face.probabilities.clone())
    }

    /// The number of each one's class in `classes`: int64, (faces,).
    #[getter]
    fn class_ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.found.faces.iter().map(|face| face.class as i64))
    }

    /// The name of each one's class.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.found.faces.iter().map(|face| face.label().to_owned()).collect()
    }

    /// As a `dict`, in the schema of the program's NDJSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        pythonize(py, &self.record()).map_err(|error| detector_error(&error))
    }

    /// As a line of the program's NDJSON.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.record()).map_err(|error| detector_error(&error))
    }

    /// A flat `dict` for each face, the columns of the program's CSV: `pandas.DataFrame(detections.to_records())`.
    fn to_records<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let row = |face: &FaceDetection| {
            let (row, bbox) = (PyDict::new(py), face.bbox);
            row.set_item("image", self.image())?;
            row.set_item("width", self.found.width)?;
            row.set_item("height", self.found.height)?;
            row.set_item("x_min", bbox.x_min)?;
            row.set_item("y_min", bbox.y_min)?;
            row.set_item("x_max", bbox.x_max)?;
            row.set_item("y_max", bbox.y_max)?;
            row.set_item("confidence", face.score)?;
            row.set_item("label", face.label())?;
            for (class, probability) in self.classes.iter().zip(&face.probabilities) {
                row.set_item(class, probability)?;
            }
            if let Some(track) = face.track {
                row.set_item("track", track)?;
            }
            Ok(row)
        };
        self.found.faces.iter().map(row).collect()
    }

    /// The image with boxes and labels: uint8, (height, width, 3), channels in the order of `color`.
    ///
    /// `image` is what was searched; it can be left out where that is a file. `labels` is `full`, `class` or
    /// `none`; `blur` makes the faces unrecognisable.
    #[pyo3(signature = (image=None, *, color=Color::Rgb, labels="full", line_width=None, blur=false))]
    fn draw<'py>(
        &self,
        py: Python<'py>,
        image: Option<&Bound<'py, PyAny>>,
        color: Color,
        labels: &str,
        line_width: Option<u32>,
        blur: bool,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let text = match labels {
            "full" => LabelText::Full,
            "class" => LabelText::Class,
            "none" => LabelText::None,
            other => {
                return Err(PyValueError::new_err(format!(
                    "labels={other:?}: valid are 'full', 'class' and 'none'"
                )));
            }
        };
        let source = match (image, &self.path) {
            (Some(image), _) => Source::of(image, color)?,
            (None, Some(path)) => Source::File(path.clone()),
            (None, None) => {
                return Err(PyValueError::new_err(
                    "give the image that was searched: it is not kept",
                ));
            }
        };
        let annotator = Annotator::new(&self.classes).map_err(|error| detector_error(&error))?;
        let mut annotator = annotator.with_labels(text);
        if let Some(pixels) = line_width {
            annotator = annotator.with_line_width(pixels);
        }
        let image = source.image()?;
        let draw = || -> Result<RgbImage, Failure> {
            let decoded = image.decode(&self.options)?.map(|decoded| decoded.image);
            let mut pixels = decoded
                .or_else(|| image.pixels().map(|view| view.to_rgb()))
                .ok_or(Failure::Interrupted)?;
            if blur {
                blur_faces(&mut pixels, self.found.regions.iter().copied());
            }
            annotator.draw(&mut pixels, &self.found.faces);
            Ok(pixels)
        };
        let drawn = py.detach(draw).map_err(|failure| failure.into_exception(py))?;
        let size = (drawn.width(), drawn.height());
        if size != (self.found.width, self.found.height) {
            return Err(PyValueError::new_err(format!(
                "the image has {} x {} pixels, but {} x {} were searched",
                size.0, size.1, self.found.width, self.found.height
            )));
        }
        array(py, drawn, color)
    }

    fn _repr_html_<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("mask_detector._notebook")?.call_method1("html", (slf,))
    }

    fn __len__(&self) -> usize {
        self.found.faces.len()
    }

    fn __bool__(&self) -> bool {
        !self.found.faces.is_empty()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let faces = &self.found.faces;
        if index.is_instance_of::<PySlice>() {
            let all = PyTuple::new(py, objects(py, faces.clone())?)?;
            return all.get_item(index);
        }
        let number: isize = index.extract()?;
        let at = if number < 0 { number + faces.len().cast_signed() } else { number };
        let face = usize::try_from(at).ok().and_then(|at| faces.get(at));
        let face =
            face.ok_or_else(|| PyIndexError::new_err(format!("there are {} faces", faces.len())))?;
        Ok(Py::new(py, Face(face.clone()))?.into_bound(py).into_any())
    }

    fn __repr__(&self) -> String {
        let image = self.image().map_or_else(String::new, |path| format!("{path:?}, "));
        let Found { width, height, faces, .. } = &self.found;
        let labels: Vec<&str> = faces.iter().map(FaceDetection::label).collect();
        format!("Detections({image}{width} x {height}, {} faces: {labels:?})", faces.len())
    }
}
