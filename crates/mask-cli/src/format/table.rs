//! For people: one line per image, one per face.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use detection_schema::{ImageRecord, Outcome};

use unicode_width::UnicodeWidthStr;

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
        let column = faces.iter().map(|face| face.label.width()).max().unwrap_or(0);
        for face in faces {
            // Padded to what a terminal shows, not to characters.
            let pad = column - face.label.width();
            let probability = face.probabilities.of(&face.label).unwrap_or(0.0);
            writeln!(
                self.0,
                "  {}{:pad$} {:5.1}%   face {:5.1}%   {:.0} x {:.0} at {:.0}, {:.0}",
                face.label,
                "",
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

#[cfg(test)]
mod tests {
    use detection_schema::{FaceRecord, Probabilities};
    use mask_detector::BoundingBox;

    use super::*;

    #[test]
    fn columns_stand_by_what_a_terminal_shows() {
        let face = |label: &str| FaceRecord {
            bbox: BoundingBox { x_min: 1.0, y_min: 2.0, x_max: 3.0, y_max: 4.0 },
            confidence: 0.5,
            label: label.to_owned(),
            probabilities: Probabilities::default(),
        };
        let faces = vec![face("戴口罩"), face("mask")];
        let outcome = Outcome::Faces { width: 9, height: 9, faces, warning: None, drawn: None };
        let mut text = Vec::new();
        let record = ImageRecord { image: "a.jpg".to_owned(), outcome };
        Table::new(&mut text).print(&record).unwrap();
        let text = String::from_utf8(text).unwrap();
        let starts: Vec<usize> =
            text.lines().skip(1).map(|line| line[..line.find("face").unwrap()].width()).collect();
        assert_eq!(starts[0], starts[1], "{text}");
    }
}
