//! A replay's data files, as the extracts write theirs.

use chrono::Utc;
use sluice_aws::S3Lake;
use sluice_core::{
    Cell, DataFile, Error, Result, RunId, Sequence, Table,
    extract::{ExtractRequest, ExtractRun},
};
use sluice_parquet::TableWriter;
use sluice_pipeline::replay;

pub(super) struct Files<'a>(TableWriter<'a, S3Lake>);

impl<'a> Files<'a> {
    pub(super) fn new(store: &'a S3Lake, table: &Table, run_id: &RunId) -> Result<Self> {
        // The writer sees the columns of a row, the origin's among them, as those of its table.
        let table = &Table { columns: replay::columns(table), ..table.clone() };
        let request = &ExtractRequest::scheduled(table.table.clone(), Utc::now());
        Ok(Files(TableWriter::new(store, &ExtractRun { request, table, run_id, sequence: Sequence(0), cursor: None })?))
    }
}

impl replay::Files for Files<'_> {
    async fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        self.0.push(row).await
    }

    async fn finish(self) -> Result<Vec<DataFile>> {
        match self.0.finish().await? {
            (files, None) => Ok(files),
            (_, Some(rejected)) => {
                let error = Error::internal("rows that keep their contract were rejected on their way into files");
                Err(error.with("path", rejected.path))
            }
        }
    }
}
