//! A JSON object a picture, one a line.

use std::io::{self, Write};

use mask_detector::{MaskedFace, PixelBox};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Outcome, Printer};

/// Prints NDJSON.
pub(crate) struct Ndjson<W>(W);

impl<W: Write> Ndjson<W> {
    /// Onto `output`.
    pub(crate) fn new(output: W) -> Self {
        Self(output)
    }
}

#[derive(Serialize)]
struct ImageRecord<'a> {
    image: &'a str,
    width: u32,
    height: u32,
    faces: Vec<FaceRecord<'a>>,
}

#[derive(Serialize)]
struct FaceRecord<'a> {
    r#box: PixelBox,
    confidence: f32,
    label: &'a str,
    probabilities: Probabilities<'a>,
}

#[derive(Serialize)]
struct ErrorRecord<'a> {
    image: &'a str,
    error: &'a str,
}

/// Serialised as an object in the order of the classes.
struct Probabilities<'a>(&'a MaskedFace);

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.probabilities.len()))?;
        for entry in &self.0.probabilities {
            map.serialize_entry(&entry.class, &entry.probability)?;
        }
        map.end()
    }
}

impl<W: Write> Printer for Ndjson<W> {
    fn print(&mut self, outcome: &Outcome<'_>) -> io::Result<()> {
        let image = outcome.image;
        match &outcome.result {
            Err(error) => serde_json::to_writer(&mut self.0, &ErrorRecord { image, error })?,
            Ok(detected) => {
                let faces = detected.faces.iter().map(|face| FaceRecord {
                    r#box: face.face.bbox,
                    confidence: face.face.confidence,
                    label: &face.label,
                    probabilities: Probabilities(face),
                });
                let (width, height) = (detected.width, detected.height);
                let record = ImageRecord { image, width, height, faces: faces.collect() };
                serde_json::to_writer(&mut self.0, &record)?;
            }
        }
        self.0.write_all(b"\n")?;
        self.0.flush()
    }
}
