//! Predictions in a file, as the detector's program prints them.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use detection_schema::{ImageRecord, Outcome};

use crate::{ClassNames, Detection};

/// A predictions file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictionsError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is not a record.
    #[error("{}, line {line}: not a detection record (NDJSON)", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The faces of each image that a file names.
#[derive(Debug)]
pub struct Predictions {
    /// By the image's name without its extension.
    by_stem: HashMap<OsString, Vec<(PathBuf, Vec<Detection>)>>,
}

impl Predictions {
    /// Reads a file of [`ImageRecord`]s, one per line.
    ///
    /// # Errors
    /// If it cannot be read, or a line is not a record.
    pub fn read(path: &Path, classes: &mut ClassNames) -> Result<Self, PredictionsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| PredictionsError::Io { path: path.to_path_buf(), source })?;
        let mut by_stem: HashMap<_, Vec<_>> = HashMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let record: ImageRecord = serde_json::from_str(line).map_err(|source| {
                PredictionsError::Record { path: path.to_path_buf(), line: number + 1, source }
            })?;
            let image = PathBuf::from(record.image);
            let faces = match record.outcome {
                Outcome::Faces { faces, .. } => faces,
                Outcome::Failed { .. } => Vec::new(),
            };
            let detections = faces.iter().map(|face| {
                let mut named: Vec<(&str, f64)> = face
                    .probabilities
                    .0
                    .iter()
                    .map(|(class, probability)| (class.as_str(), f64::from(*probability)))
                    .collect();
                // The order of the classes must not depend on the writer.
                named.sort_unstable_by_key(|(class, _)| *class);
                if named.is_empty() {
                    named.push((&face.label, 1.0));
                }
                Detection {
                    bbox: face.bbox,
                    confidence: face.confidence.into(),
                    probabilities: classes.probabilities(named),
                }
            });
            let detections = detections.collect();
            by_stem.entry(stem(&image)).or_default().push((image, detections));
        }
        Ok(Self { by_stem })
    }

    /// Takes the faces of the image whose path ends in `name`, such as a class's folder and what is
    /// in it.
    pub fn take(&mut self, name: &Path) -> Option<Vec<Detection>> {
        let lines = self.by_stem.get_mut(&stem(name))?;
        let at = lines.iter().position(|(image, _)| image.ends_with(name))?;
        Some(lines.swap_remove(at).1)
    }

    /// The faces of the image that is called as `path`, whatever the extensions.
    fn take_stem(&mut self, path: &Path) -> Option<Vec<Detection>> {
        self.by_stem.get_mut(&stem(path))?.pop().map(|(_, detections)| detections)
    }
}

impl Predictions {
    /// The faces of each image called as a path, whatever the extensions; none of an image that the
    /// file does not name, and how many there are of these.
    pub fn take_all<'a>(
        &mut self,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> (Vec<Vec<Detection>>, usize) {
        let mut absent = 0;
        let take = |path| {
            self.take_stem(path).unwrap_or_else(|| {
                absent += 1;
                Vec::new()
            })
        };
        let found = paths.into_iter().map(take).collect();
        (found, absent)
    }
}

fn stem(path: &Path) -> OsString {
    path.file_stem().unwrap_or_default().to_owned()
}
