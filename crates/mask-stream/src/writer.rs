//! Frames into a video file.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    thread::{self, JoinHandle},
};

use image::{RgbImage, imageops};

use crate::{Ffmpeg, Source, StreamError, ffmpeg::error_of};

/// A video file that is being written, at a constant rate, by ffmpeg. Until it is finished it has another
/// name.
pub struct VideoWriter {
    child: Child,
    pixels: Option<ChildStdin>,
    errors: Option<JoinHandle<Option<String>>>,
    size: (u32, u32),
    rate: f64,
    start: f64,
    written: u64,
    last: RgbImage,
    target: PathBuf,
    partial: PathBuf,
}

impl VideoWriter {
    /// Begins a video that shows `first` at `time`, in seconds; the sound is that of `sound`, a file, from
    /// the same time on.
    ///
    /// # Errors
    /// If ffmpeg cannot be started.
    pub fn create(
        ffmpeg: &Ffmpeg,
        target: &Path,
        rate: f64,
        first: RgbImage,
        time: f64,
        sound: Option<&Source>,
    ) -> Result<Self, StreamError> {
        let mut name = OsString::from(".");
        name.push(target.file_stem().unwrap_or_default());
        name.push(".partial.");
        name.push(target.extension().unwrap_or_default());
        let partial = target.with_file_name(name);
        let (width, height) = first.dimensions();
        let mut command = ffmpeg.command();
        command.args(["-loglevel", "level+error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]);
        command.args(["-video_size", &format!("{width}x{height}"), "-framerate"]);
        command.args([&rate.to_string(), "-i", "pipe:0"]);
        if let Some(source) = sound {
            command.args(["-ss", &time.to_string()]).args(source.input_arguments());
            command.args(["-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-shortest"]);
        }
        // Players want even sides and colours at half the resolution.
        command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]);
        command.arg(&partial).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pixels = child.stdin.take();
        let errors = child.stderr.take().map(|messages| {
            thread::spawn(move || {
                let lines = BufReader::new(messages).lines().map_while(Result::ok);
                // The first error is the cause of those that follow.
                lines.filter_map(|line| error_of(&line).map(str::to_owned)).reduce(|first, _| first)
            })
        });
        Ok(Self {
            child,
            pixels,
            errors,
            size: (width, height),
            rate,
            start: time,
            written: 0,
            last: first,
            target: target.to_path_buf(),
            partial,
        })
    }

    /// Shows a frame from `time` on, in seconds. One of another size than the first is fitted into that.
    ///
    /// # Errors
    /// If ffmpeg cannot write.
    pub fn write(&mut self, frame: RgbImage, time: f64) -> Result<(), StreamError> {
        // What was shown before lasts until then.
        let until = ((time - self.start) * self.rate).round().max(0.0) as u64;
        let last = std::mem::replace(&mut self.last, fitted(frame, self.size));
        while self.written < until {
            self.put(&last)?;
        }
        Ok(())
    }

    fn put(&mut self, frame: &RgbImage) -> Result<(), StreamError> {
        let Some(pixels) = &mut self.pixels else { return Ok(()) };
        self.written += 1;
        match pixels.write_all(frame.as_raw()) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failed()),
        }
    }

    /// Ends the video, which then has its name.
    ///
    /// # Errors
    /// If ffmpeg could not write all of it.
    pub fn finish(mut self) -> Result<(), StreamError> {
        let last = std::mem::take(&mut self.last);
        self.put(&last)?;
        self.pixels = None;
        if !self.child.wait()?.success() {
            return Err(self.failed());
        }
        Ok(fs::rename(&self.partial, &self.target)?)
    }

    fn failed(&mut self) -> StreamError {
        self.pixels = None;
        let reason = self.errors.take().and_then(|errors| errors.join().ok().flatten());
        let reason = reason.unwrap_or_else(|| "ffmpeg ended".to_owned());
        StreamError::Ffmpeg(format!("cannot write {}: {reason}", self.target.display()))
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        // What was not finished is not kept as if it were.
        self.pixels = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.partial);
    }
}

/// The frame at another size, its aspect ratio kept.
fn fitted(frame: RgbImage, size: (u32, u32)) -> RgbImage {
    if frame.dimensions() == size {
        return frame;
    }
    let (width, height) = frame.dimensions();
    let scale =
        f64::min(f64::from(size.0) / f64::from(width), f64::from(size.1) / f64::from(height));
    let scaled = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
    let (inner_width, inner_height) = (scaled(width, size.0), scaled(height, size.1));
    let inner = imageops::resize(&frame, inner_width, inner_height, imageops::FilterType::Triangle);
    let mut whole = RgbImage::new(size.0, size.1);
    let (x, y) = ((size.0 - inner_width) / 2, (size.1 - inner_height) / 2);
    imageops::replace(&mut whole, &inner, x.into(), y.into());
    whole
}
