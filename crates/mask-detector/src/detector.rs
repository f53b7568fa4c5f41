//! The two networks as one.

use std::sync::Arc;

use burn::tensor::Device;
use face_ssd::{Face, FaceDetector, FaceDetectorConfig};
use geometry::{Crop, PixelRect};
use image_input::{DecodeOptions, ImageView, decode};
use mask_model::{MaskClassifier, MaskClassifierConfig, argmax};
use serde::{Deserialize, Serialize};
use tracing::instrument;

use crate::{DetectError, FaceDetection, MaskDetectorBuilder};

/// Settings of a [`MaskDetector`]: those of its two networks, whose defaults are documented there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MaskDetectorConfig {
    /// How faces are found.
    pub faces: FaceDetectorConfig,
    /// How they are classified.
    pub masks: MaskClassifierConfig,
}

/// Finds faces and their classes. May be shared between threads.
#[derive(Debug)]
pub struct MaskDetector {
    faces: FaceDetector,
    masks: MaskClassifier,
}

/// A detector that could not be shared would not compile.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<MaskDetector>();
};

impl MaskDetector {
    /// A detector with defaults for all that is not set.
    pub fn builder() -> MaskDetectorBuilder {
        MaskDetectorBuilder::default()
    }

    /// Loads both networks onto an open device.
    ///
    /// # Errors
    /// If weights cannot be used, or the input size is out of range.
    #[instrument(skip_all, name = "load")]
    pub fn new(config: MaskDetectorConfig, device: &Device) -> Result<Self, DetectError> {
        // Reading and packing weights is most of a short run.
        let (faces, masks) = rayon::join(
            || FaceDetector::new(config.faces, device),
            || MaskClassifier::new(config.masks, device),
        );
        Ok(Self { faces: faces?, masks: masks? })
    }

    /// Names of the classes, in the order of [`FaceDetection::probabilities`].
    pub fn classes(&self) -> &Arc<[String]> {
        self.masks.classes()
    }

    /// How a face's box is grown before it is classified.
    pub fn crop(&self) -> Crop {
        self.masks.crop()
    }

    /// The faces in an image with their classes, highest score first.
    ///
    /// # Errors
    /// If the image has no pixels or the device fails.
    pub fn detect<'a>(
        &self,
        image: impl Into<ImageView<'a>>,
    ) -> Result<Vec<FaceDetection>, DetectError> {
        Ok(self.detect_batch(&[image.into()])?.pop().unwrap_or_default())
    }

    /// The faces in an encoded image: JPEG, PNG, WebP and others, known by their content.
    ///
    /// # Errors
    /// If the bytes are not an image, are damaged, or show more than
    /// [`DecodeOptions::default`] allows; or as [`MaskDetector::detect`].
    pub fn detect_bytes(&self, bytes: &[u8]) -> Result<Vec<FaceDetection>, DetectError> {
        self.detect(&decode(bytes, None, &DecodeOptions::default())?.image)
    }

    /// The faces in each image with their classes; the faces of all images share the classifier's
    /// batches.
    ///
    /// # Errors
    /// If an image has no pixels or the device fails.
    pub fn detect_batch(
        &self,
        images: &[ImageView<'_>],
    ) -> Result<Vec<Vec<FaceDetection>>, DetectError> {
        let faces = self.find_faces(images)?;
        self.classify_faces(images, &faces)
    }

    /// First stage: the faces in each image, highest score first.
    ///
    /// # Errors
    /// If an image has no pixels or the device fails.
    #[instrument(skip_all, name = "faces", fields(images = images.len()))]
    pub fn find_faces(&self, images: &[ImageView<'_>]) -> Result<Vec<Vec<Face>>, DetectError> {
        Ok(self.faces.detect_batch(images)?)
    }

    /// Second stage: the class of each face. `faces` holds the faces of each image.
    ///
    /// # Errors
    /// If the device fails.
    #[instrument(skip_all, name = "masks", fields(images = images.len()))]
    pub fn classify_faces(
        &self,
        images: &[ImageView<'_>],
        faces: &[Vec<Face>],
    ) -> Result<Vec<Vec<FaceDetection>>, DetectError> {
        let crops: Vec<(ImageView<'_>, PixelRect)> = images
            .iter()
            .zip(faces)
            .flat_map(|(image, faces)| {
                faces.iter().map(|face| (*image, self.crop_rect(image, face)))
            })
            .collect();
        let mut probabilities = self.masks.classify_rects(&crops)?.into_iter();
        let classified = faces.iter().map(|faces| -> Vec<FaceDetection> {
            let pairs = faces.iter().zip(probabilities.by_ref());
            pairs.map(|(face, probabilities)| self.detection(face, probabilities)).collect()
        });
        Ok(classified.collect())
    }

    /// Returns the memory that is kept for the next image, as after an unusually large one.
    pub fn trim(&self) {
        self.faces.trim();
        self.masks.trim();
    }

    /// The pixels of a face, cropped as the classifier was trained.
    fn crop_rect(&self, image: &ImageView<'_>, face: &Face) -> PixelRect {
        let size = image.size();
        self.masks.crop().region(&face.bbox, size).crop_rect(size)
    }

    fn detection(&self, face: &Face, probabilities: Vec<f32>) -> FaceDetection {
        let class = argmax(&probabilities);
        FaceDetection::new(face.bbox, face.score, class, probabilities, Arc::clone(self.classes()))
    }
}
