//! What Python gives as an image.

use std::path::{Path, PathBuf};

use image_input::{DecodeOptions, Decoded, ImageView, decode, decode_file};
use numpy::{
    PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods, dtype,
};
use pyo3::{
    Bound, PyAny, PyResult,
    exceptions::{PyTypeError, PyValueError},
    intern,
    pybacked::PyBackedBytes,
    pyfunction,
    types::{PyAnyMethods, PyTypeMethods},
};

use crate::{color::Color, errors::Failure};

/// Whether a file's name is one of an image that can be decoded.
#[pyfunction]
pub(crate) fn is_image_name(path: PathBuf) -> bool {
    image_input::is_image_name(&path)
}

/// An image as it was given, held so that Python keeps it.
pub(crate) enum Source<'py> {
    /// A file.
    File(PathBuf),
    /// An encoded image.
    Encoded(PyBackedBytes),
    /// Pixels that lie without gaps, somebody else's.
    Borrowed(PyReadonlyArrayDyn<'py, u8>, Color),
    /// Pixels that had to be copied, and the shape of the array.
    Copied(Vec<u8>, Vec<usize>, Color),
}

/// An image that threads may look at.
#[derive(Clone, Copy)]
pub(crate) enum Image<'a> {
    /// A file.
    File(&'a Path),
    /// An encoded image.
    Encoded(&'a [u8]),
    /// Pixels.
    Pixels(ImageView<'a>),
}

impl<'py> Source<'py> {
    /// Of a path, bytes, an array, or anything that says that it is one, such as an image of PIL.
    ///
    /// # Errors
    /// If it is none of them, or not an array of bytes.
    pub(crate) fn of(value: &Bound<'py, PyAny>, color: Color) -> PyResult<Self> {
        if let Ok(array) = value.cast::<PyUntypedArray>() {
            return Self::array(array, color);
        }
        if let Ok(path) = value.extract::<PathBuf>() {
            return Ok(Self::File(path));
        }
        if let Ok(bytes) = value.extract::<PyBackedBytes>() {
            return Ok(Self::Encoded(bytes));
        }
        let py = value.py();
        if value.hasattr(intern!(py, "__array_interface__"))?
            || value.hasattr(intern!(py, "__array__"))?
        {
            return Self::array_like(value, color);
        }
        if let Ok(bytes) = py.get_type::<pyo3::types::PyBytes>().call1((value,))
            && value.get_type().name()? == "memoryview"
        {
            return Ok(Self::Encoded(bytes.extract()?));
        }
        Err(PyTypeError::new_err(format!(
            "an image is a path, the bytes of an image file, a numpy array or an image of PIL, not {}",
            value.get_type().fully_qualified_name()?
        )))
    }

    fn array_like(value: &Bound<'py, PyAny>, color: Color) -> PyResult<Self> {
        let py = value.py();
        // Palettes, CMYK and the like; PIL's channels are in its own order.
        let (value, color) = match value.getattr_opt(intern!(py, "mode"))? {
            Some(mode) if value.hasattr(intern!(py, "getbands"))? => {
                let mode: String = mode.extract()?;
                let plain = matches!(&*mode, "RGB" | "RGBA" | "L");
                let value =
                    if plain { value.clone() } else { value.call_method1("convert", ("RGB",))? };
                (value, Color::Rgb)
            }
            _ => (value.clone(), color),
        };
        let array = py.import("numpy")?.call_method1("asarray", (value,))?;
        Self::array(array.cast::<PyUntypedArray>()?, color)
    }

    fn array(array: &Bound<'py, PyUntypedArray>, color: Color) -> PyResult<Self> {
        let py = array.py();
        if !array.dtype().is_equiv_to(&dtype::<u8>(py)) {
            return Err(PyTypeError::new_err(format!(
                "an array of {} is no image: give uint8, 0 to 255, for instance (255 * image).astype('uint8')",
                array.dtype()
            )));
        }
        let shape = array.shape();
        let channels = match shape {
            [_, _] => Some(1),
            [_, _, channels] => Some(*channels),
            _ => None,
        };
        if channels.and_then(|channels| color.format(channels)).is_none() {
            let hint = match shape {
                [1 | 3 | 4, _, _] => "; give image.transpose(1, 2, 0)",
                [_, _, _, 1 | 3 | 4] => "; give a list of images to detect_batch",
                _ => "",
            };
            return Err(PyValueError::new_err(format!(
                "an array of shape {shape:?} is no image: (height, width), or (height, width, channels) with 1, 3 or 4 channels{hint}"
            )));
        }
        if shape.contains(&0) {
            return Err(PyValueError::new_err(format!(
                "an array of shape {shape:?} has no pixels"
            )));
        }
        let array = array.cast::<PyArrayDyn<u8>>()?.try_readonly();
        let array = array
            .map_err(|error| PyValueError::new_err(format!("cannot read the array: {error}")))?;
        Ok(match array.as_array().is_standard_layout() {
            true => Self::Borrowed(array, color),
            false => Self::Copied(
                array.as_array().iter().copied().collect(),
                array.shape().to_vec(),
                color,
            ),
        })
    }

    /// What threads may look at.
    ///
    /// # Errors
    /// If the pixels are not what they are said to be.
    pub(crate) fn image(&self) -> PyResult<Image<'_>> {
        let pixels = |bytes, shape: &[usize], color: Color| {
            let [height, width, ..] = *shape else { return None };
            let format = color.format(shape.get(2).copied().unwrap_or(1))?;
            let size = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
            ImageView::packed(bytes, size, format).ok().map(Image::Pixels)
        };
        let image = match self {
            Self::File(path) => return Ok(Image::File(path)),
            Self::Encoded(bytes) => return Ok(Image::Encoded(bytes)),
            Self::Borrowed(array, color) => {
                array.as_slice().ok().and_then(|bytes| pixels(bytes, array.shape(), *color))
            }
            Self::Copied(bytes, shape, color) => pixels(bytes, shape, *color),
        };
        image.ok_or_else(|| PyValueError::new_err("the array is too large for an image"))
    }

    /// The path, if it is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }
}

impl<'a> Image<'a> {
    /// The pixels, if they need no decoding.
    pub(crate) fn pixels(&self) -> Option<ImageView<'a>> {
        match self {
            Self::Pixels(view) => Some(*view),
            Self::File(_) | Self::Encoded(_) => None,
        }
    }

    /// Decodes what is encoded.
    ///
    /// # Errors
    /// If it cannot be.
    pub(crate) fn decode(&self, options: &DecodeOptions) -> Result<Option<Decoded>, Failure> {
        Ok(match self {
            Self::File(path) => Some(decode_file(path, options).map_err(Failure::file)?),
            Self::Encoded(bytes) => Some(decode(bytes, None, options).map_err(Failure::image)?),
            Self::Pixels(_) => None,
        })
    }
}
