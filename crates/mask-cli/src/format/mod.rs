//! The forms of the results on standard output.

mod csv;
mod ndjson;
mod table;

use std::{io, process::ExitCode};

use anyhow::bail;
use detection_schema::ImageRecord;

pub(crate) use csv::io_error;

use crate::args::Format;

/// Prints results one by one.
pub(crate) trait Printer {
    /// Prints the result for an image.
    fn print(&mut self, record: &ImageRecord) -> io::Result<()>;
}

/// A printer of the given form onto `output`, for the given classes.
pub(crate) fn printer(
    format: Format,
    classes: &[String],
    output: io::StdoutLock<'static>,
) -> io::Result<Box<dyn Printer>> {
    Ok(match format {
        Format::Ndjson => Box::new(ndjson::Ndjson::new(output)),
        Format::Csv => Box::new(csv::Csv::new(classes, output)?),
        Format::Table => {
            // Colours only onto a terminal, and not where NO_COLOR stands.
            Box::new(table::Table::new(classes, anstream::AutoStream::auto(output)))
        }
    })
}

/// How a program ends that cannot write its results: a reader that went away is not an error.
///
/// # Errors
/// For anything else.
pub(crate) fn output_failed(error: &io::Error) -> anyhow::Result<ExitCode> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => bail!("cannot write the results: {error}"),
    }
}
