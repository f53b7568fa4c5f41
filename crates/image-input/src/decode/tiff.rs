//! TIFF files of kinds that `image` does not read, and their orientation.

use std::io::Cursor;

use image::{DynamicImage, Rgb32FImage, RgbImage, metadata::Orientation};
use tiff::{
    ColorType,
    decoder::{Decoder, DecodingResult, Limits},
    tags::Tag,
};

use super::{DecodeError, DecodeOptions, check_size};

/// The orientation, stored as any integer; `image` takes only SHORT.
pub(super) fn orientation(bytes: &[u8]) -> Option<Orientation> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    let value: u8 = decoder.find_tag_unsigned(Tag::Orientation).ok()??;
    Orientation::from_exif(value)
}

/// Decodes grey in floating point, and YCbCr whose colours are stored for every pixel; `None` if the file
/// is of another kind.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
) -> Option<Result<DynamicImage, DecodeError>> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    let size = decoder.dimensions().ok()?;
    if let Err(error) = check_size(size, options) {
        return Some(Err(error));
    }
    // Any number of pixels up to that, of any number of channels that a file of this kind has.
    let mut limits = Limits::unlimited();
    let count = (size.0 as usize).saturating_mul(size.1 as usize);
    limits.decoding_buffer_size = count.saturating_mul(MOST_BYTES_A_PIXEL);
    pixels(decoder.with_limits(limits), size).map(Ok)
}

/// Of a grey pixel in double precision.
const MOST_BYTES_A_PIXEL: usize = 8;

fn pixels(
    mut decoder: Decoder<Cursor<&[u8]>>,
    (width, height): (u32, u32),
) -> Option<DynamicImage> {
    let (color, count) = (decoder.colortype().ok()?, width as usize * height as usize);
    match (color, decoder.read_image().ok()?) {
        (ColorType::Gray(_), DecodingResult::F32(values)) => grey(width, height, &values),
        (ColorType::Gray(_), DecodingResult::F64(values)) => {
            grey(width, height, &values.iter().map(|value| *value as f32).collect::<Vec<_>>())
        }
        (ColorType::YCbCr(8), DecodingResult::U8(values)) if values.len() == 3 * count => {
            let (pixels, _) = values.as_chunks::<3>();
            let pixels = pixels.iter().flat_map(|pixel| rgb_of_ycbcr(*pixel)).collect();
            RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
        }
        _ => None,
    }
}

fn grey(width: u32, height: u32, values: &[f32]) -> Option<DynamicImage> {
    let pixels = values.iter().flat_map(|value| [*value; 3]).collect();
    Rgb32FImage::from_raw(width, height, pixels).map(DynamicImage::from)
}

/// As in ITU-R BT.601 over the full range, TIFF's default coefficients.
fn rgb_of_ycbcr(pixel: [u8; 3]) -> [u8; 3] {
    let [y, blue, red] = pixel.map(f32::from);
    let (blue, red) = (blue - 128.0, red - 128.0);
    [y + 1.402 * red, y - 0.344_136 * blue - 0.714_136 * red, y + 1.772 * blue]
        .map(|value| value.round().clamp(0.0, 255.0) as u8)
}
