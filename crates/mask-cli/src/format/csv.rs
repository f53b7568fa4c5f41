//! One row per face; an image without faces, or with an error, has one row.

use std::io::{self, Write};

use detection_schema::{ImageRecord, Outcome};

use super::Printer;

/// Columns before the classes' probabilities.
const COLUMNS: [&str; 9] =
    ["image", "width", "height", "x_min", "y_min", "x_max", "y_max", "confidence", "label"];

/// Prints CSV.
pub(crate) struct Csv<W: Write> {
    writer: csv::Writer<W>,
    classes: usize,
}

impl<W: Write> Csv<W> {
    /// Onto `output`, starting with the header.
    pub(crate) fn new(classes: &[String], output: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(output);
        let names = COLUMNS.into_iter().chain(classes.iter().map(String::as_str));
        writer.write_record(names.chain(["error", "warning", "drawn"])).map_err(io_error)?;
        Ok(Self { writer, classes: classes.len() })
    }

    /// Writes a row of the given leading and last fields, with empty ones between.
    fn row(&mut self, leading: &[String], last: [&str; 3]) -> io::Result<()> {
        let empty = COLUMNS.len() + self.classes - leading.len();
        let fields = leading.iter().map(String::as_str).chain(std::iter::repeat_n("", empty));
        self.writer.write_record(fields.chain(last)).map_err(io_error)
    }
}

impl<W: Write> Printer for Csv<W> {
    fn print(&mut self, record: &ImageRecord) -> io::Result<()> {
        let image = record.image.clone();
        match &record.outcome {
            Outcome::Failed { error } => self.row(&[image], [error, "", ""])?,
            Outcome::Faces { width, height, faces, warning, drawn } => {
                let text = |field: &Option<String>| field.clone().unwrap_or_default();
                let (warning, drawn) = (text(warning), text(drawn));
                let last = ["", &warning, &drawn];
                let image = [image, width.to_string(), height.to_string()];
                if faces.is_empty() {
                    self.row(&image, last)?;
                }
                for face in faces {
                    let bbox = face.bbox;
                    let numbers = [bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max, face.confidence];
                    let mut row = image.to_vec();
                    row.extend(numbers.map(|number| number.to_string()));
                    row.push(face.label.clone());
                    row.extend(face.probabilities.0.iter().map(|(_, p)| p.to_string()));
                    self.row(&row, last)?;
                }
            }
        }
        self.writer.flush()
    }
}

/// The error below, with its kind, so that a closed pipe is known as one.
pub(crate) fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
