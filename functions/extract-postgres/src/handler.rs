//! One event: find the table, read what is new, commit.

use arrow_array::ArrayRef;
use serde_json::Value;
use sluice_aws::with_secret;
use sluice_core::{
    Result, Schema,
    drift::Observed,
    extract::{ExtractRequest, ExtractRun, ExtractSummary, Extracted, Plan},
    port::{Bus, ObjectStore, Secrets, SystemClock},
};
use sluice_lambda::Invocation;
use sluice_parquet::{BatchWriter, RejectedRow, batch_writer, original};
use sluice_pipeline::extract::{self, Source};
use sluice_postgres::{BatchSink, Options, PostgresConfig, UnfitRow};

use crate::config::Config;

/// What lives as long as the function's instance. No connection does: the database has few, and between two runs one
/// would only lie idle.
#[derive(Debug)]
pub struct Deps<L, B, K> {
    pub store: L,
    pub bus: B,
    pub secrets: K,
    pub config: Config,
}

pub async fn handle(
    request: ExtractRequest,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl Secrets>,
) -> Result<ExtractSummary> {
    let Deps { store, bus, secrets, config } = deps;
    let table = config.sources.table(&request.table)?;
    with_secret(secrets, &config.secret, async |database: PostgresConfig| {
        let mut source = PostgresTable { store, database, options: config.options };
        let (lake, run_id) = (&config.lake_id, &invocation.run_id);
        extract::run(store, bus, &SystemClock, &mut source, lake, table, run_id, &request).await
    })
    .await
}

/// Rows from the database into data files of the lake.
struct PostgresTable<'a, L> {
    store: &'a L,
    database: PostgresConfig,
    options: Options,
}

impl<L: ObjectStore> Source for PostgresTable<'_, L> {
    const STARTS_FROM_A_VALUE: bool = true;

    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        let (writer, upload) = batch_writer(self.store, run)?;
        let rows = Rows { writer, contract: run.table.columns.clone() };
        let read = sluice_postgres::read(&self.database, self.options, run, rows);
        let ((read, ()), files, rejected) = upload.during(read).await?;
        Ok(Extracted { files, rejected, cursor: read.cursor, facts: read.facts })
    }

    async fn plan(&mut self, run: &ExtractRun<'_>) -> Result<Plan> {
        sluice_postgres::plan(&self.database, self.options, run).await
    }

    async fn observe(&mut self, run: &ExtractRun<'_>) -> Result<Option<Vec<Observed>>> {
        sluice_postgres::observe(&self.database, run).await
    }
}

struct Rows {
    writer: BatchWriter,
    contract: Schema,
}

impl BatchSink for Rows {
    type Done = ();

    fn batch(&mut self, columns: Vec<ArrayRef>, unfit: &[UnfitRow<'_>]) -> Result<()> {
        self.writer.write(columns, unfit.iter().map(|unfit| rejected(&self.contract, unfit)).collect())
    }

    fn finish(self) -> Result<()> {
        self.writer.finish()
    }
}

/// The row as the source had it, with the values that no cell could hold.
fn rejected(contract: &Schema, unfit: &UnfitRow<'_>) -> RejectedRow {
    let mut kept = original(contract, &unfit.cells);
    for value in &unfit.values {
        kept.insert(value.column.to_owned(), value.original.as_str().into());
    }
    let reasons: Vec<String> = unfit.values.iter().map(|value| format!("{}: {}", value.column, value.rule)).collect();
    RejectedRow { row: unfit.row, original: Value::Object(kept), reason: reasons.join("; ") }
}
