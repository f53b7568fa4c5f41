//! The forms of the results on standard output.

mod csv;
mod ndjson;
pub(crate) mod parquet;
mod table;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::bail;
use detection_schema::ImageRecord;

pub(crate) use csv::io_error;

use crate::args::{DataFormat, Format};

/// Prints results one by one.
pub(crate) trait Printer {
    /// Prints the result for an image.
    fn print(&mut self, record: &ImageRecord) -> io::Result<()>;

    /// Prints what comes after the last one.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A printer of the given form onto standard output, for the given classes.
pub(crate) fn on_stdout(format: Format, classes: &[String]) -> io::Result<Box<dyn Printer>> {
    match format {
        // Colours only onto a terminal, and not where NO_COLOR stands.
        Format::Table => {
            let output = anstream::AutoStream::auto(io::stdout().lock());
            Ok(Box::new(table::Table::new(classes, output)))
        }
        Format::Data(format) => printer(format, classes, io::stdout()),
    }
}

/// A printer of the given form onto `output`, for the given classes.
pub(crate) fn printer(
    format: DataFormat,
    classes: &[String],
    output: impl Write + Send + 'static,
) -> io::Result<Box<dyn Printer>> {
    Ok(match format {
        DataFormat::Ndjson => Box::new(ndjson::Ndjson::new(output)),
        DataFormat::Csv => Box::new(csv::Csv::new(classes, output)?),
        DataFormat::Parquet => Box::new(parquet::Parquet::new(output)?),
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
