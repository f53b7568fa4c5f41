//! One run of ffmpeg, or of standard input, as frames.

use std::{
    io::{self, BufRead, BufReader, Read, Stdin},
    process::{Child, ChildStdout, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Instant,
};

use geometry::ImageSize;
use image::RgbImage;

use crate::{Ffmpeg, RawFormat, Source, StreamError, ffmpeg::error_of};

/// A picture of a source.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number, from 0 on.
    pub index: u64,
    /// Seconds since the beginning of the source.
    pub time: f64,
    /// Its pixels, upright.
    pub image: RgbImage,
    /// When it came out of the decoder.
    pub arrived: Instant,
}

/// Which of a source's frames are wanted, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameSelection {
    /// Only every so many-th frame. Default: 1.
    pub every: u32,
    /// At most so many frames a second.
    pub max_rate: Option<f64>,
    /// From so many seconds after the beginning on.
    pub start: f64,
    /// For so many seconds.
    pub duration: Option<f64>,
    /// Scaled to this size.
    pub size: Option<ImageSize>,
}

impl Default for FrameSelection {
    fn default() -> Self {
        Self { every: 1, max_rate: None, start: 0.0, duration: None, size: None }
    }
}

impl FrameSelection {
    /// ffmpeg's filters, the last of which tells time and size of every frame.
    fn filters(&self) -> String {
        let mut filters = Vec::new();
        if self.every > 1 {
            filters.push(format!("select='not(mod(n,{}))'", self.every));
        }
        if let Some(rate) = self.max_rate {
            // A little early rather than a whole frame late.
            let apart = 0.999 / rate;
            filters.push(format!("select='isnan(prev_selected_t)+gte(t-prev_selected_t,{apart})'"));
        }
        if let Some(ImageSize { width, height }) = self.size {
            filters.push(format!("scale={width}:{height}"));
        }
        filters.push("showinfo=checksum=0".to_owned());
        filters.join(",")
    }
}

/// What ffmpeg says of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Described {
    /// Its length in seconds.
    pub(crate) duration: Option<f64>,
    /// Frames a second.
    pub(crate) rate: Option<f64>,
}

/// Time in seconds and size of the next frame.
type Info = (Option<f64>, ImageSize);

/// What stderr told, beside the frames.
#[derive(Debug, Default)]
struct Said {
    described: Described,
    error: Option<String>,
}

/// Frames as they come.
pub(crate) enum Frames {
    Ffmpeg(FfmpegFrames),
    Raw(RawFrames),
}

impl Frames {
    /// Starts to read a source; a file that is to be `live` at the pace of its own times.
    ///
    /// # Errors
    /// If ffmpeg is needed and cannot be started.
    pub(crate) fn open(
        source: &Source,
        ffmpeg: Option<&Ffmpeg>,
        selection: &FrameSelection,
        live: bool,
    ) -> Result<Self, StreamError> {
        match (source, ffmpeg) {
            (Source::Raw(format), _) => Ok(Self::Raw(RawFrames::new(*format, *selection))),
            (source, Some(ffmpeg)) => {
                Ok(Self::Ffmpeg(FfmpegFrames::start(source, ffmpeg, selection, live)?))
            }
            (source, None) => Err(StreamError::Source(format!("{source}: there is no ffmpeg"))),
        }
    }

    /// The next frame, or none at the end.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, StreamError> {
        match self {
            Self::Ffmpeg(frames) => frames.next(),
            Self::Raw(frames) => frames.next(),
        }
    }

    /// The child, so that another thread can end it.
    pub(crate) fn child(&self) -> Option<Arc<Mutex<Child>>> {
        match self {
            Self::Ffmpeg(frames) => Some(Arc::clone(&frames.child)),
            Self::Raw(_) => None,
        }
    }

    /// What is known of the source.
    pub(crate) fn described(&self) -> Described {
        match self {
            Self::Ffmpeg(frames) => {
                frames.said.lock().unwrap_or_else(PoisonError::into_inner).described
            }
            Self::Raw(frames) => Described { duration: None, rate: Some(frames.format.rate) },
        }
    }
}

