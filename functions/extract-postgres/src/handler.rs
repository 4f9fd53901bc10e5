//! One event: find the table, read what is new or a part of it, commit.

use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue, sdk_config};
use sluice_core::{
    Hops, InChain, Result,
    extract::{ExtractRequest, ExtractSummary},
    functions::EXTRACT_POSTGRES,
    port::{Bus, DelayedQueue, ObjectStore, Secrets, SystemClock},
    sources::Source,
    split::SplitMessage,
    with_secret,
};
use sluice_lambda::{Invocation, Message, each_due, each_message};
use sluice_pipeline::split::{Outcome, Split};
use sluice_postgres::PostgresConfig;

use crate::{
    config::Config,
    event::{self, Answer, Event},
    source::PostgresTable,
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

impl Deps<S3Lake, EventBus, SqsQueue, CachedSecrets> {
    pub async fn connect(config: Config) -> Result<Self> {
        let sdk = sdk_config().await;
        Ok(Deps {
            store: S3Lake::new(&sdk, &config.lake_bucket),
            bus: EventBus::new(&sdk, &config.bus_name),
            queue: SqsQueue::new(&sdk, &config.queue_url),
            secrets: CachedSecrets::new(&sdk),
            config,
        })
    }
}

/// Serves one event: a run, the runs that are due, or chunks of partitioned reads, each with its own fate.
pub async fn serve(
    event: Event,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
) -> Result<Answer> {
    match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| {
                part(&event::parse(message.body)?, message.hops, invocation, deps).await.map(drop)
            };
            Ok(Answer::Batch(each_message(batch, &deps.config.lake_id, invocation, message).await))
        }
        Event::Extract(event) => {
            let is_ours = |source: &Source| source.is_of(&EXTRACT_POSTGRES);
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
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
) -> Result<ExtractSummary> {
    let table = deps.config.sources.table(&request.table)?;
    with_secret(&deps.secrets, &deps.config.secret, async |database: PostgresConfig| {
        let mut source = deps.source(database);
        deps.split(&deps.queue).run(&mut source, table, &invocation.run_id, &request).await
    })
    .await
}

/// Serves one message about a partitioned read.
pub async fn part(
    message: &SplitMessage,
    hops: Hops,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl DelayedQueue, impl Secrets>,
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

impl<L: ObjectStore, B: Bus, Q: DelayedQueue, K> Deps<L, B, Q, K> {
    fn source(&self, database: PostgresConfig) -> PostgresTable<'_, L> {
        PostgresTable { store: &self.store, database, options: self.config.options }
    }

    fn split<'a, C: DelayedQueue>(&'a self, queue: &'a C) -> Split<'a, L, B, SystemClock, C> {
        let Deps { store, bus, config, .. } = self;
        Split { store, bus, clock: &SystemClock, queue, lake_id: &config.lake_id }
    }
}
