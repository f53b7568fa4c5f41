//! HEIC, the photographs of iPhones.

use geometry::ImageSize;
use heic_rs::Error;
use image::{DynamicImage, RgbImage};

use super::{DecodeError, DecodeOptions, Pixels, check_size};

const NAME: &str = "HEIC";

/// Decodes a file. Its own transforms are applied; its EXIF orientation repeats them and does not count
/// (ISO/IEC 23008-12, annex A).
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Pixels, DecodeError> {
    let info = heic_rs::probe(bytes).map_err(problem)?;
    check_size((info.coded_width, info.coded_height), options)?;
    let wanted = heic_rs::DecodeOptions::default().with_max_pixels(Some(options.max_pixels));
    let decoded = heic_rs::decode(bytes, &wanted).map_err(problem)?;
    check_size((decoded.width, decoded.height), options)?;
    let image = RgbImage::from_raw(decoded.width, decoded.height, decoded.data)
        .map(DynamicImage::from)
        .ok_or_else(|| problem(Error::Malformed("a size that does not fit")))?;
    Ok(Pixels { image, orientation: None, damage: None })
}

/// The size of the upright image.
pub(super) fn size(bytes: &[u8]) -> Option<ImageSize> {
    let info = heic_rs::probe(bytes).ok()?;
    Some((info.width, info.height).into())
}

fn problem(error: Error) -> DecodeError {
    match error {
        Error::Unsupported(what) => DecodeError::Unsupported(format!("{NAME} with {what}")),
        error => DecodeError::Damaged { format: NAME.to_owned(), reason: error.to_string() },
    }
}
