//! For people: one line per image, one per face.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anstyle::{RgbColor, Style};
use detection_schema::{ImageRecord, Outcome, class_color};
use unicode_width::UnicodeWidthStr;

use super::Printer;

/// Prints a table.
pub(crate) struct Table<W> {
    output: W,
    classes: Vec<String>,
}

impl<W: Write> Table<W> {
    /// Onto `output`, which drops colours where nobody wants them.
    pub(crate) fn new(classes: &[String], output: W) -> Self {
        Self { output, classes: classes.to_vec() }
    }
}

impl<W: Write> Printer for Table<W> {
    fn print(&mut self, record: &ImageRecord) -> io::Result<()> {
        let image = &record.image;
        let (size, faces) = match &record.outcome {
            Outcome::Failed { error } => return writeln!(self.output, "{image}: {error}"),
            Outcome::Faces { width, height, faces, .. } => ((width, height), faces),
        };
        let count = match faces.len() {
            0 => "no faces".to_owned(),
            1 => "1 face".to_owned(),
            more => format!("{more} faces"),
        };
        write!(self.output, "{image} ({} x {}): {count}", size.0, size.1)?;
        let mut labels = BTreeMap::<&str, usize>::new();
        for face in faces {
            *labels.entry(&face.label).or_default() += 1;
        }
        if faces.len() > 1 {
            let counts: Vec<_> = labels.iter().map(|(label, n)| format!("{n} {label}")).collect();
            write!(self.output, ": {}", counts.join(", "))?;
        }
        writeln!(self.output)?;
        let column = faces.iter().map(|face| face.label.width()).max().unwrap_or(0);
        for face in faces {
            // Padded to what a terminal shows, not to characters.
            let pad = column - face.label.width();
            let probability = face.probabilities.of(&face.label).unwrap_or(0.0);
            let [red, green, blue] = class_color(&self.classes, &face.label);
            let style = Style::new().fg_color(Some(RgbColor(red, green, blue).into()));
            writeln!(
                self.output,
                "  {style}{}{style:#}{:pad$} {:5.1}%   face {:5.1}%   {:.0} x {:.0} at {:.0}, {:.0}",
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
        self.output.flush()
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
            track: None,
        };
        let faces = vec![face("戴口罩"), face("mask")];
        let outcome = Outcome::Faces { width: 9, height: 9, faces, warning: None, drawn: None };
        let mut text = Vec::new();
        let record = ImageRecord { image: "a.jpg".to_owned(), outcome };
        let classes = ["mask", "戴口罩"].map(str::to_owned);
        Table::new(&classes, &mut text).print(&record).unwrap();
        let colored = String::from_utf8(text).unwrap();
        // A class without a colour of its own has the same as where it is drawn.
        let [red, green, blue] = class_color(&classes, "mask");
        assert!(colored.contains(&format!("\u{1b}[38;2;{red};{green};{blue}mmask\u{1b}[0m")));
        let text = anstream::adapter::strip_str(&colored).to_string();
        let starts: Vec<usize> =
            text.lines().skip(1).map(|line| line[..line.find("face").unwrap()].width()).collect();
        assert_eq!(starts[0], starts[1], "{text}");
    }
}
