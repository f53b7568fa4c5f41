//! What a detector is made of.

use std::{
    ffi::{CStr, c_char},
    path::Path,
    ptr,
    str::FromStr,
};

use mask_detector::{DeviceChoice, InputSize, MaskDetectorConfig, WeightsSource};

use crate::status::Failure;

/// Settings of a detector, of which `mask_options` makes the defaults. Texts are UTF-8, and read only by
/// `mask_detector_new`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MaskOptions {
    /// `auto`, `cpu`, `gpu` or `gpu:N`; null: `auto`.
    pub device: *const c_char,
    /// Threads that all calls share; 0: as many as there are cores.
    pub threads: u32,
    /// Least probability that what is reported is a face, in [0, 1].
    pub min_confidence: f32,
    /// Size at which images enter the face network, such as `long:640` or `300x300`; null: the default.
    pub input_size: *const c_char,
    /// The face network's weights, a file; null: those of this library.
    pub face_weights: *const c_char,
    /// The classifier's head, a file; null: that of this library.
    pub head: *const c_char,
}

/// The defaults.
#[unsafe(no_mangle)]
pub extern "C" fn mask_options() -> MaskOptions {
    MaskOptions {
        device: ptr::null(),
        threads: 0,
        min_confidence: MaskDetectorConfig::default().faces.postprocess.score_threshold,
        input_size: ptr::null(),
        face_weights: ptr::null(),
        head: ptr::null(),
    }
}

impl MaskOptions {
    /// The device and the networks' settings.
    ///
    /// # Safety
    /// Texts must end with a zero byte.
    pub(crate) unsafe fn config(&self) -> Result<(DeviceChoice, MaskDetectorConfig), Failure> {
        let mut config = MaskDetectorConfig::default();
        if !(0.0..=1.0).contains(&self.min_confidence) {
            let given = self.min_confidence;
            return Err(Failure::argument(format!(
                "min_confidence is {given}; give a number from 0 to 1, best in what mask_options() returns"
            )));
        }
        config.faces.postprocess.score_threshold = self.min_confidence;
        // Safety: the caller's duty.
        unsafe {
            if let Some(size) = parsed::<InputSize>("input_size", self.input_size)? {
                config.faces.input_size = size;
            }
            config.faces.weights =
                WeightsSource::from(text("face_weights", self.face_weights)?.map(Path::new));
            config.masks.head = WeightsSource::from(text("head", self.head)?.map(Path::new));
            Ok((parsed("device", self.device)?.unwrap_or_default(), config))
        }
    }
}

/// A text of C's, if there is one.
///
/// # Safety
/// It must end with a zero byte.
pub(crate) unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // Safety: the caller's duty.
    let text = unsafe { CStr::from_ptr(text) }.to_str();
    text.map(Some).map_err(|_| Failure::argument(format!("{name} is not UTF-8")))
}

/// # Safety
/// As for [`text`].
unsafe fn parsed<T: FromStr<Err: ToString>>(
    name: &str,
    value: *const c_char,
) -> Result<Option<T>, Failure> {
    // Safety: the caller's duty.
    let value = unsafe { text(name, value) }?;
    let parsed = value.map(|value| {
        let error = |error: T::Err| Failure::argument(format!("{name}: {}", error.to_string()));
        value.parse().map_err(error)
    });
    parsed.transpose()
}
