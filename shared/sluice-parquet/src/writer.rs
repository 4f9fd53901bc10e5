//! The writer of one run: contract, batch, part, put.

use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
};
use serde_json::Value;
use sluice_core::{
    Cell, DataFile, Error, Rejected, Result, RunId, Schema, TableId, contract, extract::ExtractRun, lake,
    port::ObjectStore,
};

use crate::{columns::Columns, original::original, rejects::RejectFile};

/// zstd's own default, its usual balance of size and time.
const ZSTD_LEVEL: i32 = 3;

/// Rows per row group: long enough for dictionaries to pay, short enough that a reader's and our own memory stay small.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// And bytes per row group, for tables whose rows are large.
const ROW_GROUP_BYTES: usize = 16 * 1024 * 1024;

/// When a part is put and the next one begun. The part under way is held in memory, so its size is the writer's; the
/// row count keeps the work of a single file bounded where rows compress to almost nothing.
#[derive(Debug, Clone, Copy)]
struct PartLimit {
    bytes: usize,
    rows: u64,
}

const PART_LIMIT: PartLimit = PartLimit { bytes: 64 * 1024 * 1024, rows: 4_000_000 };

struct Part {
    encoder: ArrowWriter<Vec<u8>>,
    rows: u64,
}

/// Writes one run's rows as data files and a reject file. Files that it has put belong to no table until a commit
/// names them, so dropping the writer at any point loses nothing and breaks nothing.
pub struct TableWriter<'a, S: ObjectStore> {
    store: &'a S,
    table: TableId,
    run_id: RunId,
    contract: Schema,
    columns: Columns,
    part: Option<Part>,
    limit: PartLimit,
    files: Vec<DataFile>,
    rejects: RejectFile,
}

impl<'a, S: ObjectStore> TableWriter<'a, S> {
    /// The columns are the table's; a table that loads by Snowpipe also gets `_sluice_run_id` and `_sluice_sequence`.
    pub fn new(store: &'a S, run: &ExtractRun<'_>) -> Result<Self> {
        Ok(TableWriter {
            store,
            table: run.table.table.clone(),
            run_id: run.run_id.clone(),
            contract: run.table.columns.clone(),
            columns: Columns::new(run)?,
            part: None,
            limit: PART_LIMIT,
            files: Vec::new(),
            rejects: RejectFile::new(&run.table.table, run.run_id, run.request.time),
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
        self.put_part().await?;
        let rejected = self.rejects.finish(self.store).await?;
        Ok((self.files, rejected))
    }

    async fn encode_batch(&mut self) -> Result<()> {
        let batch = self.columns.take()?;
        let part = match &mut self.part {
            Some(part) => part,
            None => self.part.insert(Part { encoder: encoder(&self.columns)?, rows: 0 }),
        };
        part.encoder.write(&batch).map_err(encoding_failed)?;
        part.rows += batch.num_rows() as u64;
        let bytes = part.encoder.bytes_written() + part.encoder.in_progress_size();
        if bytes >= self.limit.bytes || part.rows >= self.limit.rows { self.put_part().await } else { Ok(()) }
    }

    async fn put_part(&mut self) -> Result<()> {
        let Some(Part { encoder, rows }) = self.part.take() else { return Ok(()) };
        let body = Bytes::from(encoder.into_inner().map_err(encoding_failed)?);
        let path = lake::data_key(&self.table, &self.run_id, self.files.len());
        let bytes = body.len() as u64;
        let stored = self.store.put(&path, body).await?;
        self.files.push(DataFile { path, rows, bytes, checksum: stored.checksum });
        Ok(())
    }
}

fn encoder(columns: &Columns) -> Result<ArrowWriter<Vec<u8>>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(encoding_failed)?))
        .set_dictionary_enabled(true)
        // Per column chunk: what a warehouse prunes by. Page statistics would only make the file larger.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    // Parquet's own logical types say everything; Arrow's copy of the schema would only be read by Arrow.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::new(), columns.schema(), options).map_err(encoding_failed)
}

fn encoding_failed(error: ParquetError) -> Error {
    Error::internal("cannot encode Parquet").because(error)
}

#[cfg(test)]
mod tests;