/// Frames that ffmpeg decodes.
pub(crate) struct FfmpegFrames {
    child: Arc<Mutex<Child>>,
    pixels: BufReader<ChildStdout>,
    infos: Receiver<Info>,
    said: Arc<Mutex<Said>>,
    selection: FrameSelection,
    /// The size of all frames, where it cannot change.
    fixed: Option<ImageSize>,
    scales_to_first: bool,
    count: u64,
    time: f64,
}

impl FfmpegFrames {
    fn start(
        source: &Source,
        ffmpeg: &Ffmpeg,
        selection: &FrameSelection,
        live: bool,
    ) -> Result<Self, StreamError> {
        let mut command = ffmpeg.command();
        // The level stands before each line, which tells errors from the rest.
        command.args(["-loglevel", "level+info"]);
        if selection.start > 0.0 {
            command.args(["-ss", &selection.start.to_string()]);
        }
        if let Some(duration) = selection.duration {
            command.args(["-t", &duration.to_string()]);
        }
        if live && matches!(source, Source::File(_)) {
            command.arg("-re");
        }
        command.args(source.input_arguments());
        command.args(["-map", "0:v:0", "-vf", &selection.filters()]);
        command.args(ffmpeg.pass_through());
        command.args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let gone = || io::Error::other("ffmpeg has no output");
        let pixels = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        let messages = child.stderr.take().ok_or_else(gone)?;
        let said = Arc::new(Mutex::new(Said::default()));
        let (sender, infos) = channel();
        let (hears, source) = (Arc::clone(&said), source.clone());
        thread::spawn(move || {
            for line in BufReader::new(messages).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if let Some(info) = frame_info(&line) {
                    // Nobody wants it where the reader is gone.
                    let _ = sender.send(info);
                } else {
                    let mut said = hears.lock().unwrap_or_else(PoisonError::into_inner);
                    said.described.duration = said.described.duration.or_else(|| duration(&line));
                    said.described.rate = said.described.rate.or_else(|| rate(&line));
                    if let Some(error) = error_of(&line) {
                        said.error = Some(source.without_address(error));
                    }
                }
            }
        });
        let child = Arc::new(Mutex::new(child));
        Ok(Self {
            child,
            pixels,
            infos,
            said,
            selection: *selection,
            fixed: None,
            scales_to_first: ffmpeg.scales_to_first(),
            count: 0,
            time: 0.0,
        })
    }

    fn next(&mut self) -> Result<Option<Frame>, StreamError> {
        let Ok((time, size)) = self.infos.recv() else { return self.ended() };
        if self.scales_to_first {
            self.fixed.get_or_insert(size);
        }
        let ImageSize { width, height } = self.fixed.unwrap_or(size);
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        if self.pixels.read_exact(&mut pixels).is_err() {
            return self.ended();
        }
        let arrived = Instant::now();
        let rate = self.said.lock().unwrap_or_else(PoisonError::into_inner).described.rate;
        // Where frames have no time, they come at the source's rate.
        self.time = time.unwrap_or(self.time + 1.0 / rate.unwrap_or(25.0));
        let index = self.count * u64::from(self.selection.every);
        self.count += 1;
        let image = RgbImage::from_raw(width, height, pixels)
            .ok_or_else(|| StreamError::Ffmpeg("a frame of another size".to_owned()))?;
        Ok(Some(Frame { index, time: self.selection.start + self.time, image, arrived }))
    }

    /// How it ended.
    fn ended(&self) -> Result<Option<Frame>, StreamError> {
        let status = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait()?;
        let error = self.said.lock().unwrap_or_else(PoisonError::into_inner).error.clone();
        match (status.success(), self.count, error) {
            (false, _, error) => {
                Err(StreamError::Ffmpeg(error.unwrap_or_else(|| format!("ffmpeg: {status}"))))
            }
            (true, 0, error) => {
                Err(StreamError::Ffmpeg(error.unwrap_or_else(|| "no frames".to_owned())))
            }
            (true, _, _) => Ok(None),
        }
    }
}

