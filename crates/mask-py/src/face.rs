//! A face, as Python sees it.

use mask_detector::FaceDetection;
use pyo3::{
    Bound, Py, PyAny, PyResult, Python, pyclass, pymethods,
    types::{PyDict, PyDictMethods},
};
use pythonize::pythonize;

use crate::errors::detector_error;

/// A face that was found, and its class.
#[pyclass(frozen, eq, module = "mask_detector")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Face(pub(crate) FaceDetection);

#[pymethods]
impl Face {
    /// Its box, in pixels: `(x_min, y_min, x_max, y_max)`.
    #[getter]
    fn bbox(&self) -> (f32, f32, f32, f32) {
        let bbox = self.0.bbox;
        (bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max)
    }

    /// The probability that it is a face, in [0, 1].
    #[getter]
    fn confidence(&self) -> f32 {
        self.0.score
    }

    /// The most probable class.
    #[getter]
    fn label(&self) -> &str {
        self.0.label()
    }

    /// The probability of the most probable class, in [0, 1].
    #[getter]
    fn label_probability(&self) -> f32 {
        self.0.label_probability()
    }

    /// Every class with its probability, in [0, 1].
    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let classes = PyDict::new(py);
        for (class, probability) in self.0.classes.iter().zip(&self.0.probabilities) {
            classes.set_item(class, probability)?;
        }
        Ok(classes)
    }

    /// The number of its track, where it is followed over frames.
    #[getter]
    fn track(&self) -> Option<u64> {
        self.0.track
    }

    /// As a `dict`, in the schema of the program's NDJSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        pythonize(py, &self.0.to_record()).map_err(|error| detector_error(&error))
    }

    fn __repr__(&self) -> String {
        let (left, top, right, bottom) = self.bbox();
        let track = self.0.track.map_or_else(String::new, |track| format!(", track={track}"));
        format!(
            "Face(label={:?}, label_probability={:.3}, confidence={:.3}, bbox=({left:.1}, {top:.1}, {right:.1}, {bottom:.1}){track})",
            self.0.label(),
            self.0.label_probability(),
            self.0.score,
        )
    }

    fn __hash__(&self) -> u64 {
        let (left, top, right, bottom) = self.bbox();
        let bits = [left, top, right, bottom, self.0.score].map(|value| u64::from(value.to_bits()));
        bits.into_iter().fold(self.0.class as u64, |hash, bits| hash.rotate_left(7) ^ bits)
    }
}

/// Faces as a list's items.
pub(crate) fn objects(py: Python<'_>, faces: Vec<FaceDetection>) -> PyResult<Vec<Py<Face>>> {
    faces.into_iter().map(|face| Py::new(py, Face(face))).collect()
}
