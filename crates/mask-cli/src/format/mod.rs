//! The forms of the results on standard output.

mod csv;
mod ndjson;
mod table;

use std::io::{self, Write};

use mask_detector::MaskedFace;

use crate::args::Format;

/// What became of one input.
pub(crate) struct Outcome<'a> {
    /// The input's path, as given; bytes that are no UTF-8 replaced.
    pub(crate) image: &'a str,
    /// The result.
    pub(crate) result: Result<Detected<'a>, &'a str>,
}

/// The faces of a picture.
pub(crate) struct Detected<'a> {
    /// Width of the upright picture, in pixels.
    pub(crate) width: u32,
    /// Height of the upright picture, in pixels.
    pub(crate) height: u32,
    /// Its faces, the most confident first.
    pub(crate) faces: &'a [MaskedFace],
}

/// Prints outcomes one by one.
pub(crate) trait Printer {
    /// Prints an outcome.
    fn print(&mut self, outcome: &Outcome<'_>) -> io::Result<()>;
}

/// A printer of the given form onto `output`, for the given classes.
pub(crate) fn printer<'a>(
    format: Format,
    classes: &[String],
    output: impl Write + 'a,
) -> io::Result<Box<dyn Printer + 'a>> {
    Ok(match format {
        Format::Ndjson => Box::new(ndjson::Ndjson::new(output)),
        Format::Csv => Box::new(csv::Csv::new(classes, output)?),
        Format::Table => Box::new(table::Table::new(output)),
    })
}
