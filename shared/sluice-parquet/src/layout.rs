//! The columns of a data file: the contract's, and the constants that every row of a run shares.

use std::{iter::repeat_n, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use sluice_core::{Column, ColumnType, Error, Loader, Result, extract::ExtractRun, names};

/// What Snowpipe cannot add to a row by itself, so the file carries it.
struct Constants {
    run_id: String,
    sequence: i64,
}

/// What a batch of rows looks like in its file.
pub(crate) struct Layout {
    schema: SchemaRef,
    constants: Option<Constants>,
}

impl Layout {
    pub(crate) fn new(run: &ExtractRun<'_>) -> Result<Self> {
        let mut fields: Vec<Field> = run.table.columns.columns().iter().map(field).collect();
        let constants = match run.table.loader {
            Loader::Async => {
                fields.push(Field::new("_SLUICE_RUN_ID", DataType::Utf8, false));
                fields.push(Field::new("_SLUICE_SEQUENCE", DataType::Int64, false));
                let sequence = i64::try_from(run.sequence.0)
                    .map_err(|error| Error::internal("a sequence does not fit its column").because(error))?;
                Some(Constants { run_id: run.run_id.0.clone(), sequence })
            }
            Loader::Copy | Loader::Streaming => None,
        };
        Ok(Layout { schema: Arc::new(ArrowSchema::new(fields)), constants })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// One array per column of the contract becomes a batch of the file.
    pub(crate) fn batch(&self, mut columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        let rows = columns.first().map_or(0, |column| column.len());
        if let Some(Constants { run_id, sequence }) = &self.constants {
            columns.push(Arc::new(StringArray::from_iter_values(repeat_n(run_id, rows))));
            columns.push(Arc::new(Int64Array::from_iter_values(repeat_n(*sequence, rows))));
        }
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| Error::internal("cannot form a batch of rows").because(error))
    }
}

/// A required column is required in the file too: the contract has been checked before a row gets here.
fn field(column: &Column) -> Field {
    let data_type = match column.column_type {
        ColumnType::Bigint => DataType::Int64,
        ColumnType::Text => DataType::Utf8,
        ColumnType::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::Date => DataType::Date32,
        ColumnType::Boolean => DataType::Boolean,
    };
    Field::new(names::fold(&column.name), data_type, !column.required)
}
