//! `mask_detector._native`: the detector as Python sees it.
//!
//! Here stand only the ways from Python's values to the detector's and back. No thread of a detector holds
//! Python's lock while it works.

mod color;
mod detections;
mod detector;
mod drawing;
mod errors;
mod face;
mod pool;
mod source;
mod tracker;

/// What the Python package is made of.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use pyo3::{prelude::*, types::PyModule};

    #[pymodule_export]
    use crate::{
        detections::Detections, detector::Detector, drawing::encode_jpeg, face::Face,
        source::is_image_name, tracker::Tracker,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
