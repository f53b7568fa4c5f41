//! What a file is, by its first bytes and its name.

use std::{ffi::OsStr, fmt, fs::File, io::Read, path::Path};

use image::ImageFormat;

/// Bytes of a file that suffice to tell what it is.
const SNIFFED_BYTES: u64 = 4096;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// An image that is decoded here.
    Image(ImageFormat),
    /// A HEIC image, which is decoded here.
    #[cfg(feature = "heic")]
    Heic,
    /// Something known that is not.
    Other(OtherKind),
    /// Nothing that is known.
    Unknown,
}

/// What cannot be decoded here, though it may show faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OtherKind {
    /// An image of a format without a decoder here, by its name.
    Image(&'static str),
    /// What a camera's sensor saw.
    CameraRaw,
    /// A video.
    Video,
    /// Of any other known type, by its media type.
    Document(&'static str),
}

impl OtherKind {
    /// What helps.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Image("HEIC") => Some(
                "convert it to JPEG, for example with `heif-convert photo.heic photo.jpg`, or build \
                     with the feature `heic`",
            ),
            Self::Image("JPEG XL") => {
                Some("convert it to JPEG, for example with `djxl photo.jxl photo.jpg`")
            }
            Self::Image(_) => {
                Some("convert it to JPEG or PNG, for example with `magick photo photo.png`")
            }
            Self::CameraRaw => {
                Some("develop it to JPEG, for example with `darktable-cli photo photo.jpg`")
            }
            Self::Video => {
                Some("take images out of it, for example with `ffmpeg -i video -vf fps=1 %06d.jpg`")
            }
            Self::Document(_) => None,
        }
    }
}

impl fmt::Display for OtherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(name) => write!(f, "{name}"),
            Self::CameraRaw => write!(f, "camera raw"),
            Self::Video => write!(f, "video"),
            Self::Document(media_type) => write!(f, "{media_type}"),
        }
    }
}

impl FileKind {
    /// What a file is that begins with `bytes`. `extension` tells TGA, which has no mark at its
    /// beginning, and camera raw files that look like TIFF.
    pub fn of(bytes: &[u8], extension: Option<&OsStr>) -> Self {
        if is_camera_raw(bytes, extension) {
            return Self::Other(OtherKind::CameraRaw);
        }
        if let Ok(format) = image::guess_format(bytes)
            && format.reading_enabled()
        {
            return Self::Image(format);
        }
        // `image` knows its decoder, but not its mark.
        if bytes.starts_with(b"DDS ") {
            return Self::Image(ImageFormat::Dds);
        }
        match other_kind(bytes) {
            #[cfg(feature = "heic")]
            Some(OtherKind::Image("HEIC")) => return Self::Heic,
            Some(other) => return Self::Other(other),
            None => {}
        }
        match extension.and_then(ImageFormat::from_extension) {
            Some(ImageFormat::Tga) if !bytes.is_empty() => Self::Image(ImageFormat::Tga),
            _ => Self::Unknown,
        }
    }

    /// Whether it is an image that is decoded here.
    pub fn is_image(self) -> bool {
        match self {
            Self::Image(_) => true,
            #[cfg(feature = "heic")]
            Self::Heic => true,
            Self::Other(_) | Self::Unknown => false,
        }
    }

    /// What a file is, from its first bytes.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(path: &Path) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?.take(SNIFFED_BYTES).read_to_end(&mut bytes)?;
        Ok(Self::of(&bytes, path.extension()))
    }
}

fn other_kind(bytes: &[u8]) -> Option<OtherKind> {
    let found = infer::get(bytes)?;
    Some(match (found.mime_type(), found.matcher_type()) {
        ("image/heif", _) => OtherKind::Image("HEIC"),
        ("image/avif", _) => OtherKind::Image("AVIF"),
        ("image/jxl", _) => OtherKind::Image("JPEG XL"),
        ("image/jp2", _) => OtherKind::Image("JPEG 2000"),
        ("image/vnd.ms-photo", _) => OtherKind::Image("JPEG XR"),
        ("image/vnd.adobe.photoshop", _) => OtherKind::Image("Photoshop"),
        (_, infer::MatcherType::Image) => OtherKind::Image(found.mime_type()),
        (_, infer::MatcherType::Video) => OtherKind::Video,
        _ => OtherKind::Document(found.mime_type()),
    })
}

