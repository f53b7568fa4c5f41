//! One JSON object per image, one per line.

use std::io::{self, Write};

use detection_schema::ImageRecord;

use super::Printer;

/// Prints NDJSON.
pub(crate) struct Ndjson<W>(W);

impl<W: Write> Ndjson<W> {
    /// Onto `output`.
    pub(crate) fn new(output: W) -> Self {
        Self(output)
    }
}

impl<W: Write> Printer for Ndjson<W> {
    fn print(&mut self, record: &ImageRecord) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, record)?;
        self.0.write_all(b"\n")?;
        self.0.flush()
    }
}
