//! A face with its class.

use std::sync::Arc;

use detection_schema::{FaceRecord, Probabilities};
use geometry::BoundingBox;
use serde::{Serialize, Serializer};

/// A face found in an image, and its class.
///
/// Serialises as [`FaceRecord`], the schema of the program's NDJSON.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FaceDetection {
    /// Where it is, in pixels of the image, inside it and at least a pixel wide and high.
    pub bbox: BoundingBox,
    /// The face network's probability that it is a face, in [0, 1].
    pub score: f32,
    /// Index of the most probable class.
    pub class: usize,
    /// Probability of every class, in [0, 1].
    pub probabilities: Vec<f32>,
    /// Names of the classes, shared by all results of a detector.
    pub classes: Arc<[String]>,
    /// The number of its track, where it is followed over frames.
    pub track: Option<u64>,
}

impl FaceDetection {
    /// A face that is in no track.
    pub fn new(
        bbox: BoundingBox,
        score: f32,
        class: usize,
        probabilities: Vec<f32>,
        classes: Arc<[String]>,
    ) -> Self {
        Self { bbox, score, class, probabilities, classes, track: None }
    }

    /// The face as part of a track.
    pub fn in_track(self, track: u64) -> Self {
        Self { track: Some(track), ..self }
    }

    /// The name of the most probable class.
    pub fn label(&self) -> &str {
        self.classes.get(self.class).map_or("", String::as_str)
    }

    /// The probability of the most probable class, in [0, 1].
    pub fn label_probability(&self) -> f32 {
        self.probabilities.get(self.class).copied().unwrap_or(0.0)
    }

    /// The face in the program's NDJSON schema.
    pub fn to_record(&self) -> FaceRecord {
        let named = self.classes.iter().cloned().zip(self.probabilities.iter().copied());
        FaceRecord {
            bbox: self.bbox,
            confidence: self.score,
            label: self.label().to_owned(),
            probabilities: Probabilities(named.collect()),
            track: self.track,
        }
    }
}

impl Serialize for FaceDetection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_record().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_serialise_as_records() {
        let face = FaceDetection {
            bbox: BoundingBox { x_min: 1.0, y_min: 2.0, x_max: 3.0, y_max: 4.0 },
            score: 0.5,
            class: 1,
            probabilities: vec![0.25, 0.75],
            classes: ["a", "b"].map(str::to_owned).into(),
            track: Some(7),
        };
        let text = serde_json::to_string(&face).unwrap();
        let record: FaceRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(record, face.to_record());
        assert_eq!(record.label, "b");
        assert_eq!(record.probabilities.of("b"), Some(face.label_probability()));
    }
}
