//! The row group under way: one encoder per column.

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, cast::AsArray};
use parquet::{
    arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    basic::Type,
    file::writer::SerializedFileWriter,
};
use sluice_core::{Error, Result};

use crate::{
    error::failed,
    text_chunk::{ClosedChunk, TextChunk},
};

/// Rows per row group: long enough for dictionaries to pay, short enough that a reader's memory stays small.
pub(crate) const ROW_GROUP_ROWS: usize = 512 * 1024;

/// And bytes per row group, encoded, dictionaries included: with [`TEXTS_BYTES`], what bounds our own memory.
const ROW_GROUP_BYTES: usize = 12 * 1024 * 1024;

/// A column of texts whose dictionary takes this in memory ends its row group.
const TEXTS_BYTES: usize = 10 * 1024 * 1024;

/// A column of numbers whose dictionary grows to this goes on without one.
pub(crate) const NUMBERS_BYTES: usize = 6 * 1024 * 1024;

enum Column {
    Text(Box<TextChunk>),
    Other(Box<ArrowColumnWriter>),
}

pub(crate) struct RowGroup {
    columns: Vec<Column>,
    rows: usize,
}

impl RowGroup {
    pub(crate) fn new(file: &SerializedFileWriter<Vec<u8>>, factory: &ArrowRowGroupWriterFactory) -> Result<Self> {
        let properties = file.properties();
        let writers = factory.create_column_writers(file.flushed_row_groups().len()).map_err(failed)?;
        let columns = file.schema_descr().columns().iter().zip(writers).map(|(descriptor, writer)| {
            let path = descriptor.path();
            if descriptor.physical_type() != Type::BYTE_ARRAY || !properties.dictionary_enabled(path) {
                return Ok(Column::Other(Box::new(writer)));
            }
            let chunk = TextChunk::new(descriptor.clone(), properties.compression(path))?;
            Ok(Column::Text(Box::new(chunk)))
        });
        Ok(RowGroup { columns: columns.collect::<Result<_>>()?, rows: 0 })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes rows that fit, see [`RowGroup::rows`].
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        for ((column, field), array) in self.columns.iter_mut().zip(schema.fields()).zip(batch.columns()) {
            match column {
                Column::Text(chunk) => chunk.write(texts(array)?)?,
                Column::Other(writer) => {
                    for leaf in compute_leaves(field, array).map_err(failed)? {
                        writer.write(&leaf).map_err(failed)?;
                    }
                }
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    pub(crate) fn estimated_bytes(&self) -> usize {
        let bytes = |column: &Column| match column {
            Column::Text(chunk) => chunk.estimated_bytes(),
            Column::Other(writer) => writer.get_estimated_total_bytes(),
        };
        self.columns.iter().map(bytes).sum()
    }

    pub(crate) fn is_full(&self) -> bool {
        let is_large = |column: &Column| match column {
            Column::Text(chunk) => chunk.dictionary_memory() >= TEXTS_BYTES,
            Column::Other(_) => false,
        };
        self.rows >= ROW_GROUP_ROWS || self.estimated_bytes() >= ROW_GROUP_BYTES || self.columns.iter().any(is_large)
    }

    /// Appends all columns to the file.
    pub(crate) fn close(self, file: &mut SerializedFileWriter<Vec<u8>>) -> Result<()> {
        // Once, where growing would copy it and leave holes.
        file.inner_mut().reserve(self.estimated_bytes());
        let mut group = file.next_row_group().map_err(failed)?;
        for column in self.columns {
            match column {
                Column::Text(chunk) => {
                    let ClosedChunk { bytes, close } = chunk.close()?;
                    group.append_column(&bytes, close)
                }
                Column::Other(writer) => writer.close().and_then(|chunk| chunk.append_to_row_group(&mut group)),
            }
            .map_err(failed)?;
        }
        group.close().map(drop).map_err(failed)
    }
}

fn texts(array: &ArrayRef) -> Result<&StringArray> {
    array.as_string_opt().ok_or_else(|| Error::internal(format!("a text column holds {}", array.data_type())))
}
