//! The two networks as one.

use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

use burn::tensor::Device;
use face_ssd::{Face, FaceDetector, FaceDetectorConfig};
use image::{RgbImage, imageops::crop_imm};
use mask_model::{MaskClassifier, MaskClassifierConfig};

use crate::DetectError;

/// Settings of a [`MaskDetector`]: those of its two networks, whose defaults are documented there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MaskDetectorConfig {
    /// How faces are found.
    pub faces: FaceDetectorConfig,
    /// How they are classified.
    pub masks: MaskClassifierConfig,
}

/// A face and its class.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskedFace {
    /// Where the face is, and how sure the detector is of it.
    pub face: Face,
    /// The name of the most probable class.
    pub label: String,
    /// Every class with its probability, in the order of the classifier's classes.
    pub probabilities: Vec<ClassProbability>,
}

/// A class and its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassProbability {
    /// The name of the class.
    pub class: String,
    /// Its probability, in [0, 1].
    pub probability: f32,
}

impl MaskedFace {
    /// The probability of the label, in [0, 1].
    pub fn label_probability(&self) -> f32 {
        self.probabilities
            .iter()
            .find(|entry| entry.class == self.label)
            .map_or(0.0, |entry| entry.probability)
    }
}

/// Time spent in each stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Resizing, face network, decoding of boxes.
    pub faces: Duration,
    /// Cropping, resizing, classifier.
    pub masks: Duration,
}

impl AddAssign for StageTimes {
    fn add_assign(&mut self, other: Self) {
        self.faces += other.faces;
        self.masks += other.masks;
    }
}

/// Finds faces and tells their class.
#[derive(Debug)]
pub struct MaskDetector {
    faces: FaceDetector,
    masks: MaskClassifier,
}

impl MaskDetector {
    /// Loads both networks onto `device`.
    ///
    /// # Errors
    /// If weights cannot be used, or the input size is out of range.
    pub fn new(config: MaskDetectorConfig, device: Device) -> Result<Self, DetectError> {
        // Reading and packing weights is most of a short run.
        let (faces, masks) = rayon::join(
            || FaceDetector::new(config.faces, &device),
            || MaskClassifier::new(config.masks, &device),
        );
        Ok(Self { faces: faces?, masks: masks? })
    }

    /// Names of the classes, in the order of [`MaskedFace::probabilities`].
    pub fn classes(&self) -> &[String] {
        self.masks.classes()
    }

    /// The faces in a picture with their classes, the most confident face first.
    ///
    /// # Errors
    /// If the picture has no pixels or the device fails.
    pub fn detect(&self, picture: &RgbImage) -> Result<Vec<MaskedFace>, DetectError> {
        Ok(self.detect_batch(&[picture])?.pop().unwrap_or_default())
    }

    /// The faces in each picture with their classes; the faces of all pictures share the
    /// classifier's batches.
    ///
    /// # Errors
    /// If a picture has no pixels or the device fails.
    pub fn detect_batch(
        &self,
        pictures: &[&RgbImage],
    ) -> Result<Vec<Vec<MaskedFace>>, DetectError> {
        self.detect_timed(pictures, &mut StageTimes::default())
    }

    /// As [`MaskDetector::detect_batch`], adding the time of each stage to `times`.
    ///
    /// # Errors
    /// If a picture has no pixels or the device fails.
    pub fn detect_timed(
        &self,
        pictures: &[&RgbImage],
        times: &mut StageTimes,
    ) -> Result<Vec<Vec<MaskedFace>>, DetectError> {
        let start = Instant::now();
        let faces = self.find_faces(pictures)?;
        let found = Instant::now();
        let masked = self.classify_faces(pictures, &faces)?;
        times.faces += found - start;
        times.masks += found.elapsed();
        Ok(masked)
    }

    /// First stage: the faces in each picture, the most confident first.
    ///
    /// # Errors
    /// If a picture has no pixels or the device fails.
    pub fn find_faces(&self, pictures: &[&RgbImage]) -> Result<Vec<Vec<Face>>, DetectError> {
        Ok(self.faces.detect_batch(pictures)?)
    }

    /// Second stage: the class of each face. `faces` holds the faces of each picture.
    ///
    /// # Errors
    /// If the device fails.
    pub fn classify_faces(
        &self,
        pictures: &[&RgbImage],
        faces: &[Vec<Face>],
    ) -> Result<Vec<Vec<MaskedFace>>, DetectError> {
        let crops: Vec<RgbImage> = pictures
            .iter()
            .zip(faces)
            .flat_map(|(picture, faces)| faces.iter().map(|face| crop(picture, face)))
            .collect();
        let mut probabilities = self.masks.classify(&crops)?.into_iter();
        let masked = faces.iter().map(|faces| -> Vec<MaskedFace> {
            let pairs = faces.iter().zip(probabilities.by_ref());
            pairs.map(|(face, probabilities)| self.masked_face(*face, &probabilities)).collect()
        });
        Ok(masked.collect())
    }

    fn masked_face(&self, face: Face, probabilities: &[f32]) -> MaskedFace {
        let named = self.classes().iter().zip(probabilities);
        MaskedFace {
            face,
            label: self.masks.label(probabilities).to_owned(),
            probabilities: named
                .map(|(class, probability)| ClassProbability {
                    class: class.clone(),
                    probability: *probability,
                })
                .collect(),
        }
    }
}

/// The pixels of a face.
fn crop(picture: &RgbImage, face: &Face) -> RgbImage {
    let (x, y, width, height) = face.bbox.crop_rectangle(picture.width(), picture.height());
    crop_imm(picture, x, y, width, height).to_image()
}
