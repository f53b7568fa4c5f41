//! Damaged and unusual image files: what is repaired, and what is not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tempfile::TempDir;

use crate::support::{crc32, detect, example, fixture, labels, mask_cli, records, stderr};

/// Detects in a file or folder, without a line about the device, whatever the program is built with.
fn on_the_cpu(path: &Path) -> Output {
    detect([Path::new("--device"), Path::new("cpu"), path])
}

/// Writes a file and detects in it; the line on standard error, without the name, if the face is found.
fn warning_of(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let output = on_the_cpu(&path);
    assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
    let record = &records(&output)[0];
    assert_eq!(labels(record), ["without_mask"], "{name}");
    let errors = stderr(&output);
    let line = errors.strip_prefix(&format!("mask-cli: {}: ", path.display()));
    let warning = line.unwrap_or_default().trim_end().to_owned();
    assert_eq!(record["warning"].as_str().unwrap_or_default(), warning, "{name}");
    assert_eq!(errors.is_empty(), warning.is_empty(), "{errors}");
    // What was repaired is refused where that is asked for.
    let strict = mask_cli().args(["detect", "--strict"]).arg(&path).output().unwrap();
    let refused = warning.starts_with("damaged");
    assert_eq!(strict.status.code(), Some(i32::from(refused)), "{name}: {}", stderr(&strict));
    warning
}

/// Why a file cannot be used.
fn error_of(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let output = on_the_cpu(&path);
    assert_eq!(output.status.code(), Some(1), "{name}");
    records(&output)[0]["error"].as_str().unwrap().to_owned()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn photo() -> RgbImage {
    image::open(fixture("rgb.png")).unwrap().into_rgb8()
}

/// Where the bytes of a marker or chunk begin.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn jpegs_without_their_end_are_read_as_far_as_they_go() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(example("astronaut.jpg")).unwrap();
    let end = whole.len() - 2;
    assert_eq!(&whole[end..], b"\xff\xd9");
    let with_trailer = [&whole[..], b"SEFHk\0\0\0SEFT", &[0xAB; 300]].concat();
    assert_eq!(warning_of(&folder, "trailer.jpg", &with_trailer), "");
    let lacks = "damaged JPEG, repaired: the file lacks its end marker";
    assert_eq!(warning_of(&folder, "endless.jpg", &whole[..end]), lacks);
    let padded = [&whole[..end], &[0; 300][..]].concat();
    assert!(warning_of(&folder, "padded.jpg", &padded).starts_with("damaged JPEG, repaired"));
    let cut = warning_of(&folder, "cut.jpg", &whole[..end - end / 50]);
    assert!(cut.starts_with("damaged JPEG, repaired: "), "{cut}");

    // Cut earlier, the error says how much there was.
    let error = error_of(&folder, "half.jpg", &whole[..end / 2]);
    let rows = error.split("of which ").nth(1).unwrap().split(' ').next().unwrap();
    let rows: u32 = rows.parse().unwrap();
    assert!((128..400).contains(&rows) && error.contains("of 512 rows can be read"), "{error}");
    let progressive = fs::read(fixture("progressive.jpg")).unwrap();
    let error = error_of(&folder, "half.jpg", &progressive[..progressive.len() / 2]);
    assert!(error.starts_with("truncated or damaged JPEG"), "{error}");
}

#[test]
fn jpegs_damaged_inside_are_repaired_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(example("astronaut.jpg")).unwrap();
    // The face stands in the upper half.
    let cut = [&whole[..whole.len() * 6 / 10], b"\xff\xd9"].concat();
    let warning = warning_of(&folder, "cut.jpg", &cut);
    assert!(warning.starts_with("damaged JPEG, repaired"), "{warning}");
    let mut zeros = whole.clone();
    let at = whole.len() * 7 / 10;
    zeros[at..at + 4096].fill(0);
    let warning = warning_of(&folder, "zeros.jpg", &zeros);
    assert!(warning.starts_with("damaged JPEG, repaired"), "{warning}");
}

/// Frames of motion JPEG leave out the tables that all of them share.
#[test]
fn jpegs_without_huffman_tables_use_the_standard_ones() {
    let folder = tempfile::tempdir().unwrap();
    // `image`'s encoder writes the standard tables.
    let mut bytes = encoded(&photo().into(), ImageFormat::Jpeg);
    while let Some(at) = bytes.windows(2).position(|window| window == b"\xff\xc4") {
        let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        bytes.drain(at..at + 2 + length);
    }
    assert_eq!(warning_of(&folder, "frame.jpg", &bytes), "");
}

/// A TIFF directory with the orientation as an integer of a type: 1 is BYTE, 3 SHORT, 4 LONG.
fn exif(orientation: u8, kind: u8) -> Vec<u8> {
    let head = b"II*\0\x08\0\0\0\x01\0\x12\x01";
    [&head[..], &[kind, 0, 1, 0, 0, 0, orientation, 0, 0, 0], &[0; 4]].concat()
}

