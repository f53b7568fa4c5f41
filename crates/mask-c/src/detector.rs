//! The detector.

use std::{
    ffi::{CString, c_char},
    path::Path,
    ptr, slice,
};

use image_input::{DecodeOptions, Decoded, ImageView, PixelFormat, decode, decode_file};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{
    MaskDetections, MaskOptions, MaskStatus, mask_options,
    options::text,
    status::{Failure, call, give, take},
};

/// Finds faces and their classes.
pub struct MaskDetector {
    detector: mask_detector::MaskDetector,
    classes: Vec<CString>,
    threads: ThreadPool,
}

/// Order of the bytes of a pixel.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskPixelFormat {
    /// Red, green, blue.
    Rgb = 0,
    /// Blue, green, red, as OpenCV has them.
    Bgr = 1,
    /// Red, green, blue, alpha, which is ignored.
    Rgba = 2,
    /// Blue, green, red, alpha, which is ignored.
    Bgra = 3,
    /// A single grey value.
    Grey = 4,
}

impl MaskPixelFormat {
    /// By its number, which C may have made up.
    fn of(number: u32) -> Option<PixelFormat> {
        Some(match number {
            number if number == Self::Rgb as u32 => PixelFormat::Rgb,
            number if number == Self::Bgr as u32 => PixelFormat::Bgr,
            number if number == Self::Rgba as u32 => PixelFormat::Rgba,
            number if number == Self::Bgra as u32 => PixelFormat::Bgra,
            number if number == Self::Grey as u32 => PixelFormat::Grey,
            _ => return None,
        })
    }
}

/// Loads both networks. `options` may be null, for the defaults. `mask_detector_free` frees `*detector`.
///
/// # Safety
/// `options` must be null or point to options, whose texts end with a zero byte; `detector` must be null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detector_new(
    options: *const MaskOptions,
    detector: *mut *mut MaskDetector,
) -> MaskStatus {
    call(|| {
        not_null("detector", detector)?;
        // Safety: the caller's duty, here and below.
        let options = unsafe { options.as_ref() }.copied().unwrap_or_else(|| mask_options());
        let (device, config) = unsafe { options.config() }?;
        let threads = ThreadPoolBuilder::new().num_threads(options.threads as usize).build();
        let threads = threads.map_err(|error| Failure::of(MaskStatus::Detector, &error))?;
        let load = || mask_detector::MaskDetector::new(config, &device.open()?.device);
        let made =
            threads.install(load).map_err(|error| Failure::of(MaskStatus::Detector, &error))?;
        let names =
            made.classes().iter().map(|name| CString::new(name.as_str()).unwrap_or_default());
        let classes = names.collect();
        give(detector, MaskDetector { detector: made, classes, threads });
        Ok(())
    })
}

/// Frees a detector; null is nothing.
///
/// # Safety
/// `detector` must be null or of `mask_detector_new`, in no call, and not be used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detector_free(detector: *mut MaskDetector) {
    unsafe { take(detector) };
}

/// How many classes there are; 0 for null.
///
/// # Safety
/// `detector` must be null or of `mask_detector_new`, and not freed; so everywhere below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detector_class_count(detector: *const MaskDetector) -> usize {
    unsafe { detector.as_ref() }.map_or(0, |detector| detector.classes.len())
}

/// The name of a class, there as long as `detector`; null if there is no such class.
///
/// # Safety
/// As for `mask_detector_class_count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detector_class_name(
    detector: *const MaskDetector,
    class_index: usize,
) -> *const c_char {
    let classes = unsafe { detector.as_ref() }.map(|detector| &detector.classes);
    classes.and_then(|classes| classes.get(class_index)).map_or(ptr::null(), |name| name.as_ptr())
}

/// The faces in an image file: JPEG, PNG, WebP and others, known by their content. `path` is UTF-8.
/// `mask_detections_free` frees `*detections`.
///
/// # Safety
/// `path` must be null or end with a zero byte; `detections` must be null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detector_detect_file(
    detector: *const MaskDetector,
    path: *const c_char,
    detections: *mut *mut MaskDetections,
) -> MaskStatus {
    call(|| {
        not_null("detections", detections)?;
        let detector = unsafe { detector_of(detector) }?;
        let path =
            unsafe { text("path", path) }?.ok_or_else(|| Failure::argument("path is null"))?;
        let found = detector.threads.install(|| {
            let decoded = decode_file(Path::new(path), &DecodeOptions::default());
            let decoded = decoded.map_err(|error| Failure::of(MaskStatus::Image, &error))?;
            detector.decoded(path, decoded)
        })?;
        give(detections, found);
        Ok(())
    })
}

