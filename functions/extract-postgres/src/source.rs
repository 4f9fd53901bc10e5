//! The database as the loops see it: what is read becomes data files of the lake.

use arrow_array::ArrayRef;
use serde_json::Value;
use sluice_core::{
    Cursor, Result, Schema,
    drift::Observed,
    extract::{ExtractRun, Extracted, Plan},
    port::ObjectStore,
    split::{Chunk, Partitioning},
};
use sluice_parquet::{BatchWriter, RejectedRow, Upload, batch_writer, original};
use sluice_pipeline::{extract::Source, split::SplitSource};
use sluice_postgres::{BatchSink, InvalidRow, Options, PostgresConfig};

/// Rows from the database into data files of the lake.
pub(crate) struct PostgresTable<'a, L> {
    pub store: &'a L,
    pub database: PostgresConfig,
    pub options: Options,
}

impl<L: ObjectStore> Source for PostgresTable<'_, L> {
    const STARTS_FROM_A_VALUE: bool = true;
    const READS_BEHIND: bool = true;

    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        let (rows, upload) = self.writer(run)?;
        let read = sluice_postgres::read(&self.database, self.options, run, rows);
        let (read, files, rejected) = upload.during(read).await?;
        let whole_since = read.is_whole.then_some(run.sequence);
        Ok(Extracted { files, rejected, cursor: read.cursor, whole_since, facts: read.facts })
    }

    async fn plan(&mut self, run: &ExtractRun<'_>) -> Result<Plan> {
        sluice_postgres::plan(&self.database, self.options, run).await
    }

    async fn observe(&mut self, run: &ExtractRun<'_>) -> Result<Option<Vec<Observed>>> {
        sluice_postgres::observe(&self.database, run).await
    }
}

impl<L: ObjectStore> SplitSource for PostgresTable<'_, L> {
    async fn partition(&mut self, run: &ExtractRun<'_>) -> Result<Option<Partitioning>> {
        sluice_postgres::partition(&self.database, self.options, run).await
    }

    async fn read_chunk(&mut self, run: &ExtractRun<'_>, chunk: &Chunk, planned: &Cursor) -> Result<Extracted> {
        let (rows, upload) = self.writer(run)?;
        let read = sluice_postgres::read_chunk(&self.database, self.options, run, chunk, planned, rows);
        let (facts, files, rejected) = upload.during(read).await?;
        Ok(Extracted { files, rejected, facts, ..Extracted::default() })
    }
}

impl<'a, L: ObjectStore> PostgresTable<'a, L> {
    fn writer(&self, run: &ExtractRun<'_>) -> Result<(Rows, Upload<'a, L>)> {
        let (writer, upload) = batch_writer(self.store, run)?;
        Ok((Rows { writer, contract: run.table.columns.clone() }, upload))
    }
}

struct Rows {
    writer: BatchWriter,
    contract: Schema,
}

impl BatchSink for Rows {
    fn batch(&mut self, columns: Vec<ArrayRef>, invalid: &[InvalidRow<'_>]) -> Result<()> {
        self.writer.write(columns, invalid.iter().map(|invalid| rejected(&self.contract, invalid)).collect())
    }

    fn finish(self) -> Result<()> {
        self.writer.finish()
    }
}

/// The row as the source had it, with the values that no cell could hold.
fn rejected(contract: &Schema, invalid: &InvalidRow<'_>) -> RejectedRow {
    let mut kept = original(contract, &invalid.cells);
    for value in &invalid.values {
        kept.insert(value.column.to_owned(), value.original.as_str().into());
    }
    let reasons: Vec<String> = invalid.values.iter().map(|value| format!("{}: {}", value.column, value.rule)).collect();
    RejectedRow { row: invalid.row, original: Value::Object(kept), reason: reasons.join("; ") }
}