impl Drop for FfmpegFrames {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may be gone already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// What the filter `showinfo` says of a frame: `n: 0 pts: 0 pts_time:0 ... s:640x480 ...`.
fn frame_info(line: &str) -> Option<Info> {
    if !line.contains("Parsed_showinfo") {
        return None;
    }
    let (_, rest) = line.split_once("pts_time:")?;
    let time = rest.split_whitespace().next()?.parse().ok();
    let size = rest.split_whitespace().find_map(|word| word.strip_prefix("s:"))?;
    let (width, height) = size.split_once('x')?;
    Some((time, ImageSize { width: width.parse().ok()?, height: height.parse().ok()? }))
}

/// Of `Duration: 00:01:02.50, start: ...`, the seconds.
fn duration(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("Duration: ")?;
    let parts = rest.split(',').next()?.split(':').map(str::parse);
    parts
        .collect::<Result<Vec<f64>, _>>()
        .ok()
        .map(|parts| parts.into_iter().fold(0.0, |seconds, part| 60.0 * seconds + part))
}

/// Of `Stream #0:0: Video: h264, ..., 25 fps, ...`, the frames a second.
fn rate(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("Video: ")?;
    let rate = rest.split(", ").find_map(|part| part.trim().strip_suffix(" fps"))?;
    rate.parse().ok().filter(|rate| *rate > 0.0)
}

/// Frames on standard input.
pub(crate) struct RawFrames {
    format: RawFormat,
    selection: FrameSelection,
    input: BufReader<Stdin>,
    read: u64,
    last: Option<f64>,
}

impl RawFrames {
    fn new(format: RawFormat, selection: FrameSelection) -> Self {
        Self { format, selection, input: BufReader::new(io::stdin()), read: 0, last: None }
    }

    fn next(&mut self) -> Result<Option<Frame>, StreamError> {
        let ImageSize { width, height } = self.format.size;
        let FrameSelection { every, max_rate, start, duration, .. } = self.selection;
        loop {
            let mut pixels = Vec::new();
            let wanted = 3 * u64::from(width) * u64::from(height);
            let found = self.input.by_ref().take(wanted).read_to_end(&mut pixels)? as u64;
            if found == 0 {
                return Ok(None);
            }
            if found < wanted {
                return Err(StreamError::Source(format!(
                    "standard input ended within frame {}: {found} bytes are not {width} x {height} pixels",
                    self.read
                )));
            }
            let (index, time) = (self.read, self.read as f64 / self.format.rate);
            self.read += 1;
            if duration.is_some_and(|duration| time >= start + duration) {
                return Ok(None);
            }
            let too_soon =
                max_rate.zip(self.last).is_some_and(|(rate, last)| time - last < 0.999 / rate);
            if time < start || !index.is_multiple_of(u64::from(every)) || too_soon {
                continue;
            }
            self.last = Some(time);
            let image = RgbImage::from_raw(width, height, pixels)
                .ok_or_else(|| StreamError::Source("a frame of another size".to_owned()))?;
            return Ok(Some(Frame { index, time, image, arrived: Instant::now() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_says_is_understood() {
        let line = "[Parsed_showinfo_0 @ 0x56] [info] n:  24 pts:  86400 pts_time:0.96    pos: 15604 \
                    fmt:yuv444p sar:1/1 s:640x480 i:P iskey:0 type:P ";
        let size = ImageSize { width: 640, height: 480 };
        assert_eq!(frame_info(line), Some((Some(0.96), size)));
        assert_eq!(frame_info(&line.replace("0.96", "NOPTS")), Some((None, size)));
        assert_eq!(frame_info("[Parsed_showinfo_0 @ 0x56] [info] color_range:unknown"), None);
        assert_eq!(duration("[info]   Duration: 00:01:02.50, start: 0.000000"), Some(62.5));
        assert_eq!(duration("[info]   Duration: N/A, start: 0.000000"), None);
        let line = "[info]   Stream #0:0(und): Video: h264 (High), yuv420p, 320x240 [SAR 1:1], 61 kb/s, \
                    29.97 fps, 30 tbr, 12800 tbn";
        assert_eq!(rate(line), Some(29.97));
    }
}
