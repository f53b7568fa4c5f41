//! From a file to upright RGB pixels.

use std::{
    ffi::OsStr,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{
    DynamicImage, ImageDecoder, ImageError as CodecError, ImageFormat, ImageReader, Limits,
    RgbImage, error::ImageFormatHint,
};

use crate::{FileKind, OtherKind};

/// Limits on what decoding an image may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Maximum number of pixels (width times height). An image that claims more is refused before anything is
    /// decoded. Default: 256 million, more than the largest sensors of phones.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_pixels: 256_000_000 }
    }
}

/// An image file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: DecodeError,
}

/// What is wrong with an encoded image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The file is absent or cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file holds nothing.
    #[error("empty file")]
    Empty,
    /// The content is of no known image format, whatever the name says.
    #[error("not an image: unknown format")]
    NotAnImage,
    /// The content is known, but nothing that is decoded here.
    #[error("{}", other_kind(.0))]
    Other(OtherKind),
    /// The format, or this variety of it, has no decoder here.
    #[error("unsupported image format ({0}); convert it to JPEG or PNG")]
    Unsupported(String),
    /// The image has more pixels than the limits allow.
    #[error(
        "{width} x {height} pixels are more than the limit of {limit}; raise the limit on pixels if the file is trusted"
    )]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Most pixels allowed.
        limit: u64,
    },
    /// The image has no pixels.
    #[error("an image of {width} x {height} pixels")]
    NoPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The content is cut short or inconsistent.
    #[error("truncated or damaged {format}: {reason}")]
    Damaged {
        /// The format.
        format: String,
        /// The decoder's reason.
        reason: String,
    },
}

/// Decodes an image file: the format by its content, EXIF orientation applied, 8-bit RGB.
///
/// Only the first frame of an animation is used; colours under transparent pixels are kept, as OpenCV
/// keeps them.
///
/// # Errors
/// If the file cannot be read, is not an image, is damaged, or is beyond `limits`.
pub fn decode_file(path: &Path, limits: &DecodeLimits) -> Result<RgbImage, ImageError> {
    let read = || decode(&fs::read(path)?, path.extension(), limits);
    read().map_err(|problem| ImageError { path: path.to_path_buf(), problem })
}

/// Decodes an image in memory, as [`decode_file`].
///
/// `extension` is only looked at for TGA and camera raw files, which cannot be told by their content.
///
/// # Errors
/// If `bytes` are not an image, are damaged, or are beyond `limits`.
pub fn decode(
    bytes: &[u8],
    extension: Option<&OsStr>,
    limits: &DecodeLimits,
) -> Result<RgbImage, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = match FileKind::of(bytes, extension) {
        FileKind::Image(format) => format,
        FileKind::Other(kind) => return Err(DecodeError::Other(kind)),
        FileKind::Unknown => return Err(DecodeError::NotAnImage),
    };
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        let (format, reason) = ("JPEG".to_owned(), "the file ends before the image".to_owned());
        return Err(DecodeError::Damaged { format, reason });
    }
    let problem = |error| decode_problem(error, format);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The limits follow once the size is known.
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(problem)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(DecodeError::NoPixels { width, height });
    }
    let limit = limits.max_pixels;
    if u64::from(width) * u64::from(height) > limit {
        return Err(DecodeError::TooLarge { width, height, limit });
    }
    // Beside the pixels themselves a decoder may need some working memory, but not any amount.
    let mut memory = Limits::no_limits();
    memory.max_alloc = Some(decoder.total_bytes().saturating_mul(4).max(1 << 26));
    decoder.set_limits(memory).map_err(problem)?;
    let orientation = decoder.orientation().map_err(problem)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(problem)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn other_kind(kind: &OtherKind) -> String {
    match kind.remedy() {
        Some(remedy) => format!("{kind} is not decoded here; {remedy}"),
        None => format!("not an image but {kind}"),
    }
}

fn decode_problem(error: CodecError, format: ImageFormat) -> DecodeError {
    let format = format!("{format:?}").to_uppercase();
    match error {
        CodecError::Unsupported(error) => DecodeError::Unsupported(match error.format_hint() {
            ImageFormatHint::Unknown => format,
            _ => {
                let text = error.to_string().lines().collect::<Vec<_>>().join(" ");
                text.trim_end_matches(" is not supported").to_owned()
            }
        }),
        error => {
            let reason = error.to_string().lines().collect::<Vec<_>>().join(" ");
            DecodeError::Damaged { format, reason }
        }
    }
}

/// Whether a JPEG file reaches its end-of-image marker.
///
/// The decoder fills what a truncated file lacks with grey and says nothing (`image` always sets
/// zune-jpeg's strict mode to false), so the segments are walked here: markers and their lengths as
/// in ITU-T T.81, annex B.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    const START_OF_SCAN: u8 = 0xDA;
    let mut at = 2;
    loop {
        // Between segments: to the next marker, over fill bytes.
        let Some(skip) =
            bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xFF))
        else {
            return false;
        };
        at += skip;
        while bytes.get(at) == Some(&0xFF) {
            at += 1;
        }
        let Some(marker) = bytes.get(at) else { return false };
        at += 1;
        match marker {
            &END_OF_IMAGE => return true,
            // Stuffed zeros, TEM, restart and start-of-image markers stand alone.
            0x00 | 0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let Some(length) = bytes.get(at..at + 2) else { return false };
        at += usize::from(u16::from_be_bytes([length[0], length[1]]));
        if marker == &START_OF_SCAN && at >= bytes.len() {
            return false;
        }
    }
}
