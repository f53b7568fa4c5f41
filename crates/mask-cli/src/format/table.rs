//! For people: a line a picture, a line a face.

use std::io::{self, Write};

use super::{Outcome, Printer};

/// Prints a table.
pub(crate) struct Table<W>(W);

impl<W: Write> Table<W> {
    /// Onto `output`.
    pub(crate) fn new(output: W) -> Self {
        Self(output)
    }
}

impl<W: Write> Printer for Table<W> {
    fn print(&mut self, outcome: &Outcome<'_>) -> io::Result<()> {
        let detected = match &outcome.result {
            Ok(detected) => detected,
            Err(error) => return writeln!(self.0, "{}: {error}", outcome.image),
        };
        let count = match detected.faces.len() {
            0 => "no faces".to_owned(),
            1 => "1 face".to_owned(),
            more => format!("{more} faces"),
        };
        writeln!(self.0, "{} ({} x {}): {count}", outcome.image, detected.width, detected.height)?;
        let width = detected.faces.iter().map(|face| face.label.chars().count()).max().unwrap_or(0);
        for face in detected.faces {
            let (x, y, w, h) = face.face.bbox.crop_rectangle(detected.width, detected.height);
            writeln!(
                self.0,
                "  {:width$} {:5.1}%   face {:5.1}%   {w} x {h} at {x}, {y}",
                face.label,
                100.0 * face.label_probability(),
                100.0 * face.face.confidence,
            )?;
        }
        self.0.flush()
    }
}
