//! What becomes of an image's results: counted and printed.

use std::{
    io,
    path::{Path, PathBuf},
};

use annotations::{AnnotatedImage, AnnotatedObject};
use detection_schema::{ImageRecord, Outcome};
use mask_detector::FaceDetection;

use crate::{
    format::Printer,
    image_work::{Finished, Found},
    inputs::STDIN_NAME,
    progress::Progress,
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
pub(crate) struct Session {
    pub(crate) printer: Box<dyn Printer>,
    pub(crate) progress: Progress,
    pub(crate) timing: Timing,
    pub(crate) totals: Totals,
    /// What `--save-labels` writes.
    pub(crate) labels: Option<Vec<AnnotatedImage>>,
    /// Whether a face of a class was found that `--fail-on` names.
    pub(crate) found: bool,
}

impl Session {
    /// Counts and prints the next image.
    ///
    /// # Errors
    /// If the results cannot be printed.
    pub(crate) fn add(&mut self, finished: Finished) -> io::Result<()> {
        let Finished { path, result, failing, warning, times } = finished;
        self.timing.stages += times;
        self.found |= failing;
        if let Some(warning) = &warning {
            self.progress.report(format_args!("{}: {warning}", path.display()));
        }
        let image = path.to_string_lossy().into_owned();
        let outcome = match result {
            Ok(Found { width, height, faces, drawn }) => {
                self.timing.images += 1;
                self.totals.add(&faces);
                if let Some(labels) = &mut self.labels {
                    labels.push(annotated(&path, &faces));
                }
                Outcome::Faces {
                    width,
                    height,
                    faces: faces.iter().map(FaceDetection::to_record).collect(),
                    warning,
                    drawn: drawn.map(|path| path.to_string_lossy().into_owned()),
                }
            }
            Err(error) => {
                self.totals.failed += 1;
                self.progress.report(format_args!("{image}: {error}"));
                Outcome::Failed { error }
            }
        };
        let record = ImageRecord { image, outcome };
        let printer = &mut self.printer;
        self.progress.suspend(|| printer.print(&record))?;
        self.progress.advance(1);
        Ok(())
    }
}
