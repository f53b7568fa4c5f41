//! Image files. What decodes keeps to the limit on pixels and decodes alike again; what is refused
//! for damage only by `strict` carries a warning without it.

use std::{ffi::OsStr, io::Cursor};

use image::{DynamicImage, ImageFormat, RgbImage};
use image_input::{DecodeError, DecodeOptions, decode};

/// So little that an input cannot take a fuzzer's time by its size alone.
const MAX_PIXELS: u64 = 1 << 16;

/// Decodes.
pub fn run(bytes: &[u8]) {
    // TGA alone is told by its extension.
    for extension in [None, Some(OsStr::new("tga"))] {
        let options = DecodeOptions { max_pixels: MAX_PIXELS, strict: false };
        let lenient = decode(bytes, extension, &options);
        let strict = decode(bytes, extension, &DecodeOptions { strict: true, ..options });
        match (lenient, strict) {
            (Ok(lenient), strict) => {
                let (width, height) = lenient.image.dimensions();
                assert!(width > 0 && height > 0);
                assert!(u64::from(width) * u64::from(height) <= MAX_PIXELS);
                match strict {
                    Ok(strict) => assert_eq!(lenient, strict),
                    Err(DecodeError::Damaged { .. }) => assert!(lenient.warning.is_some()),
                    Err(error) => panic!("{error}"),
                }
            }
            (Err(_), strict) => assert!(strict.is_err()),
        }
    }
}

/// A small image in every format that is written here.
pub fn seeds() -> Vec<Vec<u8>> {
    let image = RgbImage::from_fn(19, 13, |x, y| {
        image::Rgb([(x * 12) as u8, (y * 18) as u8, (x * y) as u8])
    });
    let rgb = DynamicImage::from(image);
    let variants = [
        rgb.clone(),
        rgb.to_luma8().into(),
        rgb.to_luma_alpha8().into(),
        rgb.to_rgba8().into(),
        rgb.to_luma16().into(),
        rgb.to_rgba16().into(),
        rgb.to_rgb32f().into(),
    ];
    let formats = [
        ImageFormat::Bmp,
        ImageFormat::Farbfeld,
        ImageFormat::Gif,
        ImageFormat::Hdr,
        ImageFormat::Ico,
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Pnm,
        ImageFormat::Qoi,
        ImageFormat::Tga,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ];
    let mut seeds = Vec::new();
    for format in formats {
        for variant in &variants {
            let mut bytes = Cursor::new(Vec::new());
            // Not every format has every kind of pixels.
            if variant.write_to(&mut bytes, format).is_ok() {
                seeds.push(bytes.into_inner());
            }
        }
    }
    let mut dds = vec![0; 128];
    for (at, value) in [
        (0, 0x2053_4444_u32),
        (4, 124),
        (8, 0x100f),
        (12, 2),
        (16, 4),
        (20, 12),
        (76, 32),
        (80, 0x40),
    ] {
        dds[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    dds[88] = 24;
    for (at, mask) in [(92, 0xff_0000_u32), (96, 0xff00), (100, 0xff)] {
        dds[at..at + 4].copy_from_slice(&mask.to_le_bytes());
    }
    dds.extend(0..24);
    seeds.push(dds);
    seeds
}
