//! From a file to upright RGB pixels.

mod dds;
#[cfg(feature = "heic")]
mod heic;
mod ico;
mod jpeg;
mod levels;
mod orientation;
mod png;
mod tiff;

use std::{
    ffi::OsStr,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use geometry::ImageSize;
use image::{
    DynamicImage, ImageDecoder, ImageError as CodecError, ImageFormat, ImageReader, Limits,
    RgbImage, error::ImageFormatHint, metadata::Orientation,
};

use crate::{FileKind, OtherKind};

/// What decoding may cost, and what it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Maximum number of pixels (width times height). An image that claims more is refused before anything is
    /// decoded. Default: 256 million, more than the largest sensors of phones.
    pub max_pixels: u64,
    /// Whether files that would have to be repaired are refused. Default: no.
    pub strict: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 256_000_000, strict: false }
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

/// An image, decoded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// Upright 8-bit RGB.
    pub image: RgbImage,
    /// What was wrong with the file and had to be repaired, or what was done to its values.
    pub warning: Option<String>,
}

/// Decodes an image file: the format by its content, EXIF orientation applied, 8-bit RGB.
///
/// Only the first frame of an animation is used; colours under transparent pixels are kept, as OpenCV
/// keeps them. Values of more than eight bits are scaled, and stretched if they differ little.
///
/// # Errors
/// If the file cannot be read, is not an image, is damaged beyond repair, or is beyond `options`.
pub fn decode_file(path: &Path, options: &DecodeOptions) -> Result<Decoded, ImageError> {
    let read = || decode(&fs::read(path)?, path.extension(), options);
    read().map_err(|problem| ImageError { path: path.to_path_buf(), problem })
}

/// Decodes an image in memory, as [`decode_file`].
///
/// `extension` is only looked at for TGA and camera raw files, which cannot be told by their content.
///
/// # Errors
/// If `bytes` are not an image, are damaged beyond repair, or are beyond `options`.
pub fn decode(
    bytes: &[u8],
    extension: Option<&OsStr>,
    options: &DecodeOptions,
) -> Result<Decoded, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let (Pixels { image, orientation, damage }, format) = match FileKind::of(bytes, extension) {
        FileKind::Image(format) => (pixels(bytes, format, options)?, name(format)),
        #[cfg(feature = "heic")]
        FileKind::Heic => (heic::decode(bytes, options)?, "HEIC".to_owned()),
        FileKind::Other(kind) => return Err(DecodeError::Other(kind)),
        FileKind::Unknown => return Err(DecodeError::NotAnImage),
    };
    if let (true, Some(reason)) = (options.strict, &damage) {
        return Err(DecodeError::Damaged { format, reason: reason.clone() });
    }
    let (image, stretched) = levels::to_rgb8(image);
    let mut image = DynamicImage::from(image);
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    let repaired = damage.map(|reason| format!("damaged {format}, repaired: {reason}"));
    let stretched = stretched.then(|| "little contrast: its values were stretched".to_owned());
    Ok(Decoded { image: image.into_rgb8(), warning: repaired.or(stretched) })
}

/// The size of an image when it stands upright, as far as its head tells.
pub fn upright_size(path: &Path) -> Option<ImageSize> {
    let bytes = fs::read(path).ok()?;
    let format = match FileKind::of(&bytes, path.extension()) {
        FileKind::Image(format) => format,
        #[cfg(feature = "heic")]
        FileKind::Heic => return heic::size(&bytes),
        FileKind::Other(_) | FileKind::Unknown => return None,
    };
    let reader = ImageReader::with_format(Cursor::new(&*bytes), format);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let orientation = match format {
        ImageFormat::Tiff => tiff::orientation(&bytes),
        _ => decoder.exif_metadata().ok().flatten().and_then(|exif| orientation::of_exif(&exif)),
    };
    let lies = matches!(
        orientation,
        Some(
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        )
    );
    Some(if lies { (height, width) } else { (width, height) }.into())
}

/// What a file's decoder yields.
struct Pixels {
    image: DynamicImage,
    orientation: Option<Orientation>,
    /// What was wrong and was repaired.
    damage: Option<String>,
}

fn pixels(
    bytes: &[u8],
    format: ImageFormat,
    options: &DecodeOptions,
) -> Result<Pixels, DecodeError> {
    match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, options),
        ImageFormat::Png => by_codec(bytes, format, options).or_else(|error| {
            let (data, damage) = png::repaired(bytes);
            match damage {
                Some(_) => Ok(Pixels { damage, ..by_codec(&data, format, options)? }),
                None => Err(error),
            }
        }),
        ImageFormat::Ico => match ico::largest_png(bytes) {
            Some(png) => pixels(png, ImageFormat::Png, options),
            None => by_codec(bytes, format, options),
        },
        ImageFormat::Dds => match dds::decode(bytes, options) {
            Some(image) => Ok(Pixels { image: image?, orientation: None, damage: None }),
            None => by_codec(bytes, format, options),
        },
        ImageFormat::Tiff => {
            let orientation = tiff::orientation(bytes);
            let decoded = match by_codec(bytes, format, options) {
                Err(DecodeError::Unsupported(kind)) => {
                    let image = tiff::decode(bytes, options);
                    let image = image.ok_or(DecodeError::Unsupported(kind))??;
                    Pixels { image, orientation: None, damage: None }
                }
                decoded => decoded?,
            };
            Ok(Pixels { orientation, ..decoded })
        }
        _ => by_codec(bytes, format, options),
    }
}

/// What `image`'s own decoder yields.
fn by_codec(
    bytes: &[u8],
    format: ImageFormat,
    options: &DecodeOptions,
) -> Result<Pixels, DecodeError> {
    let problem = |error| decode_problem(error, format);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The limits follow once the size is known.
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(problem)?;
    check_size(decoder.dimensions(), options)?;
    // Beside the pixels themselves a decoder may need some working memory, but not any amount.
    let mut memory = Limits::no_limits();
    memory.max_alloc = Some(decoder.total_bytes().saturating_mul(4).max(1 << 26));
    decoder.set_limits(memory).map_err(problem)?;
    let exif = decoder.exif_metadata().map_err(problem)?;
    let orientation = exif.and_then(|exif| orientation::of_exif(&exif));
    let image = DynamicImage::from_decoder(decoder).map_err(problem)?;
    Ok(Pixels { image, orientation, damage: None })
}

fn check_size((width, height): (u32, u32), options: &DecodeOptions) -> Result<(), DecodeError> {
    let limit = options.max_pixels;
    if width == 0 || height == 0 {
        return Err(DecodeError::NoPixels { width, height });
    }
    if u64::from(width) * u64::from(height) > limit {
        return Err(DecodeError::TooLarge { width, height, limit });
    }
    Ok(())
}

fn name(format: ImageFormat) -> String {
    format!("{format:?}").to_uppercase()
}

fn other_kind(kind: &OtherKind) -> String {
    match kind.remedy() {
        Some(remedy) => format!("{kind} is not decoded here; {remedy}"),
        None => format!("not an image but {kind}"),
    }
}

fn decode_problem(error: CodecError, format: ImageFormat) -> DecodeError {
    let format = name(format);
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
