//! EXIF data, taken out of whichever file carries it: the same data turn the same image alike in a
//! JPEG, a PNG and a WebP file, and by one of the eight orientations.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use image_input::{DecodeOptions, decode};

/// Sides of the image that is turned.
const SIZE: (u32, u32) = (8, 16);

/// Puts the data into files and decodes them.
pub fn run(exif: &[u8]) {
    // A segment of a JPEG file holds no more.
    if exif.is_empty() || exif.len() > 65_000 {
        return;
    }
    let files = [
        (ImageFormat::Jpeg, in_jpeg(exif)),
        (ImageFormat::Png, in_png(exif)),
        (ImageFormat::WebP, in_webp(exif)),
    ];
    let sizes = files.map(|(format, bytes)| {
        let decoded = decode(&bytes, None, &DecodeOptions::default());
        let decoded = decoded.unwrap_or_else(|error| panic!("{format:?}: {error}"));
        assert_eq!(decoded.warning, None, "{format:?}");
        // Bright on the left, dark on the right, which lossy files keep.
        let brightest = |x: u32, y: u32| decoded.image.get_pixel(x, y)[0] > 128;
        let (width, height) = decoded.image.dimensions();
        let corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)];
        (decoded.image.dimensions(), corners.map(|(x, y)| brightest(x, y)))
    });
    assert!(sizes[0].0 == SIZE || sizes[0].0 == (SIZE.1, SIZE.0));
    assert_eq!(sizes[0], sizes[1], "JPEG and PNG");
    assert_eq!(sizes[1], sizes[2], "PNG and WebP");
}

/// An image with one bright corner.
fn encoded(format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        image::Rgb([if x < SIZE.0 / 2 && y < SIZE.1 / 2 { 250 } else { 5 }; 3])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn in_jpeg(exif: &[u8]) -> Vec<u8> {
    let mut jpeg = encoded(ImageFormat::Jpeg);
    let length = (exif.len() as u16 + 8).to_be_bytes();
    jpeg.splice(2..2, [&[0xFF, 0xE1][..], &length, b"Exif\0\0", exif].concat());
    jpeg
}

fn in_png(exif: &[u8]) -> Vec<u8> {
    let mut png = encoded(ImageFormat::Png);
    let chunk = [b"eXIf", exif].concat();
    let crc = crc32fast::hash(&chunk).to_be_bytes();
    // After the signature and the header.
    png.splice(33..33, [&(exif.len() as u32).to_be_bytes()[..], &chunk, &crc].concat());
    png
}

fn in_webp(exif: &[u8]) -> Vec<u8> {
    let plain = encoded(ImageFormat::WebP);
    let size = |length: u32| length.to_le_bytes();
    // The flag of EXIF data, and the canvas less one.
    let head = [8, 0, 0, 0, SIZE.0 as u8 - 1, 0, 0, SIZE.1 as u8 - 1, 0, 0];
    let pad = vec![0; exif.len() % 2];
    let chunks = [
        &b"WEBPVP8X"[..],
        &size(10),
        &head,
        &plain[12..],
        b"EXIF",
        &size(exif.len() as u32),
        exif,
        &pad,
    ]
    .concat();
    [&b"RIFF"[..], &size(chunks.len() as u32), &chunks].concat()
}

/// Every orientation in every integer type and both orders of bytes.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for orientation in 1..=8 {
        for kind in [1, 3, 4] {
            let head = b"II*\0\x08\0\0\0\x01\0\x12\x01";
            let entry = [kind, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
            seeds.push([&head[..], &entry, &[0; 4]].concat());
            let head = b"MM\0*\0\0\0\x08\0\x01\x01\x12";
            let value = match kind {
                1 => [orientation, 0, 0, 0],
                3 => [0, orientation, 0, 0],
                _ => [0, 0, 0, orientation],
            };
            seeds.push([&head[..], &[0, kind, 0, 0, 0, 1], &value, &[0; 4]].concat());
        }
    }
    seeds
}
