//! JPEG, also without its end, without Huffman tables, and damaged.

use std::{collections::BTreeSet, io::Cursor};

use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::{colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{DecodeError, DecodeOptions, Pixels, check_size, orientation};

/// What zune-jpeg fills rows with that it cannot decode.
const FILL: u8 = 128;
/// Of a file that is cut short, so much must be readable.
const READABLE: f64 = 0.9;

/// Zeros after the data of a file, so that reading ahead is not taken for reading beyond its end.
const READ_AHEAD: usize = 16;

/// Decodes a file. What the decoder repairs is noted; a file that ends before its last rows is an
/// error.
///
/// `image` always sets zune-jpeg's strict mode to false, which repairs and says nothing, so the decoder
/// is used here itself: first strictly, and again if that fails.
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Pixels, DecodeError> {
    let layout = Layout::of(bytes);
    if !layout.is_common {
        // zune-jpeg 0.5.15 panics on some: https://github.com/etemesi254/zune-image/pull/374 and
        // https://github.com/etemesi254/zune-image/pull/376.
        return Err(DecodeError::Unsupported("JPEG of unusual channels".to_owned()));
    }
    let end = layout.end.unwrap_or(bytes.len());
    let mut data = bytes[..end].to_vec();
    // At an end marker even strict decoding takes zeros for what is missing; at the end of the data it
    // does not. Only several scans need the marker.
    let watched = layout.scans == 1 && !layout.is_progressive;
    data.extend(if watched { &[0; READ_AHEAD][..] } else { &[0xFF, END_OF_IMAGE] });
    if let (false, Some(scan)) = (layout.has_tables, layout.first_scan) {
        data.splice(scan..scan, standard_tables());
    }
    let length = data.len();
    let lenient = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut cursor = Cursor::new(&*data);
    let mut decoder = JpegDecoder::new_with_options(&mut cursor, lenient);
    decoder.decode_headers().map_err(|error| damaged(&reason(&error)))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let size = (width as u32, height as u32);
    check_size(size, options)?;
    let orientation = decoder.exif().and_then(|exif| orientation::of_exif(exif));
    let (channels, color) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        _ => (3, ColorSpace::RGB),
    };
    let wanted = lenient.jpeg_set_out_colorspace(color);
    let mut pixels = vec![FILL; width * height * channels];
    decoder.set_options(wanted.set_strict_mode(true));
    let strict = decoder.decode_into(&mut pixels);
    let mut damage = None;
    if let Err(error) = strict {
        pixels.fill(FILL);
        let mut decoder = JpegDecoder::new_with_options(Cursor::new(&*data), wanted);
        decoder.decode_into(&mut pixels).map_err(|error| damaged(&reason(&error)))?;
        let row = (width * channels).max(1);
        let filled = pixels.chunks(row).rev().take_while(|row| row.iter().all(|v| *v == FILL));
        let read = height - filled.count();
        if layout.end.is_none() && (read as f64) < READABLE * height as f64 {
            return Err(damaged(&format!(
                "the file ends before the image, of which {read} of {height} rows can be read"
            )));
        }
        damage = Some(match read < height {
            true => format!("{read} of {height} rows could be read"),
            false => reason(&error),
        });
    } else if watched && (cursor.position() as usize) + 2 * READ_AHEAD < length {
        damage = Some("more data than the image needs".to_owned());
    } else if layout.end.is_none() {
        // Of a progressive file every row is there, but perhaps coarse.
        if layout.is_progressive && !layout.is_refined() {
            return Err(damaged("the file ends before the image, which is there only coarsely"));
        }
        damage = Some("the file lacks its end marker".to_owned());
    }
    let image = match channels {
        1 => GrayImage::from_raw(size.0, size.1, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(size.0, size.1, pixels).map(DynamicImage::from),
    };
    let image = image.ok_or_else(|| damaged("a size that does not fit"))?;
    Ok(Pixels { image, orientation, damage })
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged { format: "JPEG".to_owned(), reason: reason.to_owned() }
}

/// The decoder's words, on one line.
fn reason(error: &DecodeErrors) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const HUFFMAN_TABLES: u8 = 0xC4;
const BASELINE_FRAME: u8 = 0xC0;
const PROGRESSIVE_FRAME: u8 = 0xC2;

/// What the segments of a file tell.
#[derive(Debug, Default)]
struct Layout {
    /// Where the end-of-image marker begins.
    end: Option<usize>,
    is_progressive: bool,
    components: usize,
    /// Whether the channels are one, three or four, of which none is finer than the first.
    is_common: bool,
    /// Whether Huffman tables stand before the first scan.
    has_tables: bool,
    /// Where the first scan's marker begins.
    first_scan: Option<usize>,
    scans: usize,
    /// Components whose mean, or whose highest frequency, a scan tells to the last bit.
    refined: BTreeSet<(u8, bool)>,
}

impl Layout {
    /// Walks the markers and their lengths as in ITU-T T.81, annex B, up to the end of the image; what
    /// follows that, as phones append it, does not matter.
    fn of(bytes: &[u8]) -> Self {
        let mut layout = Self { is_common: true, ..Self::default() };
        let mut at = 2;
        // Between segments: to the next marker, over fill bytes and entropy-coded data.
        while let Some(skip) =
            bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xFF))
        {
            at += skip;
            let begin = at;
            while bytes.get(at) == Some(&0xFF) {
                at += 1;
            }
            let Some(marker) = bytes.get(at).copied() else { break };
            at += 1;
            match marker {
                END_OF_IMAGE => {
                    layout.end = Some(begin);
                    break;
                }
                // Stuffed zeros, TEM, restart and start-of-image markers stand alone.
                0x00 | 0x01 | 0xD0..=0xD8 => continue,
                _ => {}
            }
            let Some(length) = bytes.get(at..at + 2) else { break };
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let segment = bytes.get(at + 2..at + length.max(2)).unwrap_or_default();
            match marker {
                START_OF_SCAN => layout.scan(begin, segment),
                HUFFMAN_TABLES => layout.has_tables |= layout.first_scan.is_none(),
                BASELINE_FRAME..=PROGRESSIVE_FRAME => {
                    layout.is_progressive = marker == PROGRESSIVE_FRAME;
                    layout.components = segment.get(5).copied().map_or(0, usize::from);
                    // A header that is cut short is the decoder's to refuse.
                    layout.is_common = segment.is_empty()
                        || matches!(layout.components, 1 | 3 | 4)
                            && is_common(&segment[6.min(segment.len())..]);
                }
                _ => {}
            }
            at += length;
        }
        layout
    }

    fn scan(&mut self, at: usize, segment: &[u8]) {
        self.first_scan = self.first_scan.or(Some(at));
        self.scans += 1;
        let Some((count, rest)) = segment.split_first() else { return };
        let (components, rest) = rest.split_at((2 * usize::from(*count)).min(rest.len()));
        if let [first, last, bits] = rest
            && bits & 0x0F == 0
        {
            for component in components.iter().step_by(2) {
                if *first == 0 {
                    self.refined.insert((*component, false));
                }
                if *last == 63 {
                    self.refined.insert((*component, true));
                }
            }
        }
    }

    /// Whether the last scans of a progressive file have at least begun.
    fn is_refined(&self) -> bool {
        self.components > 0 && self.refined.len() == 2 * self.components
    }
}

