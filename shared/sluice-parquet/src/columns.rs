//! Rows into Arrow arrays: one builder per column of the contract.

use std::sync::Arc;

use arrow_array::{
    ArrayRef,
    builder::{
        BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
    },
};
use sluice_core::{Cell, Column, ColumnType, Error, Result, Schema};

/// A batch is handed to the encoder at this many rows: enough for the encoder to work in long loops, small enough that
/// its arrays stay in the cache of one core.
const BATCH_ROWS: usize = 8 * 1024;

/// Or at this much text, so that a table of long documents is bounded by its bytes and not by its row count.
const BATCH_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// The batch under way.
pub(crate) struct Columns {
    builders: Vec<Builder>,
    rows: usize,
    text_bytes: usize,
}

impl Columns {
    pub(crate) fn new(contract: &Schema) -> Result<Self> {
        let builders = contract.columns().iter().map(Builder::new).collect::<Result<_>>()?;
        Ok(Columns { builders, rows: 0, text_bytes: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.text_bytes >= BATCH_TEXT_BYTES
    }

    /// Appends a row that has passed the contract, so that each cell fits its builder.
    pub(crate) fn append(&mut self, row: &[Cell<'_>]) -> Result<()> {
        for (builder, cell) in self.builders.iter_mut().zip(row) {
            if let Cell::Text(text) = cell {
                self.text_bytes += text.len();
            }
            builder.append(*cell)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Takes the batch and starts the next one.
    pub(crate) fn take(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.text_bytes = 0;
        self.builders.iter_mut().map(Builder::finish).collect()
    }
}

enum Builder {
    Bigint(Int64Builder),
    Text(StringBuilder),
    Decimal(Decimal128Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Boolean(BooleanBuilder),
}

impl Builder {
    fn new(column: &Column) -> Result<Self> {
        Ok(match column.column_type {
            ColumnType::Bigint => Builder::Bigint(Int64Builder::new()),
            ColumnType::Text => Builder::Text(StringBuilder::new()),
            ColumnType::Timestamp => Builder::Timestamp(TimestampMicrosecondBuilder::new()),
            ColumnType::Date => Builder::Date(Date32Builder::new()),
            ColumnType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            ColumnType::Decimal(precision, scale) => {
                let builder = Decimal128Builder::new().with_precision_and_scale(precision, scale);
                Builder::Decimal(builder.map_err(|error| {
                    Error::config("a column's decimal type is not usable").with("column", &column.name).because(error)
                })?)
            }
        })
    }

    fn append(&mut self, cell: Cell<'_>) -> Result<()> {
        match (self, cell) {
            (Builder::Bigint(builder), Cell::Bigint(value)) => builder.append_value(value),
            (Builder::Text(builder), Cell::Text(value)) => builder.append_value(value),
            (Builder::Decimal(builder), Cell::Decimal(value)) => builder.append_value(value),
            (Builder::Timestamp(builder), Cell::Timestamp(value)) => builder.append_value(value),
            (Builder::Date(builder), Cell::Date(value)) => builder.append_value(value),
            (Builder::Boolean(builder), Cell::Boolean(value)) => builder.append_value(value),
            (Builder::Bigint(builder), Cell::Null) => builder.append_null(),
            (Builder::Text(builder), Cell::Null) => builder.append_null(),
            (Builder::Decimal(builder), Cell::Null) => builder.append_null(),
            (Builder::Timestamp(builder), Cell::Null) => builder.append_null(),
            (Builder::Date(builder), Cell::Null) => builder.append_null(),
            (Builder::Boolean(builder), Cell::Null) => builder.append_null(),
            _ => return Err(Error::internal("a cell of another type than its column passed the contract")),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Bigint(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Decimal(builder) => Arc::new(builder.finish()),
            Builder::Timestamp(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Boolean(builder) => Arc::new(builder.finish()),
        }
    }
}
