//! For people: one line per image, one per face.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use detection_schema::{ImageRecord, Outcome};

use super::Printer;

/// Prints a table.
pub(crate) struct Table<W>(W);

impl<W: Write> Table<W> {
    /// Onto `output`.
    pub(crate) fn new(output: W) -> Self {
        Self(output)
    }
}

impl<W: Write> Printer for Table<W> {
    fn print(&mut self, record: &ImageRecord) -> io::Result<()> {
        let image = &record.image;
        let (size, faces) = match &record.outcome {
            Outcome::Failed { error } => return writeln!(self.0, "{image}: {error}"),
            Outcome::Faces { width, height, faces, .. } => ((width, height), faces),
        };
        let count = match faces.len() {
            0 => "no faces".to_owned(),
            1 => "1 face".to_owned(),
            more => format!("{more} faces"),
        };
        write!(self.0, "{image} ({} x {}): {count}", size.0, size.1)?;
        let mut labels = BTreeMap::<&str, usize>::new();
        for face in faces {
            *labels.entry(&face.label).or_default() += 1;
        }
        if faces.len() > 1 {
            let counts: Vec<_> = labels.iter().map(|(label, n)| format!("{n} {label}")).collect();
            write!(self.0, ": {}", counts.join(", "))?;
        }
        writeln!(self.0)?;
        let column = faces.iter().map(|face| face.label.chars().count()).max().unwrap_or(0);
        for face in faces {
            let probability = face.probabilities.of(&face.label).unwrap_or(0.0);
            writeln!(
                self.0,
                "  {:column$} {:5.1}%   face {:5.1}%   {:.0} x {:.0} at {:.0}, {:.0}",
                face.label,
                100.0 * probability,
                100.0 * face.confidence,
                face.bbox.width(),
                face.bbox.height(),
                face.bbox.x_min,
                face.bbox.y_min,
            )?;
        }
        self.0.flush()
    }
}
