//! The schema of results: one JSON object per image, one per line.
//!
//! It stands alone so that whoever reads results need not depend on the detector that wrote them.
//! Fields are added, never renamed.
//!
//! ```
//! use detection_schema::{ImageRecord, Outcome};
//!
//! let line = r#"{"image":"a.jpg","width":626,"height":416,"faces":[{"box":{"x_min":431.2,
//!     "y_min":88.7,"x_max":497.6,"y_max":157.2},"confidence":0.638,"label":"with_mask",
//!     "probabilities":{"with_mask":0.999,"without_mask":0.001}}]}"#;
//! let record: ImageRecord = serde_json::from_str(line)?;
//! let Outcome::Faces { faces, .. } = record.outcome else { panic!("an error") };
//! assert_eq!(faces[0].probabilities.of("without_mask"), Some(0.001));
//!
//! let failed: ImageRecord = serde_json::from_str(r#"{"image":"b.jpg","error":"empty file"}"#)?;
//! assert_eq!(failed.outcome, Outcome::Failed { error: "empty file".to_owned() });
//! # Ok::<(), serde_json::Error>(())
//! ```

mod argmax;
mod colors;

use std::fmt;

use geometry::BoundingBox;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

pub use argmax::argmax;
pub use colors::class_color;

/// The default classifier's class of a mask over nose and mouth.
pub const WITH_MASK: &str = "with_mask";
/// Its class of a bare face.
pub const WITHOUT_MASK: &str = "without_mask";
/// Its class of a mask under the nose or on the chin.
pub const WITH_INCORRECT_MASK: &str = "with_incorrect_mask";

/// What became of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageRecord {
    /// The image's path as given; bytes that are not UTF-8 are replaced.
    pub image: String,
    /// Its faces, or why there are none.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The result for an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Outcome {
    /// The image could not be used.
    Failed {
        /// Why not.
        error: String,
    },
    /// The image was searched.
    Faces {
        /// Width of the upright image, in pixels; 0 if the writer did not say.
        #[serde(default)]
        width: u32,
        /// Height of the upright image, in pixels; 0 if the writer did not say.
        #[serde(default)]
        height: u32,
        /// Its faces, highest confidence first.
        faces: Vec<FaceRecord>,
        /// What was wrong with the file and was repaired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
        /// Where the image was written with its faces drawn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drawn: Option<String>,
    },
}

/// A face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaceRecord {
    /// Where it is, in pixels of the upright image, inside it and never empty.
    #[serde(rename = "box")]
    pub bbox: BoundingBox,
    /// The probability that it is a face, in [0, 1].
    pub confidence: f32,
    /// Name of the most probable class.
    pub label: String,
    /// Every class with its probability; empty if the writer only knows the label.
    #[serde(default, skip_serializing_if = "Probabilities::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, f32>))]
    pub probabilities: Probabilities,
    /// In videos: the number of the track, the same in every frame for the same person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<u64>,
}

/// What was seen in a frame of a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FrameRecord {
    /// The video or camera, as given.
    pub source: String,
    /// Number of the frame, from 0 on.
    pub frame: u64,
    /// Seconds since the beginning of the source.
    pub time: f64,
    /// Width of the upright frame, in pixels.
    pub width: u32,
    /// Height of the upright frame, in pixels.
    pub height: u32,
    /// The faces that are followed, by the numbers of their tracks.
    pub faces: Vec<FaceRecord>,
    /// What happened in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventRecord>,
}

/// That a rule's condition came true.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventRecord {
    /// The rule's name.
    pub rule: String,
    /// The video or camera, as given.
    pub source: String,
    /// Seconds since the beginning of the source.
    pub time: f64,
    /// What happened, for people.
    pub message: String,
    /// The person it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<u64>,
    /// The class that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The zone that it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The line that was crossed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Which way: `in`, from the left to the right of who looks along the line, or `out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// How many people there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<u64>,
    /// The class's share of the people, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Where its picture was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Where its clip is saved, some seconds later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<String>,
}

/// Names of classes with their probabilities, in [0, 1]: a JSON object in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Probabilities(pub Vec<(String, f32)>);

impl Probabilities {
    /// Whether no class is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The probability of a class, if it is named.
    pub fn of(&self, class: &str) -> Option<f32> {
        self.0.iter().find(|(name, _)| name == class).map(|(_, probability)| *probability)
    }
}

impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (class, probability) in &self.0 {
            map.serialize_entry(class, probability)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Probabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Probabilities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of classes and probabilities")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Probabilities(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_the_order_of_their_classes() {
        let probabilities = Probabilities(vec![("z".to_owned(), 0.25), ("a".to_owned(), 0.75)]);
        let bbox = BoundingBox { x_min: 1.5, y_min: 2.0, x_max: 3.0, y_max: 4.0 };
        let face =
            FaceRecord { bbox, confidence: 0.5, label: "a".to_owned(), probabilities, track: None };
        let outcome =
            Outcome::Faces { width: 10, height: 20, faces: vec![face], warning: None, drawn: None };
        let record = ImageRecord { image: "x.png".to_owned(), outcome };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            "{\"image\":\"x.png\",\"width\":10,\"height\":20,\"faces\":[{\"box\":{\"x_min\":1.5,\
             \"y_min\":2.0,\"x_max\":3.0,\"y_max\":4.0},\"confidence\":0.5,\"label\":\"a\",\
             \"probabilities\":{\"z\":0.25,\"a\":0.75}}]}"
        );
        assert_eq!(serde_json::from_str::<ImageRecord>(&text).unwrap(), record);
        let unknown = "{\"image\":\"x.png\"}";
        assert!(serde_json::from_str::<ImageRecord>(unknown).is_err());
    }
}
