//! The table that the commits of a lake load into: what `load-commits` promises, as a few lines of plain Rust.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use arrow_array::{
    Array, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sluice_core::{Commit, Disposition, Schema, Sequence, Table, lake, names};

use super::MemoryLake;

/// A row's values by column: decimals unscaled, times in microseconds, dates in days; `None` for null.
pub type Row = BTreeMap<String, Option<String>>;

impl MemoryLake {
    /// The commits of a table, the oldest first. A gap in the log is an error.
    pub fn commits(&self, table: &Table) -> Result<Vec<Commit>> {
        let objects = self.store.objects.borrow();
        let in_log = objects.keys().filter(|key| key.starts_with(&lake::log_prefix(&table.table))).count() as u64;
        let commit = |sequence| {
            let key = lake::log_key(&table.table, Sequence(sequence));
            let body = objects.get(&key).with_context(|| format!("the log lacks {key}"))?;
            Commit::decode(body).with_context(|| format!("cannot read {key}"))
        };
        (1..=in_log).map(commit).collect()
    }

    /// Every row of every commit in the order of the log.
    pub fn committed_rows(&self, table: &Table) -> Result<Vec<Row>> {
        let objects = self.store.objects.borrow();
        let mut rows = Vec::new();
        let files = self.commits(table)?.into_iter().flat_map(|commit| {
            let Commit { files, schema, .. } = commit;
            files.into_iter().map(move |file| (file, schema.clone()))
        });
        for (file, schema) in files {
            let body =
                objects.get(&file.path).with_context(|| format!("a commit names {}, which is not there", file.path))?;
            let read = read(body.clone(), &schema).with_context(|| format!("cannot read {}", file.path))?;
            if read.len() as u64 != file.rows {
                bail!("{} holds {} rows, its commit says {}", file.path, read.len(), file.rows);
            }
            rows.extend(read);
        }
        Ok(rows)
    }

    /// The table by key: of two rows of one key the newer version wins, of equal versions the later commit; without a
    /// version column a merge keeps the first row, and in an append table the newest is the one that staging takes.
    pub fn loaded(&self, table: &Table) -> Result<BTreeMap<Vec<String>, Row>> {
        let mut loaded: BTreeMap<Vec<String>, Row> = BTreeMap::new();
        for row in self.committed_rows(table)? {
            let value = |row: &Row, column: &String| row.get(column).cloned().flatten().unwrap_or_default();
            let key: Vec<String> = table.key.iter().map(|column| value(&row, column)).collect();
            let wins = match (loaded.get(&key), &table.version_column) {
                (None, _) => true,
                (Some(known), Some(column)) => {
                    value(&row, column).parse::<i128>().ok() >= value(known, column).parse::<i128>().ok()
                }
                (Some(_), None) => table.disposition != Disposition::Merge,
            };
            if wins {
                loaded.insert(key, row);
            }
        }
        Ok(loaded)
    }
}

fn read(body: Bytes, schema: &Schema) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(body)?.build()? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            rows.push(row_of(&batch, row, schema)?);
        }
    }
    Ok(rows)
}

/// A file calls a column as the warehouse does.
fn row_of(batch: &RecordBatch, row: usize, columns: &Schema) -> Result<Row> {
    let schema = batch.schema();
    let name = |field: &str| {
        let column = columns.columns().iter().find(|column| names::fold(&column.name) == field);
        column.map_or_else(|| field.to_owned(), |column| column.name.clone())
    };
    let values = schema.fields().iter().zip(batch.columns());
    values.map(|(field, column)| Ok((name(field.name()), text(column.as_ref(), row)?))).collect()
}

fn text(column: &dyn Array, row: usize) -> Result<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let any = column.as_any();
    Ok(Some(if let Some(column) = any.downcast_ref::<Int64Array>() {
        column.value(row).to_string()
    } else if let Some(column) = any.downcast_ref::<StringArray>() {
        column.value(row).to_owned()
    } else if let Some(column) = any.downcast_ref::<Decimal128Array>() {
        column.value(row).to_string()
    } else if let Some(column) = any.downcast_ref::<TimestampMicrosecondArray>() {
        column.value(row).to_string()
    } else if let Some(column) = any.downcast_ref::<Date32Array>() {
        column.value(row).to_string()
    } else if let Some(column) = any.downcast_ref::<BooleanArray>() {
        column.value(row).to_string()
    } else {
        bail!("a column of type {} is not one that we write", column.data_type())
    }))
}