/// Whether no channel of a frame's header has more samples than the first one.
fn is_common(channels: &[u8]) -> bool {
    // Each is its number, the samples across and down in half a byte each, and its table.
    let samples = channels.chunks(3).filter_map(|channel| channel.get(1));
    let first = samples.clone().next().copied().unwrap_or(0);
    samples.copied().all(|other| other >> 4 <= first >> 4 && other & 0x0F <= first & 0x0F)
}

/// A segment with the typical Huffman tables of ITU-T T.81, annex K.3, which frames of motion JPEG
/// leave out.
fn standard_tables() -> Vec<u8> {
    const DC_VALUES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    let tables: [(u8, [u8; 16], &[u8]); 4] = [
        (0x00, [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC_VALUES),
        (0x10, [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &AC_LUMINANCE),
        (0x01, [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC_VALUES),
        (0x11, [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &AC_CHROMINANCE),
    ];
    let mut body = Vec::new();
    for (class_and_place, counts, values) in tables {
        body.push(class_and_place);
        body.extend(counts);
        body.extend(values);
    }
    let length = (body.len() + 2) as u16;
    [&[0xFF, HUFFMAN_TABLES][..], &length.to_be_bytes(), &body].concat()
}

#[rustfmt::skip]
const AC_LUMINANCE: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

#[rustfmt::skip]
const AC_CHROMINANCE: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];
