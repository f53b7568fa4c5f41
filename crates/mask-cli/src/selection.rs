//! Which of the faces count.

use anyhow::bail;
use mask_detector::FaceDetection;

use crate::args::DetectArgs;

/// What `--min-face`, `--only` and `--fail-on` ask for.
#[derive(Debug)]
pub(crate) struct Selection {
    min_face: f32,
    only: Vec<String>,
    fail_on: Vec<String>,
}

impl Selection {
    /// Of the arguments.
    ///
    /// # Errors
    /// If a class is not among `classes`.
    pub(crate) fn new(args: &DetectArgs, classes: &[String]) -> anyhow::Result<Self> {
        for (flag, asked) in [("--only", &args.only), ("--fail-on", &args.fail_on)] {
            if let Some(class) = asked.iter().find(|class| !classes.contains(class)) {
                bail!("{flag} {class}: the classes are {}", classes.join(", "));
            }
        }
        let (only, fail_on) = (args.only.clone(), args.fail_on.clone());
        Ok(Self { min_face: args.min_face as f32, only, fail_on })
    }

    /// Leaves the faces that are asked for. Whether one was there that ends the run with its own status,
    /// asked for or not.
    pub(crate) fn apply(&self, faces: &mut Vec<FaceDetection>) -> bool {
        faces.retain(|face| face.bbox.width().max(face.bbox.height()) >= self.min_face);
        let is_of = |face: &FaceDetection, classes: &[String]| {
            classes.iter().any(|class| class == face.label())
        };
        let failed = faces.iter().any(|face| is_of(face, &self.fail_on));
        faces.retain(|face| self.only.is_empty() || is_of(face, &self.only));
        failed
    }
}
