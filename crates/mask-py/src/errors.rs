//! Errors as Python's exceptions, which the Python package defines.

use std::{error::Error, path::PathBuf};

use image_input::{DecodeError, ImageError};
use mask_detector::{DetectError, error_line};
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
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// A file that cannot be read, with the system's number for it.
    File(PathBuf, i32),
    /// What cannot be used, and why.
    Image(String),
    /// Why the networks failed.
    Networks(String),
    /// It was not begun.
    Interrupted,
}

impl Failure {
    /// Of a file.
    pub(crate) fn file(ImageError { path, problem }: ImageError) -> Self {
        let code = match &problem {
            DecodeError::Io(error) => error.raw_os_error(),
            _ => None,
        };
        match code {
            Some(code) => Self::File(path, code),
            None => Self::Image(format!("{}: {problem}", path.display())),
        }
    }

    /// Of bytes.
    pub(crate) fn image(error: DecodeError) -> Self {
        Self::Image(error.to_string())
    }

    /// Of the networks.
    pub(crate) fn networks(error: DetectError) -> Self {
        Self::Networks(error_line(&error))
    }

    /// As an exception.
    pub(crate) fn into_exception(self, py: Python<'_>) -> PyErr {
        match self {
            Self::File(path, code) => {
                // With the system's words and a file's name, Python knows a FileNotFoundError by its number.
                let words = || py.import("os")?.call_method1("strerror", (code,));
                let words = words().and_then(|words| Ok(words.cast_into::<PyString>()?.unbind()));
                match words {
                    Ok(words) => PyOSError::new_err((code, words, path.into_os_string())),
                    Err(error) => error,
                }
            }
            Self::Image(words) => python::ImageError::new_err(words),
            Self::Networks(words) => python::DetectorError::new_err(words),
            Self::Interrupted => PyKeyboardInterrupt::new_err(()),
        }
    }
}

/// A detector that cannot be made, as an exception.
pub(crate) fn detector_error(error: &dyn Error) -> PyErr {
    python::DetectorError::new_err(error_line(error))
}
