//! One event: find the table, read what is new or a part of it, commit.

use arrow_array::ArrayRef;
use serde_json::Value;
use sluice_core::{
    Cursor, Hops, InChain, Result, Schema,
    drift::Observed,
    extract::{ExtractRequest, ExtractRun, ExtractSummary, Extracted, Plan},
    port::{Bus, Later, ObjectStore, Secrets, SystemClock},
    sources,
    split::{Division, Slice, SplitMessage},
    with_secret,
};
use sluice_lambda::{Invocation, Message, each_due, each_message};
use sluice_parquet::{BatchWriter, RejectedRow, Upload, batch_writer, original};
use sluice_pipeline::{
    extract::Source,
    split::{Outcome, Split, SplitSource},
};
use sluice_postgres::{BatchSink, Options, PostgresConfig, UnfitRow};

use crate::{
    config::Config,
    event::{self, Answer, Event},
};

/// What lives as long as the function's instance. No connection does: the database has few, and between two runs one
/// would only lie idle.
#[derive(Debug)]
pub struct Deps<L, B, Q, K> {
    pub store: L,
    pub bus: B,
    pub queue: Q,
    pub secrets: K,
    pub config: Config,
}

/// Serves one event: a run, the runs that are due, or parts of divided reads, each with its own fate.
pub async fn serve(
    event: Event,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl Later, impl Secrets>,
) -> Result<Answer> {
    match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| {
                part(&event::parse(message.body)?, message.hops, invocation, deps).await.map(drop)
            };
            Ok(Answer::Batch(each_message(batch, &deps.config.lake_id, invocation, message).await))
        }
        Event::Extract(event) => {
            let is_ours = |source: &sources::Source| matches!(source, sources::Source::Postgres { .. });
            // Boxed: one type with all layers of the clients inside is more than the compiler lays out.
            let run = async |request, invocation: &_| Box::pin(handle(request, invocation, deps)).await;
            each_due(event, &deps.config.sources, is_ours, &deps.store, invocation, run).await.map(Answer::Extract)
        }
    }
}

/// Runs one extract of one table.
pub async fn handle(
    request: ExtractRequest,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl Later, impl Secrets>,
) -> Result<ExtractSummary> {
    let table = deps.config.sources.table(&request.table)?;
    with_secret(&deps.secrets, &deps.config.secret, async |database: PostgresConfig| {
        let mut source = deps.source(database);
        deps.split(&deps.queue).run(&mut source, table, &invocation.run_id, &request).await
    })
    .await
}

/// Serves one message about a divided read.
pub async fn part(
    message: &SplitMessage,
    hops: Hops,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl Later, impl Secrets>,
) -> Result<Outcome> {
    let table = deps.config.sources.table(&message.table)?;
    let outcome = with_secret(&deps.secrets, &deps.config.secret, async |database: PostgresConfig| {
        let mut source = deps.source(database);
        let queue = InChain::new(&deps.queue, hops);
        deps.split(&queue).handle(&mut source, table, message, &invocation.run_id).await
    })
    .await?;
    tracing::info!(table = %message.table, plan = message.number, part = message.part, ?outcome, "served");
    Ok(outcome)
}

impl<L: ObjectStore, B: Bus, Q: Later, K> Deps<L, B, Q, K> {
    fn source(&self, database: PostgresConfig) -> PostgresTable<'_, L> {
        PostgresTable { store: &self.store, database, options: self.config.options }
    }

    fn split<'a, C: Later>(&'a self, queue: &'a C) -> Split<'a, L, B, SystemClock, C> {
        let Deps { store, bus, config, .. } = self;
        Split { store, bus, clock: &SystemClock, later: queue, lake_id: &config.lake_id }
    }
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
        let (rows, upload) = self.writer(run)?;
        let read = sluice_postgres::read(&self.database, self.options, run, rows);
        let (read, files, rejected) = upload.during(read).await?;
        Ok(Extracted { files, rejected, cursor: read.cursor, facts: read.facts })
    }

    async fn plan(&mut self, run: &ExtractRun<'_>) -> Result<Plan> {
        sluice_postgres::plan(&self.database, self.options, run).await
    }

    async fn observe(&mut self, run: &ExtractRun<'_>) -> Result<Option<Vec<Observed>>> {
        sluice_postgres::observe(&self.database, run).await
    }
}

impl<L: ObjectStore> SplitSource for PostgresTable<'_, L> {
    async fn divide(&mut self, run: &ExtractRun<'_>) -> Result<Option<Division>> {
        sluice_postgres::divide(&self.database, self.options, run).await
    }

    async fn read_slice(&mut self, run: &ExtractRun<'_>, slice: &Slice, planned: &Cursor) -> Result<Extracted> {
        let (rows, upload) = self.writer(run)?;
        let read = sluice_postgres::read_slice(&self.database, self.options, run, slice, planned, rows);
        let (facts, files, rejected) = upload.during(read).await?;
        Ok(Extracted { files, rejected, cursor: None, facts })
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
