//! DirectDraw surfaces without compression, which `image` does not read.

use image::{DynamicImage, Rgb, RgbImage};

use super::{DecodeError, DecodeOptions, check_size};

/// Where the pixels begin: after the mark and a header of 124 bytes.
const HEADER: usize = 128;
/// Flags of the pixel format, as in Microsoft's DDS_PIXELFORMAT.
const RGB: u32 = 0x40;
const LUMINANCE: u32 = 0x2_0000;

/// Decodes a file of 8 to 32 bits a pixel; `None` if it is compressed.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
) -> Option<Result<DynamicImage, DecodeError>> {
    let field = |at: usize| {
        bytes.get(at..at + 4).map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]))
    };
    let (height, width, flags, bits) = (field(12)?, field(16)?, field(80)?, field(88)?);
    if flags & (RGB | LUMINANCE) == 0 || ![8, 16, 24, 32].contains(&bits) {
        return None;
    }
    let red = field(92)?;
    // Grey has one mask.
    let masks = if flags & RGB == 0 { [red; 3] } else { [red, field(96)?, field(100)?] };
    if let Err(error) = check_size((width, height), options) {
        return Some(Err(error));
    }
    let pixel = bits as usize / 8;
    let row = pixel * width as usize;
    let Some(data) = bytes.get(HEADER..).filter(|data| data.len() >= row * height as usize) else {
        let reason = "the file ends before the image".to_owned();
        return Some(Err(DecodeError::Damaged { format: "DDS".to_owned(), reason }));
    };
    let image = RgbImage::from_fn(width, height, |x, y| {
        let at = y as usize * row + x as usize * pixel;
        let value = data[at..at + pixel].iter().rev().fold(0, |v, byte| v << 8 | u32::from(*byte));
        Rgb(masks.map(|mask| {
            let shift = mask.trailing_zeros().min(31);
            let most = u64::from(mask >> shift).max(1);
            (u64::from((value & mask) >> shift) * 255 / most) as u8
        }))
    });
    Some(Ok(image.into()))
}
