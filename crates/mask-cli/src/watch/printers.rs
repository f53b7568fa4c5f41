//! The results of frames on standard output.

use std::io::{self, Write};

use detection_schema::FrameRecord;

use super::args::StreamFormat;
use crate::format::io_error;

/// Columns before the classes' probabilities.
const COLUMNS: [&str; 10] =
    ["source", "frame", "time", "track", "x_min", "y_min", "x_max", "y_max", "confidence", "label"];

/// Prints frame by frame.
pub(super) enum FramePrinter<W: Write> {
    Ndjson(W),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> FramePrinter<W> {
    /// Onto `output`.
    pub(super) fn new(format: StreamFormat, classes: &[String], output: W) -> io::Result<Self> {
        Ok(match format {
            StreamFormat::Ndjson => Self::Ndjson(output),
            StreamFormat::Csv => {
                let mut writer = csv::Writer::from_writer(output);
                let names = COLUMNS.into_iter().chain(classes.iter().map(String::as_str));
                writer.write_record(names).map_err(io_error)?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    /// Prints a frame; as CSV, one without faces has no row.
    pub(super) fn print(&mut self, record: &FrameRecord) -> io::Result<()> {
        match self {
            Self::Ndjson(output) => {
                serde_json::to_writer(&mut *output, record)?;
                output.write_all(b"\n")?;
                output.flush()
            }
            Self::Csv(writer) => {
                for face in &record.faces {
                    let track = face.track.map_or_else(String::new, |track| track.to_string());
                    let mut row = vec![
                        record.source.clone(),
                        record.frame.to_string(),
                        seconds(record.time),
                        track,
                    ];
                    let bbox = face.bbox;
                    let numbers = [bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max, face.confidence];
                    row.extend(numbers.map(|number| number.to_string()));
                    row.push(face.label.clone());
                    row.extend(face.probabilities.0.iter().map(|(_, p)| p.to_string()));
                    writer.write_record(row).map_err(io_error)?;
                }
                writer.flush()
            }
        }
    }
}

/// A time to the microsecond.
fn seconds(time: f64) -> String {
    format!("{time:.6}")
}
