//! What a run found, in one line.

use std::{fmt, time::Duration};

use mask_detector::FaceDetection;

/// Counts over all images.
#[derive(Debug)]
pub(crate) struct Totals {
    classes: Vec<String>,
    faces: Vec<usize>,
    images: usize,
    /// Images that could not be used.
    pub(crate) failed: usize,
    /// From the first to the last image.
    pub(crate) time: Duration,
}

impl Totals {
    /// Nothing yet.
    pub(crate) fn new(classes: &[String]) -> Self {
        let faces = vec![0; classes.len()];
        Self { classes: classes.to_vec(), faces, images: 0, failed: 0, time: Duration::ZERO }
    }

    /// Counts an image.
    pub(crate) fn add(&mut self, faces: &[FaceDetection]) {
        self.images += 1;
        for face in faces {
            if let Some(count) = self.faces.get_mut(face.class) {
                *count += 1;
            }
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.faces.iter().sum();
        write!(f, "{} images, {all} faces", self.images)?;
        let named = self.classes.iter().zip(&self.faces);
        let named: Vec<_> = named.map(|(class, count)| format!("{count} {class}")).collect();
        write!(f, " ({})", named.join(", "))?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        let rate = self.images as f64 / self.time.as_secs_f64().max(1e-9);
        write!(f, ", {rate:.1} images/s")
    }
}
