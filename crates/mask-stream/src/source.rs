//! Where frames come from.

use std::{fmt, path::Path, str::FromStr};

use geometry::ImageSize;

use crate::StreamError;

/// Where frames come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A video file, or numbered images such as `frames/%04d.jpg`.
    File(String),
    /// A camera of this machine: its number or its device.
    Camera(String),
    /// A stream of the network, such as `rtsp://camera/1`.
    Network(String),
    /// Frames on standard input.
    Raw(RawFormat),
}

/// What frames on standard input are like: rows of RGB pixels, eight bits a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawFormat {
    /// Width and height in pixels.
    pub size: ImageSize,
    /// Frames a second.
    pub rate: f64,
}

/// Schemes of network sources.
const SCHEMES: [&str; 9] = [
    "rtsp://", "rtsps://", "rtmp://", "rtmps://", "http://", "https://", "srt://", "udp://",
    "tcp://",
];

/// Extensions of what is a file though it comes over HTTP.
const VIDEO_EXTENSIONS: [&str; 7] = ["avi", "mkv", "mov", "mp4", "mpeg", "mpg", "webm"];

impl Source {
    /// Whether frames come at their own pace, and those that are not taken in time are worth nothing.
    pub fn is_live(&self) -> bool {
        match self {
            Self::File(_) | Self::Raw(_) => false,
            Self::Camera(_) => true,
            Self::Network(address) => {
                let path = address.split(['?', '#']).next().unwrap_or_default();
                let extension = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
                !(address.starts_with("http") && VIDEO_EXTENSIONS.contains(&&*extension))
            }
        }
    }

    /// Whether it may come back after it was lost.
    pub(crate) fn may_come_back(&self) -> bool {
        matches!(self, Self::Camera(_) | Self::Network(_)) && self.is_live()
    }

    /// Words of ffmpeg about it, without its address, which whoever shows them puts before them and which
    /// may hold a password.
    pub(crate) fn without_address(&self, words: &str) -> String {
        match self {
            Self::File(text) | Self::Camera(text) | Self::Network(text) => {
                let words = words.strip_prefix("file:").unwrap_or(words);
                let words = words.strip_prefix(&format!("{text}: ")).unwrap_or(words);
                words.replace(text, &self.to_string())
            }
            Self::Raw(_) => words.to_owned(),
        }
    }

    /// ffmpeg's arguments for it.
    pub(crate) fn input_arguments(&self) -> Vec<String> {
        let owned = |arguments: &[&str]| arguments.iter().map(|text| (*text).to_owned()).collect();
        match self {
            Self::File(path) => {
                // Names may begin with a dash or look like addresses.
                let is_plain = Path::new(path).is_absolute() || path.contains('%');
                let path = if is_plain { path.clone() } else { format!("file:{path}") };
                owned(&["-i", &path])
            }
            Self::Camera(device) => {
                let number = device.parse::<u32>().is_ok();
                if cfg!(target_os = "macos") {
                    owned(&["-f", "avfoundation", "-framerate", "30", "-i", device])
                } else if cfg!(windows) {
                    owned(&["-f", "dshow", "-i", &format!("video={device}")])
                } else {
                    let device =
                        if number { format!("/dev/video{device}") } else { device.clone() };
                    owned(&["-f", "v4l2", "-i", &device])
                }
            }
            Self::Network(address) => {
                let mut arguments: Vec<String> = Vec::new();
                if self.is_live() {
                    arguments.extend(owned(&["-fflags", "nobuffer", "-flags", "low_delay"]));
                }
                if address.starts_with("rtsp") {
                    // Over UDP a lost packet is a broken picture.
                    arguments.extend(owned(&["-rtsp_transport", "tcp"]));
                }
                arguments.extend(owned(&["-i", address]));
                arguments
            }
            Self::Raw(_) => Vec::new(),
        }
    }
}

impl FromStr for Source {
    type Err = StreamError;

    /// A number or a device is a camera, an address is a stream, all else a file, which must be there.
    fn from_str(text: &str) -> Result<Self, StreamError> {
        let lower = text.to_ascii_lowercase();
        if SCHEMES.iter().any(|scheme| lower.starts_with(scheme)) {
            return Ok(Self::Network(text.to_owned()));
        }
        if text.parse::<u32>().is_ok() || text.starts_with("/dev/video") {
            return Ok(Self::Camera(text.to_owned()));
        }
        if lower.contains("://") {
            return Err(StreamError::Source(format!(
                "{text}: the schemes of streams are {}",
                SCHEMES.join(", ")
            )));
        }
        let path = text.strip_prefix("file:").unwrap_or(text);
        let is_numbered = path.contains('%');
        if !is_numbered && !Path::new(path).exists() {
            return Err(StreamError::Source(format!("{text}: no such file")));
        }
        if Path::new(path).is_dir() {
            return Err(StreamError::Source(format!(
                "{text} is a folder; give a video, a pattern such as {text}/%04d.jpg, or use `detect --watch`"
            )));
        }
        Ok(Self::File(path.to_owned()))
    }
}

impl fmt::Display for Source {
    /// Without the password that an address may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(text) | Self::Camera(text) => f.write_str(text),
            Self::Network(address) => f.write_str(&without_password(address)),
            Self::Raw(_) => f.write_str("-"),
        }
    }
}

/// An address as it may be shown.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => {
            let user = rest[..at].split(':').next().unwrap_or_default();
            format!("{scheme}://{user}{}", &rest[at..])
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_by_their_names() {
        let source = |text: &str| text.parse::<Source>();
        assert_eq!(source("0").unwrap(), Source::Camera("0".to_owned()));
        assert!(source("rtsp://camera/1").unwrap().is_live());
        assert!(source("HTTP://camera/video.mjpg").unwrap().is_live());
        assert!(!source("https://archive/a.mp4?token=1").unwrap().is_live());
        assert!(matches!(source("frames/%04d.jpg"), Ok(Source::File(_))));
        for (text, words) in [
            ("absent.mp4", "no such file"),
            ("ftp://a/b.mp4", "the schemes of streams are rtsp://"),
            (".", "is a folder"),
        ] {
            assert!(source(text).unwrap_err().to_string().contains(words), "{text}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = |text: &str| Source::Network(text.to_owned()).to_string();
        assert_eq!(shown("rtsp://me:se@cret@camera:554/1@2"), "rtsp://me@camera:554/1@2");
        assert_eq!(shown("rtsp://camera/1@2"), "rtsp://camera/1@2");
    }
}
