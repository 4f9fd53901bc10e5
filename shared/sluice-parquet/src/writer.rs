//! The writer of a run that comes row by row: contract, batch, file, put.

use bytes::Bytes;
use serde_json::Value;
use sluice_core::{
    Cell, DataFile, Error, Rejected, Result, RunId, Schema, TableId, contract, extract::ExtractRun, lake,
    port::ObjectStore,
};

use crate::{
    columns::Columns,
    encoder::{FileEncoder, FileLimit, Piece},
    layout::Layout,
    original::original,
    rejects::RejectFile,
};

/// When a file is put and the next one begun. The file under way is held in memory, so its size is the writer's; the
/// row count keeps the work of a single file bounded where rows compress to almost nothing.
const FILE_LIMIT: FileLimit = FileLimit { bytes: 64 * 1024 * 1024, rows: 4_000_000 };

/// Writes one run's rows as data files and a reject file. Files that it has put belong to no table until a commit
/// names them, so dropping the writer at any point loses nothing and breaks nothing.
pub struct TableWriter<'a, S: ObjectStore> {
    store: &'a S,
    table: TableId,
    run_id: RunId,
    contract: Schema,
    columns: Columns,
    layout: Layout,
    encoder: FileEncoder,
    /// The file under way, as far as it is encoded.
    body: Vec<u8>,
    files: Vec<DataFile>,
    rejects: RejectFile,
}

impl<'a, S: ObjectStore> TableWriter<'a, S> {
    /// The columns are the table's; a table that loads by Snowpipe also gets `_SLUICE_RUN_ID` and `_SLUICE_SEQUENCE`.
    pub fn new(store: &'a S, run: &ExtractRun<'_>) -> Result<Self> {
        let layout = Layout::new(run)?;
        Ok(TableWriter {
            store,
            table: run.table.table.clone(),
            run_id: run.run_id.clone(),
            contract: run.table.columns.clone(),
            columns: Columns::new(&run.table.columns)?,
            encoder: FileEncoder::new(layout.schema(), FILE_LIMIT),
            layout,
            body: Vec::new(),
            files: Vec::new(),
            rejects: RejectFile::new(run.request.time),
        })
    }

    /// Takes one row, one cell per column of the contract. A row that breaks the contract goes to the reject file with
    /// the rule it broke; that is no error.
    pub async fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        if row.len() != self.contract.columns().len() {
            return Err(Error::internal("a row has another number of cells than its table has columns")
                .with("table", &self.table)
                .with("cells", row.len()));
        }
        if let Err(violation) = contract::check(&self.contract, row) {
            let original = Value::Object(original(&self.contract, row));
            return self.rejects.add(&original, &violation.to_string());
        }
        self.columns.append(row)?;
        if self.columns.is_full() { self.encode_batch().await } else { Ok(()) }
    }

    /// Keeps a row that the source could not even turn into cells.
    pub async fn reject(&mut self, original: &Value, reason: &str) -> Result<()> {
        self.rejects.add(original, reason)
    }

    /// Puts what is left. An empty run has no file and no object; `None` when nothing was rejected.
    pub async fn finish(mut self) -> Result<(Vec<DataFile>, Option<Rejected>)> {
        if !self.columns.is_empty() {
            self.encode_batch().await?;
        }
        let mut ready = Vec::new();
        self.encoder.finish(&mut ready)?;
        self.put(ready).await?;
        let Some(rejected) = self.rejects.finish()? else { return Ok((self.files, None)) };
        let path = lake::rejected_key(&self.table, &self.run_id);
        self.store.put(&path, rejected.body).await?;
        Ok((self.files, Some(Rejected::one(rejected.rows, path))))
    }

    async fn encode_batch(&mut self) -> Result<()> {
        let batch = self.layout.batch(self.columns.take())?;
        let mut ready = Vec::new();
        self.encoder.write(batch, &mut ready)?;
        self.put(ready).await
    }

    async fn put(&mut self, ready: Vec<Piece>) -> Result<()> {
        for piece in ready {
            match piece {
                Piece::Bytes(bytes) => self.body.extend_from_slice(&bytes),
                Piece::End(counts) => {
                    let body = Bytes::from(std::mem::take(&mut self.body));
                    let path = lake::data_key(&self.table, &self.run_id, self.files.len());
                    let bytes = body.len() as u64;
                    let stored = self.store.put(&path, body).await?;
                    self.files.push(counts.file(self.contract.columns().len(), path, bytes, stored));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
