//! A frame as it is shown: blurred, with boxes, labels, counts and clock.

use image::RgbImage;
use mask_detector::{Annotator, BoundingBox, FaceDetection, blur_faces};

use super::status::Status;
use crate::font;

/// Draws the frames of a stream.
pub(super) struct Painter {
    annotator: Annotator,
    blur: bool,
}

impl Painter {
    /// With labels of these classes; with `blur`, nobody is recognised.
    pub(super) fn new(classes: &[String], blur: bool, status: &Status) -> anyhow::Result<Self> {
        let (annotator, remedy) = font::choose(Annotator::new(classes)?, None)?;
        if let Some(remedy) = remedy {
            status.report(remedy);
        }
        Ok(Self { annotator, blur })
    }

    /// A frame with its faces. `regions` is where faces may be, `time` the source's, of a live one none.
    pub(super) fn paint(
        &self,
        mut image: RgbImage,
        faces: &[FaceDetection],
        regions: Vec<BoundingBox>,
        time: Option<f64>,
        people: &str,
    ) -> RgbImage {
        if self.blur {
            blur_faces(&mut image, regions);
        }
        self.annotator.draw(&mut image, faces);
        let clock = time.map_or_else(now, clock);
        self.annotator.draw_caption(&mut image, &format!("{clock}  {people}"));
        image
    }
}

/// The time of day where the program runs.
fn now() -> String {
    jiff::ZonedDateTime::now().strftime("%F %T").to_string()
}

/// A time of the source.
fn clock(seconds: f64) -> String {
    let tenths = (seconds * 10.0) as u64;
    let (seconds, minutes, hours) = (tenths / 10 % 60, tenths / 600 % 60, tenths / 36_000);
    format!("{hours}:{minutes:02}:{seconds:02}.{}", tenths % 10)
}
