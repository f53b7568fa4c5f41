//! Parquet: one row per image, its faces a list in it. docs/formats.md has the schema.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use arrow_array::cast::AsArray;
use arrow_json::{ReaderBuilder, reader::Decoder};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use detection_schema::ImageRecord;
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    errors::ParquetError,
    file::properties::WriterProperties,
};

use super::Printer;

/// Rows that are encoded together.
const BATCH: usize = 256;

/// The columns: those of [`ImageRecord`], and what they hold.
fn schema() -> Schema {
    let numbers = |names: &[&str]| -> Fields {
        names.iter().map(|name| Field::new(*name, DataType::Float32, false)).collect()
    };
    let probability = Field::new_map(
        "probabilities",
        "entries",
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Float32, false),
        false,
        false,
    );
    let face: Fields = vec![
        Field::new("box", DataType::Struct(numbers(&["x_min", "y_min", "x_max", "y_max"])), false),
        Field::new("confidence", DataType::Float32, false),
        Field::new("label", DataType::Utf8, false),
        probability,
    ]
    .into();
    let faces = DataType::List(Arc::new(Field::new("item", DataType::Struct(face), false)));
    Schema::new(vec![
        Field::new("image", DataType::Utf8, false),
        Field::new("width", DataType::UInt32, true),
        Field::new("height", DataType::UInt32, true),
        Field::new("faces", faces, true),
        Field::new("warning", DataType::Utf8, true),
        Field::new("drawn", DataType::Utf8, true),
        Field::new("error", DataType::Utf8, true),
    ])
}

/// Prints Parquet.
pub(crate) struct Parquet<W: Write + Send> {
    /// None once it is finished.
    writer: Option<ArrowWriter<W>>,
    rows: Decoder,
    count: usize,
}

impl<W: Write + Send> Parquet<W> {
    /// Onto `output`.
    pub(crate) fn new(output: W) -> io::Result<Self> {
        let schema = Arc::new(schema());
        let rows = ReaderBuilder::new(Arc::clone(&schema)).build_decoder().map_err(arrow_error)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("mask-cli ", env!("CARGO_PKG_VERSION")).to_owned());
        let writer = ArrowWriter::try_new(output, schema, Some(properties.build()));
        Ok(Self { writer: Some(writer.map_err(parquet_error)?), rows, count: 0 })
    }

    fn encode(&mut self) -> io::Result<()> {
        self.count = 0;
        match (self.rows.flush().map_err(arrow_error)?, &mut self.writer) {
            (Some(batch), Some(writer)) => writer.write(&batch).map_err(parquet_error),
            _ => Ok(()),
        }
    }
}

impl<W: Write + Send> Printer for Parquet<W> {
    fn print(&mut self, record: &ImageRecord) -> io::Result<()> {
        self.rows.serialize(std::slice::from_ref(record)).map_err(arrow_error)?;
        self.count += 1;
        if self.count == BATCH { self.encode() } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.encode()?;
        match self.writer.take() {
            Some(writer) => writer.into_inner().map_err(parquet_error)?.flush(),
            None => Ok(()),
        }
    }
}

/// The images that a file has rows of.
///
/// # Errors
/// If it is not one of ours, or not whole.
pub(crate) fn images_of(file: File) -> io::Result<Vec<String>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet_error)?;
    let image = ProjectionMask::columns(builder.parquet_schema(), ["image"]);
    let batches = builder.with_projection(image).build().map_err(parquet_error)?;
    let mut images = Vec::new();
    for batch in batches {
        let batch = batch.map_err(arrow_error)?;
        let column = batch.columns().first().and_then(|column| column.as_string_opt::<i32>());
        let column = column.ok_or_else(|| io::Error::other("there is no column `image`"))?;
        images.extend(column.iter().flatten().map(str::to_owned));
    }
    Ok(images)
}

fn arrow_error(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}

fn parquet_error(error: ParquetError) -> io::Error {
    match error {
        // A closed pipe is to be known as one.
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        other => io::Error::other(other),
    }
}
