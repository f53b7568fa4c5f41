//! What becomes of an image after the networks: drawn, cut out, counted and printed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc::Receiver,
    time::Instant,
};

use annotations::{AnnotatedImage, AnnotatedObject};
use detection_schema::{ImageRecord, Outcome};
use image::RgbImage;
use mask_detector::{Annotator, BoundingBox, FaceDetection, blur_faces};

use crate::{
    format::Printer,
    inputs::STDIN_NAME,
    output_images,
    pipeline::{Finished, Searched},
    progress::Progress,
    selection::Selection,
    timing::Timing,
    totals::Totals,
};

/// An image's faces as annotations. What came on standard input has no file to be copied.
fn annotated(path: &Path, faces: &[FaceDetection]) -> AnnotatedImage {
    let object = |face: &FaceDetection| AnnotatedObject {
        class: face.label().to_owned(),
        bbox: face.bbox,
        difficult: false,
    };
    AnnotatedImage {
        annotation: PathBuf::new(),
        image: (path != Path::new(STDIN_NAME)).then(|| path.to_path_buf()),
        objects: faces.iter().map(object).collect(),
    }
}

/// What lasts over all images.
pub(crate) struct Session<'a> {
    pub(crate) annotator: Annotator,
    /// Whether faces are made unrecognisable in drawn images.
    pub(crate) blur: bool,
    pub(crate) selection: Selection,
    /// Where drawn images go.
    pub(crate) drawn: Option<&'a Path>,
    /// Where faces go.
    pub(crate) crops: Option<&'a Path>,
    pub(crate) printer: Box<dyn Printer>,
    pub(crate) progress: Progress,
    pub(crate) timing: Timing,
    pub(crate) totals: Totals,
    /// What `--save-labels` writes.
    pub(crate) labels: Option<Vec<AnnotatedImage>>,
    /// Whether a face of a class was found that `--fail-on` names.
    pub(crate) found: bool,
}

impl Session<'_> {
    /// Draws and prints what the networks have finished, in its order.
    ///
    /// # Errors
    /// If the results cannot be printed.
    pub(crate) fn finish_all(&mut self, finished: Receiver<Finished>) -> io::Result<()> {
        for Finished { path, name, result, warning, decode, stages } in finished {
            self.timing.decode += decode;
            self.timing.stages += stages;
            self.timing.images += usize::from(result.is_ok());
            let result = result.and_then(|Searched { image, mut faces, regions, .. }| {
                self.found |= self.selection.apply(&mut faces);
                let (width, height) = image.dimensions();
                let drawn = match &name {
                    Some(name) => self.write(image, &faces, regions, name),
                    None => Ok(None),
                };
                let drawn = drawn.map_err(|error| format!("{error:#}"))?;
                self.totals.add(&faces);
                if let Some(labels) = &mut self.labels {
                    labels.push(annotated(&path, &faces));
                }
                Ok(Outcome::Faces {
                    width,
                    height,
                    faces: faces.iter().map(FaceDetection::to_record).collect(),
                    warning: warning.clone(),
                    drawn: drawn.map(|path| path.to_string_lossy().into_owned()),
                })
            });
            if let Some(warning) = &warning {
                self.progress.report(format_args!("{}: {warning}", path.display()));
            }
            self.print(&path, result)?;
            self.progress.advance(1);
        }
        Ok(())
    }

    /// Writes the faces and the drawn image, where that is asked for; where the latter is.
    fn write(
        &mut self,
        mut image: RgbImage,
        faces: &[FaceDetection],
        regions: Vec<BoundingBox>,
        name: &Path,
    ) -> anyhow::Result<Option<PathBuf>> {
        let start = Instant::now();
        if let Some(folder) = self.crops {
            output_images::write_crops(&image, faces, folder, name)?;
        }
        let drawn = self.drawn.map(|folder| folder.join(name));
        if let Some(target) = &drawn {
            if self.blur {
                blur_faces(&mut image, regions);
            }
            self.annotator.draw(&mut image, faces);
            output_images::write(&image, target)?;
        }
        self.timing.draw += start.elapsed();
        Ok(drawn)
    }

    fn print(&mut self, path: &Path, result: Result<Outcome, String>) -> io::Result<()> {
        let image = path.to_string_lossy().into_owned();
        let outcome = result.unwrap_or_else(|error| {
            self.totals.failed += 1;
            self.progress.report(format_args!("{image}: {error}"));
            Outcome::Failed { error }
        });
        let record = ImageRecord { image, outcome };
        let printer = &mut self.printer;
        self.progress.suspend(|| printer.print(&record))
    }
}
