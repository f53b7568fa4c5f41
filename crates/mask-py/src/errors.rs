//! Errors as Python's exceptions, which the Python package defines.

use std::error::Error;

use image_input::{DecodeError, ImageError};
use mask_detector::DetectError;
use pyo3::{
    PyErr, Python,
    exceptions::{PyKeyboardInterrupt, PyOSError},
    types::{PyAnyMethods, PyString},
};

mod python {
    #![allow(missing_docs, reason = "documented in errors.py")]
    pyo3::import_exception!(mask_detector.errors, DetectorError);
    pyo3::import_exception!(mask_detector.errors, ImageError);
}

/// Why an image has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A file that cannot be used.
    File(ImageError),
    /// Bytes or pixels that cannot be used.
    Image(DecodeError),
    /// The networks failed.
    Networks(DetectError),
    /// Nobody wants it any more.
    Interrupted,
}

impl Failure {
    /// As an exception.
    pub(crate) fn into_exception(self, py: Python<'_>) -> PyErr {
        match self {
            Self::File(ImageError { path, problem: DecodeError::Io(error) }) => {
                let Some(code) = error.raw_os_error() else {
                    return PyOSError::new_err(format!("{}: {error}", path.display()));
                };
                // With the system's words and a file's name, Python knows a FileNotFoundError by its number.
                let words = || py.import("os")?.call_method1("strerror", (code,));
                let words = words().and_then(|words| Ok(words.cast_into::<PyString>()?.unbind()));
                match words {
                    Ok(words) => PyOSError::new_err((code, words, path.into_os_string())),
                    Err(error) => error,
                }
            }
            Self::File(error) => python::ImageError::new_err(error.to_string()),
            Self::Image(error) => python::ImageError::new_err(error.to_string()),
            Self::Networks(error) => python::DetectorError::new_err(message(&error)),
            Self::Interrupted => PyKeyboardInterrupt::new_err(()),
        }
    }
}

/// A detector that cannot be made, as an exception.
pub(crate) fn detector_error(error: &dyn Error) -> PyErr {
    python::DetectorError::new_err(message(error))
}

/// An error with what is behind it, where that says more.
fn message(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = error.source();
    }
    text
}