/// Marks at the beginning of raw files: Canon's CR2 and CR3, Fujifilm's RAF, Olympus's ORF,
/// Panasonic's RW2, Sigma's X3F; as in LibRaw's `identify`.
const RAW_MARKS: [(usize, &[u8]); 8] = [
    (8, b"CR\x02\0"),
    (4, b"ftypcrx "),
    (0, b"FUJIFILMCCD-RAW"),
    (0, b"IIRO"),
    (0, b"IIRS"),
    (0, b"MMOR"),
    (0, b"IIU\0"),
    (0, b"FOVb"),
];

/// Extensions of raw files that are TIFF files by their marks; their first image is a thumbnail.
const RAW_EXTENSIONS: [&str; 12] =
    ["3fr", "arw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "nef", "nrw", "pef", "srw"];

fn is_camera_raw(bytes: &[u8], extension: Option<&OsStr>) -> bool {
    let marked =
        |(at, mark): &(usize, &[u8])| bytes.get(*at..).is_some_and(|rest| rest.starts_with(mark));
    let named = || {
        let extension = extension.and_then(OsStr::to_str).unwrap_or_default();
        RAW_EXTENSIONS.iter().any(|raw| raw.eq_ignore_ascii_case(extension))
    };
    let is_tiff = bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*");
    RAW_MARKS.iter().any(marked) || is_tiff && (named() || has_dng_version(bytes))
}

/// Whether the first directory of a TIFF file has the tag that makes it a digital negative (Adobe's
/// DNG specification: DNGVersion is 50706), as phones write them, sometimes under other names.
fn has_dng_version(bytes: &[u8]) -> bool {
    const DNG_VERSION: u16 = 50706;
    let little = bytes.starts_with(b"II");
    let number = |at: usize| {
        let pair = [*bytes.get(at)?, *bytes.get(at + 1)?];
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let offset = |at: usize| {
        let (first, second) = (usize::from(number(at)?), usize::from(number(at + 2)?));
        Some(if little { second << 16 | first } else { first << 16 | second })
    };
    let Some(directory) = offset(4) else { return false };
    let entries = number(directory).map_or(0, usize::from);
    // An entry is of 12 bytes, the first two its tag.
    (0..entries).any(|entry| number(directory + 2 + 12 * entry) == Some(DNG_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        let other = |bytes: &[u8]| match FileKind::of(bytes, None) {
            FileKind::Other(kind) => kind.to_string(),
            kind => format!("{kind:?}"),
        };
        let heic = if cfg!(feature = "heic") { "Heic" } else { "HEIC" };
        assert_eq!(other(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), heic);
        assert_eq!(other(b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf"), "AVIF");
        assert_eq!(other(b"\xff\x0a\x7f\x01\x08\x10\x20\x40\0\0"), "JPEG XL");
        assert_eq!(other(b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a\0\0\0\x14ftypjxl "), "JPEG XL");
        assert_eq!(other(b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom"), "camera raw");
        assert_eq!(other(b"FUJIFILMCCD-RAW 0201"), "camera raw");
        assert_eq!(other(b"\0\0\0\x18ftypisom\0\0\x02\0isommp42"), "video");
        assert_eq!(other(b"%PDF-1.7\n"), "application/pdf");
        assert_eq!(other(b"words"), "Unknown");
        assert_eq!(other(b"\xff\xd8\xff\xe0"), "Image(Jpeg)");
    }

    #[test]
    fn negatives_are_not_taken_for_the_thumbnails_in_them() {
        // A directory at 8 with two entries, in either order of bytes.
        let little = b"II*\0\x08\0\0\0\x02\0\xfe\0\x04\0\x01\0\0\0\x01\0\0\0\x12\xc6\x01\0\x04\0\0\0\x01\x04\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x02\0\xfe\0\x04\0\0\0\x01\0\0\0\x01\xc6\x12\0\x01\0\0\0\x04\x01\x04\0\0";
        for bytes in [&little[..], &big[..]] {
            assert_eq!(FileKind::of(bytes, None), FileKind::Other(OtherKind::CameraRaw));
            assert_eq!(FileKind::of(&bytes[..20], None), FileKind::Image(ImageFormat::Tiff));
        }
        let named = FileKind::of(&little[..20], Some(OsStr::new("NEF")));
        assert_eq!(named, FileKind::Other(OtherKind::CameraRaw));
    }
}
