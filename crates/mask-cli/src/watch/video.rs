//! The video that `watch` writes.

use std::path::Path;

use image::RgbImage;
use mask_stream::{Ffmpeg, Source, VideoWriter};

use super::args::StreamArgs;

/// The video that is written.
pub(super) struct Video<'a> {
    settings: &'a StreamArgs,
    target: &'a Path,
    ffmpeg: &'a Ffmpeg,
    /// Whose sound it has.
    sound: Option<Source>,
    writer: Option<VideoWriter>,
}

impl<'a> Video<'a> {
    /// The one that is asked for.
    pub(super) fn new(
        settings: &'a StreamArgs,
        source: &Source,
        ffmpeg: Option<&'a Ffmpeg>,
    ) -> Option<Self> {
        let (target, ffmpeg) = (settings.output.as_deref()?, ffmpeg?);
        let is_file = matches!(source, Source::File(path) if !path.contains('%'));
        let sound = (is_file && !settings.live).then(|| source.clone());
        Some(Self { settings, target, ffmpeg, sound, writer: None })
    }

    /// Shows a picture from `time` on; `rate` is the source's.
    pub(super) fn write(
        &mut self,
        picture: RgbImage,
        time: f64,
        rate: Option<f64>,
    ) -> anyhow::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(picture, time)?,
            None => {
                let rate = rate_of(self.settings, rate);
                let sound = self.sound.as_ref();
                let writer =
                    VideoWriter::create(self.ffmpeg, self.target, rate, picture, time, sound)?;
                self.writer = Some(writer);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        Ok(self.writer.map_or(Ok(()), VideoWriter::finish)?)
    }
}

/// Frames a second of what is written; `rate` is the source's.
pub(super) fn rate_of(settings: &StreamArgs, rate: Option<f64>) -> f64 {
    let source = rate.unwrap_or(25.0) / f64::from(settings.every);
    settings.max_fps.map_or(source, |most| most.min(source)).min(60.0)
}