#[test]
fn orientation_is_applied_whatever_integer_it_is_stored_as() {
    let folder = tempfile::tempdir().unwrap();
    let (width, height) = photo().dimensions();
    // Lies on its side, and says so.
    let turned = DynamicImage::from(image::imageops::rotate270(&photo()));
    for kind in [1, 3, 4] {
        let exif = exif(6, kind);
        let mut jpeg = encoded(&turned, ImageFormat::Jpeg);
        let segment = [b"Exif\0\0", &exif[..]].concat();
        let length = (segment.len() as u16 + 2).to_be_bytes();
        jpeg.splice(2..2, [&[0xFF, 0xE1][..], &length, &segment].concat());
        let mut png = encoded(&turned, ImageFormat::Png);
        let chunk = [b"eXIf", &exif[..]].concat();
        let length = (exif.len() as u32).to_be_bytes();
        let crc = crc32(&chunk).to_be_bytes();
        png.splice(33..33, [&length[..], &chunk, &crc].concat());
        // The extended form of WebP: the flag of EXIF data, the canvas less one, the image, the data.
        let plain = encoded(&turned, ImageFormat::WebP);
        let canvas = [turned.width() - 1, turned.height() - 1].map(u32::to_le_bytes);
        let head = [&[8, 0, 0, 0][..], &canvas[0][..3], &canvas[1][..3]].concat();
        let chunk = |name: &[u8], content: &[u8]| {
            let pad = vec![0; content.len() % 2];
            [name, &(content.len() as u32).to_le_bytes(), content, &pad].concat()
        };
        let chunks =
            [b"WEBP", &chunk(b"VP8X", &head)[..], &plain[12..], &chunk(b"EXIF", &exif)].concat();
        let webp = chunk(b"RIFF", &chunks);
        for (name, bytes) in [("turned.jpg", jpeg), ("turned.png", png), ("turned.webp", webp)] {
            assert_eq!(warning_of(&folder, name, &bytes), "", "{kind}");
            let output = detect([folder.path().join(name)]);
            let record = &records(&output)[0];
            assert_eq!((record["width"].as_u64(), record["height"].as_u64()), {
                (Some(width.into()), Some(height.into()))
            });
        }
    }
}

/// What libheif wrote, turned by the file's own transforms.
#[cfg(feature = "heic")]
#[test]
fn heic_is_decoded_where_it_is_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(fixture("rotated.heic")).unwrap();
    for name in ["a.HEIC", "b.jpg", "c"] {
        assert_eq!(warning_of(&folder, name, &bytes), "");
    }
    let output = on_the_cpu(folder.path());
    let records = records(&output);
    assert_eq!(records.len(), 3);
    assert_eq!(
        (records[0]["width"].as_u64(), records[0]["height"].as_u64()),
        (Some(256), Some(224))
    );
    let error = error_of(&folder, "cut.heic", &bytes[..bytes.len() / 2]);
    assert!(error.starts_with("truncated or damaged HEIC: "), "{error}");
}

#[cfg(not(feature = "heic"))]
#[test]
fn heic_is_named_where_it_is_not_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let error = error_of(&folder, "a.jpg", &fs::read(fixture("rotated.heic")).unwrap());
    assert!(error.starts_with("HEIC is not decoded here; convert it"), "{error}");
    assert!(error.contains("`heif-convert") && error.contains("feature `heic`"), "{error}");
}

#[test]
fn pngs_with_wrong_checksums_or_no_end_are_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("rgb.png")).unwrap();
    let endless = &whole[..find(&whole, b"IEND") - 4];
    let warning = warning_of(&folder, "endless.png", endless);
    assert_eq!(warning, "damaged PNG, repaired: the file lacks its end");
    let mut wrong = whole.clone();
    let data = find(&whole, b"IDAT");
    let length = u32::from_be_bytes(whole[data - 4..data].try_into().unwrap()) as usize;
    wrong[data + 4 + length] ^= 0xFF;
    let warning = warning_of(&folder, "wrong.png", &wrong);
    assert_eq!(warning, "damaged PNG, repaired: a checksum of the image data is wrong");
    let error = error_of(&folder, "half.png", &whole[..whole.len() / 2]);
    assert!(error.starts_with("truncated or damaged PNG"), "{error}");
}

fn write_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn icons_of_png_and_plain_surfaces_are_read() {
    let folder = tempfile::tempdir().unwrap();
    // Icons are of up to 256 pixels; a face fits.
    let small = image::imageops::crop_imm(&photo(), 97, 0, 256, 256).to_image();
    let png = encoded(&small.clone().into(), ImageFormat::Png);
    let mut ico = vec![0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 24, 0, 0, 0, 0, 0, 22, 0, 0, 0];
    write_u32(&mut ico, 14, png.len() as u32);
    ico.extend(png);
    assert_eq!(warning_of(&folder, "icon.ico", &ico), "");

    let (width, height) = small.dimensions();
    let mut dds = vec![0; 128];
    dds[..4].copy_from_slice(b"DDS ");
    let fields = [(4, 124), (8, 0x100F), (12, height), (16, width), (76, 32), (80, 0x40), (88, 24)];
    let masks = [(92, 0xFF_0000), (96, 0xFF00), (100, 0xFF), (108, 0x1000)];
    fields.iter().chain(&masks).for_each(|(at, value)| write_u32(&mut dds, *at, *value));
    dds.extend(small.pixels().flat_map(|Rgb([r, g, b])| [*b, *g, *r]));
    assert_eq!(warning_of(&folder, "surface.dds", &dds), "");
    assert!(error_of(&folder, "cut.dds", &dds[..9000]).starts_with("truncated or damaged DDS"));
}