/// The faces in the bytes of an image file. `mask_detections_free` frees `*detections`.
///
/// # Safety
/// `bytes` must be null or point to `length` bytes; `detections` must be null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detector_detect_encoded(
    detector: *const MaskDetector,
    bytes: *const u8,
    length: usize,
    detections: *mut *mut MaskDetections,
) -> MaskStatus {
    call(|| {
        not_null("detections", detections)?;
        let detector = unsafe { detector_of(detector) }?;
        let bytes = unsafe { bytes_of("bytes", bytes, length) }?;
        let found = detector.threads.install(|| {
            let decoded = decode(bytes, None, &DecodeOptions::default());
            let decoded = decoded.map_err(|error| Failure::of(MaskStatus::Image, &error))?;
            detector.decoded("", decoded)
        })?;
        give(detections, found);
        Ok(())
    })
}

/// The faces in pixels of 8 bits per channel, row after row from the top, `stride` bytes from the beginning of one to
/// that of the next; `format` is a `MaskPixelFormat`. They are not copied as a whole. `mask_detections_free` frees
/// `*detections`.
///
/// # Safety
/// `pixels` must be null or point to `stride * (height - 1)` bytes and those of the last row, which nobody may write
/// meanwhile; `detections` must be null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mask_detector_detect_pixels(
    detector: *const MaskDetector,
    pixels: *const u8,
    width: u32,
    height: u32,
    stride: usize,
    format: u32,
    detections: *mut *mut MaskDetections,
) -> MaskStatus {
    call(|| {
        not_null("detections", detections)?;
        let detector = unsafe { detector_of(detector) }?;
        let format = MaskPixelFormat::of(format)
            .ok_or_else(|| Failure::argument(format!("there is no pixel format {format}")))?;
        let row = (width as usize).checked_mul(format.bytes());
        let length = (height as usize).saturating_sub(1).checked_mul(stride);
        let length = length.zip(row).and_then(|(rows, last)| rows.checked_add(last));
        let length = length.filter(|length| isize::try_from(*length).is_ok());
        let length = length.ok_or_else(|| Failure::argument("the image is too large"))?;
        let bytes = unsafe { bytes_of("pixels", pixels, length) }?;
        let view = ImageView::new(bytes, (width, height), format, stride);
        let view = view.map_err(|error| Failure::argument(error.to_string()))?;
        let found = detector.threads.install(|| detector.view("", view, None))?;
        give(detections, found);
        Ok(())
    })
}

impl MaskDetector {
    fn decoded(&self, name: &str, decoded: Decoded) -> Result<MaskDetections, Failure> {
        self.view(name, (&decoded.image).into(), decoded.warning)
    }

    fn view(
        &self,
        name: &str,
        view: ImageView<'_>,
        warning: Option<String>,
    ) -> Result<MaskDetections, Failure> {
        let faces = self.detector.detect(view);
        let faces = faces.map_err(|error| Failure::of(MaskStatus::Detector, &error))?;
        Ok(MaskDetections::new(name, view.size(), &faces, warning))
    }
}

fn not_null<T>(name: &str, pointer: *mut T) -> Result<(), Failure> {
    if pointer.is_null() { Err(Failure::argument(format!("{name} is null"))) } else { Ok(()) }
}

/// # Safety
/// It must be null or of `mask_detector_new`, and not freed.
unsafe fn detector_of<'a>(detector: *const MaskDetector) -> Result<&'a MaskDetector, Failure> {
    // Safety: the caller's duty.
    unsafe { detector.as_ref() }.ok_or_else(|| Failure::argument("detector is null"))
}

/// # Safety
/// It must be null or point to so many bytes.
unsafe fn bytes_of<'a>(name: &str, bytes: *const u8, length: usize) -> Result<&'a [u8], Failure> {
    if bytes.is_null() {
        return Err(Failure::argument(format!("{name} is null")));
    }
    // Safety: the caller's duty.
    Ok(unsafe { slice::from_raw_parts(bytes, length) })
}
