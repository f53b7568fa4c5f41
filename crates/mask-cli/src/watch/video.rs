//! The video that `watch` writes.

use std::path::Path;

use mask_detector::{Annotator, BoundingBox, FaceDetection, blur_faces};
use mask_stream::{Ffmpeg, Frame, Source, VideoWriter};

use super::{args::StreamArgs, status::Status};
use crate::font;

/// The video that is written.
pub(super) struct Video<'a> {
    args: &'a StreamArgs,
    target: &'a Path,
    ffmpeg: &'a Ffmpeg,
    /// Whose sound it has.
    sound: Option<Source>,
    annotator: Annotator,
    writer: Option<VideoWriter>,
}

impl<'a> Video<'a> {
    /// The one that is asked for.
    pub(super) fn new(
        args: &'a StreamArgs,
        source: &Source,
        ffmpeg: Option<&'a Ffmpeg>,
        classes: &[String],
        status: &Status,
    ) -> anyhow::Result<Option<Self>> {
        let (Some(target), Some(ffmpeg)) = (args.output.as_deref(), ffmpeg) else {
            return Ok(None);
        };
        let (annotator, remedy) = font::choose(Annotator::new(classes)?, None)?;
        if let Some(remedy) = remedy {
            status.report(remedy);
        }
        let is_file = matches!(source, Source::File(path) if !path.contains('%'));
        let sound = (is_file && !args.live).then(|| source.clone());
        Ok(Some(Self { args, target, ffmpeg, sound, annotator, writer: None }))
    }

    pub(super) fn write(
        &mut self,
        frame: Frame,
        faces: &[FaceDetection],
        blurred: Vec<BoundingBox>,
        rate: Option<f64>,
        people: &str,
    ) -> anyhow::Result<()> {
        let Frame { mut image, time, .. } = frame;
        blur_faces(&mut image, blurred);
        self.annotator.draw(&mut image, faces);
        self.annotator.draw_caption(&mut image, &format!("{}  {people}", clock(time)));
        match &mut self.writer {
            Some(writer) => writer.write(&image, time)?,
            None => {
                let source = rate.unwrap_or(25.0) / f64::from(self.args.every);
                let rate = self.args.max_fps.map_or(source, |most| most.min(source)).min(60.0);
                let sound = self.sound.as_ref();
                let writer =
                    VideoWriter::create(self.ffmpeg, self.target, rate, &image, time, sound)?;
                self.writer = Some(writer);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        Ok(self.writer.map_or(Ok(()), VideoWriter::finish)?)
    }
}

/// A time of the source.
fn clock(seconds: f64) -> String {
    let tenths = (seconds * 10.0) as u64;
    let (seconds, minutes, hours) = (tenths / 10 % 60, tenths / 600 % 60, tenths / 36_000);
    format!("{hours}:{minutes:02}:{seconds:02}.{}", tenths % 10)
}
