//! Batches into Parquet files, handed out piece by piece as each row group is done.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions},
    },
    basic::{Compression, ZstdLevel},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};
use sluice_core::{DataFile, Error, Result, port::Stored};

use crate::{
    dictionary::{SAMPLE_BYTES, SAMPLE_ROWS, columns_with_dictionary},
    error::failed,
    row_group::{NUMBERS_BYTES, ROW_GROUP_ROWS, RowGroup},
};

/// The fastest of zstd's levels that are worth it: the next ones take twice the time for a few hundredths of the size.
const ZSTD_LEVEL: i32 = 1;

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
    /// The file is complete.
    End(Counts),
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub rows: u64,
    /// For each column, the rows with a value.
    pub values: Vec<u64>,
}

impl Counts {
    /// The file as its commit names it. Only its first columns are the contract's.
    pub(crate) fn file(mut self, columns: usize, path: String, bytes: u64, stored: Stored) -> DataFile {
        self.values.truncate(columns);
        DataFile { path, rows: self.rows, bytes, checksum: stored.checksum, values: self.values }
    }
}

struct File {
    writer: SerializedFileWriter<Vec<u8>>,
    row_groups: ArrowRowGroupWriterFactory,
    row_group: Option<RowGroup>,
    counts: Counts,
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
            (None, Some(properties)) => self.file.insert(File::new(&self.schema, properties.clone())?),
            (None, None) => return Err(Error::internal("rows are encoded before it is known how")),
        };
        let mut from = 0;
        while from < batch.num_rows() {
            from += file.write(&batch.slice(from, batch.num_rows() - from))?;
            out.extend(file.ready());
        }
        if file.bytes() >= self.limit.bytes || file.counts.rows >= self.limit.rows {
            self.end_file(out)
        } else {
            Ok(())
        }
    }

    fn end_file(&mut self, out: &mut Vec<Piece>) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.end_row_group()?;
        out.push(Piece::Bytes(Bytes::from(file.writer.into_inner().map_err(failed)?)));
        out.push(Piece::End(file.counts));
        Ok(())
    }
}

impl File {
    fn new(schema: &SchemaRef, properties: WriterProperties) -> Result<Self> {
        // Parquet's own logical types say everything; Arrow's copy of the schema would only be read by Arrow.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let (writer, row_groups) = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options)
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(failed)?;
        let counts = Counts { rows: 0, values: vec![0; schema.fields().len()] };
        Ok(File { writer, row_groups, row_group: None, counts })
    }

    /// Takes the first rows of the batch, as many as the row group has room for.
    fn write(&mut self, batch: &RecordBatch) -> Result<usize> {
        let row_group = match &mut self.row_group {
            Some(row_group) => row_group,
            None => self.row_group.insert(RowGroup::new(&self.writer, &self.row_groups)?),
        };
        let rows = batch.num_rows().min(ROW_GROUP_ROWS - row_group.rows());
        let batch = batch.slice(0, rows);
        row_group.write(&batch)?;
        self.counts.rows += rows as u64;
        for (values, column) in self.counts.values.iter_mut().zip(batch.columns()) {
            *values += (rows - column.null_count()) as u64;
        }
        if row_group.is_full() {
            self.end_row_group()?;
        }
        Ok(rows)
    }

    fn end_row_group(&mut self) -> Result<()> {
        self.row_group.take().map_or(Ok(()), |row_group| row_group.close(&mut self.writer))
    }

    /// What has been written since it was asked the last time: a row group, if one ended.
    fn ready(&mut self) -> Option<Piece> {
        let ready = std::mem::take(self.writer.inner_mut());
        (!ready.is_empty()).then(|| Piece::Bytes(Bytes::from(ready)))
    }

    fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.row_group.as_ref().map_or(0, RowGroup::estimated_bytes)
    }
}

/// Only encodings of the format's first version: warehouses' loaders do not take all of the second's.
fn properties(schema: &SchemaRef, with_dictionary: &[bool]) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?))
        .set_dictionary_page_size_limit(NUMBERS_BYTES)
        // Per column chunk: what a reader of the lake prunes by. Those of pages would only make the file larger.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("sluice version ", env!("CARGO_PKG_VERSION")).to_owned());
    for (field, with_dictionary) in schema.fields().iter().zip(with_dictionary) {
        properties =
            properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), *with_dictionary);
    }
    Ok(properties.build())
}

#[cfg(test)]
mod tests;