/// A TIFF file of one strip: samples a pixel, bits a sample, photometric interpretation, sample format.
fn tiff(size: (u32, u32), layout: [u16; 4], orientation: (u16, u32), data: &[u8]) -> Vec<u8> {
    let [samples, bits, photometric, format] = layout.map(u32::from);
    let bits_at = 8 + 2 + 12 * 12 + 4;
    let data_at = bits_at + 8;
    let mut entries: Vec<(u16, u16, u32, u32)> = vec![
        (256, 4, 1, size.0),
        (257, 4, 1, size.1),
        (258, 3, samples, if samples > 1 { bits_at } else { bits }),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, data_at),
        (274, orientation.0, 1, orientation.1),
        (277, 3, 1, samples),
        (278, 4, 1, size.1),
        (279, 4, 1, data.len() as u32),
        (339, 3, 1, format),
        (530, 3, 2, 0x0001_0001),
    ];
    if photometric != 6 {
        // Only of colours by luminance.
        entries[11] = (296, 3, 1, 1);
        entries.swap(10, 11);
    }
    let mut bytes = b"II*\0\x08\0\0\0\x0c\0".to_vec();
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend([bits as u16; 4].map(u16::to_le_bytes).concat());
    bytes.extend(data);
    bytes
}

#[test]
fn tiffs_of_floats_and_of_luminance_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let photo = photo();
    let size = photo.dimensions();
    let grey = DynamicImage::from(photo.clone()).into_luma8();
    let floats: Vec<u8> =
        grey.pixels().flat_map(|p| (f32::from(p.0[0]) / 255.0).to_le_bytes()).collect();
    assert_eq!(warning_of(&folder, "f.tif", &tiff(size, [1, 32, 1, 3], (3, 1), &floats)), "");
    // Degrees, as a thermal camera stores them.
    let degrees: Vec<u8> =
        grey.pixels().flat_map(|p| (20.0 + f32::from(p.0[0]) / 16.0).to_le_bytes()).collect();
    let stretched = "little contrast: its values were stretched";
    let bytes = tiff(size, [1, 32, 1, 3], (3, 1), &degrees);
    assert_eq!(warning_of(&folder, "degrees.tif", &bytes), stretched);
    let ycbcr: Vec<u8> = photo
        .pixels()
        .flat_map(|Rgb(rgb)| {
            let [r, g, b] = rgb.map(f64::from);
            let y = 0.299 * r + 0.587 * g + 0.114 * b;
            [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402].map(|v| v.round() as u8)
        })
        .collect();
    assert_eq!(warning_of(&folder, "y.tif", &tiff(size, [3, 8, 6, 1], (3, 1), &ycbcr)), "");
    // On its side, and the orientation a LONG.
    let turned = image::imageops::rotate270(&photo);
    let bytes = tiff(turned.dimensions(), [3, 8, 2, 1], (4, 6), turned.as_raw());
    assert_eq!(warning_of(&folder, "long.tif", &bytes), "");
}

#[test]
fn sixteen_bits_of_little_contrast_are_stretched() {
    let folder = tempfile::tempdir().unwrap();
    let grey = DynamicImage::from(photo()).into_luma8();
    let deep = |scale: u16, offset: u16| {
        let pixels = grey.pixels().map(|p| offset + scale * u16::from(p.0[0])).collect();
        let image = image::ImageBuffer::from_raw(grey.width(), grey.height(), pixels).unwrap();
        encoded(&DynamicImage::ImageLuma16(image), ImageFormat::Png)
    };
    assert_eq!(warning_of(&folder, "full.png", &deep(257, 0)), "");
    let stretched = "little contrast: its values were stretched";
    assert_eq!(warning_of(&folder, "thermal.png", &deep(4, 7000)), stretched);
}

#[test]
fn heads_of_files_never_crash() {
    let folder = tempfile::tempdir().unwrap();
    let files: [PathBuf; 5] = [
        example("astronaut.jpg"),
        fixture("progressive.jpg"),
        fixture("rgb.png"),
        fixture("animated.webp"),
        fixture("animated.gif"),
    ];
    let heads: Vec<PathBuf> = files
        .iter()
        .flat_map(|file| (1..40).map(move |length| (file, length * length)))
        .map(|(file, length)| {
            let bytes = fs::read(file).unwrap();
            let name = format!("{}-{length}", Path::new(file.file_name().unwrap()).display());
            let path = folder.path().join(name);
            fs::write(&path, &bytes[..length.min(bytes.len())]).unwrap();
            path
        })
        .collect();
    let output = detect(&heads);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(records(&output).len(), heads.len());
}
