//! Drawn images on their way back.

use image::{RgbImage, codecs::jpeg::JpegEncoder};
use mask_detector::JPEG_QUALITY;
use numpy::{PyArray3, ndarray::Array3};
use pyo3::{
    Bound, PyAny, PyResult, Python,
    exceptions::{PyTypeError, PyValueError},
    pyfunction,
    types::PyBytes,
};

use crate::{
    color::Color,
    errors::detector_error,
    source::{Image, Source},
};

/// Pixels as an array whose channels are in the order of `color`.
pub(crate) fn array(
    py: Python<'_>,
    image: RgbImage,
    color: Color,
) -> PyResult<Bound<'_, PyArray3<u8>>> {
    let shape = (image.height() as usize, image.width() as usize, 3);
    let mut bytes = image.into_raw();
    if color == Color::Bgr {
        bytes.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.reverse());
    }
    let array = Array3::from_shape_vec(shape, bytes).map_err(|error| detector_error(&error))?;
    Ok(PyArray3::from_owned_array(py, array))
}

/// The bytes of a JPEG file of an array's pixels.
///
/// `quality` is 1 to 100.
#[pyfunction]
#[pyo3(signature = (image, *, color=Color::Rgb, quality=JPEG_QUALITY))]
pub(crate) fn encode_jpeg<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    color: Color,
    quality: u8,
) -> PyResult<Bound<'py, PyBytes>> {
    if !(1..=100).contains(&quality) {
        return Err(PyValueError::new_err(format!("quality={quality}: valid are 1 to 100")));
    }
    let source = Source::of(image, color)?;
    let Image::Pixels(view) = source.image()? else {
        return Err(PyTypeError::new_err("give an array of pixels"));
    };
    let encoded = py.detach(|| {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        view.to_rgb().write_with_encoder(encoder).map(|()| bytes)
    });
    Ok(PyBytes::new(py, &encoded.map_err(|error| detector_error(&error))?))
}
