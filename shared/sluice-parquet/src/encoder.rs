//! Batches into Parquet files, handed out piece by piece as each row group is done.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use sluice_core::{Error, Result};

use crate::dictionary::{SAMPLE_BYTES, SAMPLE_ROWS, columns_with_dictionary};

/// The fastest of zstd's levels that are worth it: the next ones take twice the time for a few hundredths of the size.
const ZSTD_LEVEL: i32 = 1;

/// Rows per row group: long enough for dictionaries to pay, short enough that a reader's memory stays small.
pub(crate) const ROW_GROUP_ROWS: usize = 512 * 1024;

/// And bytes per row group, encoded, dictionaries included: what bounds our own memory, whatever the table.
const ROW_GROUP_BYTES: usize = 12 * 1024 * 1024;

/// A column's dictionary grows to this before the column goes on without one.
const DICTIONARY_BYTES: usize = 6 * 1024 * 1024;

/// When a file is ended and the next one begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileLimit {
    pub bytes: usize,
    pub rows: u64,
}

/// What the encoder hands out, in order.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes of the file under way.
    Bytes(Bytes),
    /// The file is complete and has this many rows.
    End { rows: u64 },
}

struct File {
    writer: ArrowWriter<Vec<u8>>,
    rows: u64,
}

/// Encodes one file after the other.
pub(crate) struct FileEncoder {
    schema: SchemaRef,
    limit: FileLimit,
    /// The first rows, until there are enough to decide how columns are written.
    sample: Vec<RecordBatch>,
    properties: Option<WriterProperties>,
    file: Option<File>,
}

impl FileEncoder {
    pub(crate) fn new(schema: SchemaRef, limit: FileLimit) -> Self {
        FileEncoder { schema, limit, sample: Vec::new(), properties: None, file: None }
    }

    #[cfg(test)]
    pub(crate) fn set_limit(&mut self, limit: FileLimit) {
        self.limit = limit;
    }

    /// Takes a batch and appends what is ready to `out`.
    pub(crate) fn write(&mut self, batch: RecordBatch, out: &mut Vec<Piece>) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.properties.is_some() {
            return self.encode(&batch, out);
        }
        self.sample.push(batch);
        let rows: usize = self.sample.iter().map(RecordBatch::num_rows).sum();
        let bytes: usize = self.sample.iter().map(RecordBatch::get_array_memory_size).sum();
        if rows >= SAMPLE_ROWS || bytes >= SAMPLE_BYTES { self.encode_sample(out) } else { Ok(()) }
    }

    /// Ends the file under way, if there is one.
    pub(crate) fn finish(&mut self, out: &mut Vec<Piece>) -> Result<()> {
        self.encode_sample(out)?;
        self.end_file(out)
    }

    fn encode_sample(&mut self, out: &mut Vec<Piece>) -> Result<()> {
        let sample = std::mem::take(&mut self.sample);
        if !sample.is_empty() {
            self.properties = Some(properties(&self.schema, &columns_with_dictionary(&sample))?);
        }
        sample.iter().try_for_each(|batch| self.encode(batch, out))
    }

    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<Piece>) -> Result<()> {
        let file = match (&mut self.file, &self.properties) {
            (Some(file), _) => file,
            (None, Some(properties)) => {
                self.file.insert(File { writer: writer(&self.schema, properties.clone())?, rows: 0 })
            }
            (None, None) => return Err(Error::internal("rows are encoded before it is known how")),
        };
        file.writer.write(batch).map_err(failed)?;
        file.rows += batch.num_rows() as u64;
        // The writer buffers a row group and then writes all of it.
        let ready = std::mem::take(file.writer.inner_mut());
        if !ready.is_empty() {
            out.push(Piece::Bytes(Bytes::from(ready)));
        }
        let bytes = file.writer.bytes_written() + file.writer.in_progress_size();
        if bytes >= self.limit.bytes || file.rows >= self.limit.rows { self.end_file(out) } else { Ok(()) }
    }

    fn end_file(&mut self, out: &mut Vec<Piece>) -> Result<()> {
        let Some(File { writer, rows }) = self.file.take() else { return Ok(()) };
        out.push(Piece::Bytes(Bytes::from(writer.into_inner().map_err(failed)?)));
        out.push(Piece::End { rows });
        Ok(())
    }
}

/// Only encodings of the format's first version: warehouses' loaders do not take all of the second's.
fn properties(schema: &SchemaRef, with_dictionary: &[bool]) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        // Per column chunk: what a warehouse prunes by. Page statistics would only make the file larger.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned());
    for (field, with_dictionary) in schema.fields().iter().zip(with_dictionary) {
        properties =
            properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), *with_dictionary);
    }
    Ok(properties.build())
}

fn writer(schema: &SchemaRef, properties: WriterProperties) -> Result<ArrowWriter<Vec<u8>>> {
    // Parquet's own logical types say everything; Arrow's copy of the schema would only be read by Arrow.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options).map_err(failed)
}

fn failed(error: ParquetError) -> Error {
    Error::internal("cannot encode Parquet").because(error)
}
