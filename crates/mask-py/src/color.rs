//! The orders that the bytes of a pixel may have.

use image_input::PixelFormat;
use pyo3::{Borrowed, FromPyObject, PyAny, PyErr, PyResult, exceptions::PyValueError};

/// What an array's channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Color {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV has them.
    Bgr,
}

impl Color {
    /// The order of a pixel's bytes, if there is one of so many.
    pub(crate) fn format(self, channels: usize) -> Option<PixelFormat> {
        Some(match (self, channels) {
            (_, 1) => PixelFormat::Grey,
            (Self::Rgb, 3) => PixelFormat::Rgb,
            (Self::Rgb, 4) => PixelFormat::Rgba,
            (Self::Bgr, 3) => PixelFormat::Bgr,
            (Self::Bgr, 4) => PixelFormat::Bgra,
            _ => return None,
        })
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Color {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<&str>()? {
            "rgb" => Ok(Self::Rgb),
            "bgr" => Ok(Self::Bgr),
            other => Err(PyValueError::new_err(format!(
                "color={other:?}: the orders of an array's channels are 'rgb' and 'bgr'"
            ))),
        }
    }
}
