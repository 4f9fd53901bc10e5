//! Translates the queue's messages into the load loop and back.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lambda_events::sqs::SqsBatchResponse;
use sluice_aws::{CachedSecrets, DelayQueue, EventBus, S3Lake};
use sluice_core::{
    Error, InChain, Kind, Loader, Result, Sequence, Table, TableId,
    port::{Later, Statements, SystemClock},
};
use sluice_lambda::{Invocation, Message, each_message};
use sluice_pipeline::{
    attempts,
    load::{self, CommitRef, Loaded},
    log,
};
use sluice_snowflake::{Account, Snowpipe, SqlApi, sql::lock};
use tokio::time::Instant;
use tracing::{error, info};
use uuid::Uuid;

use crate::{
    Config,
    event::{self, Event, Retry, Work},
    warehouse::{Shapes, Snowflake, known_sequences},
};

/// Kept of an invocation's time for announcing and answering.
const RESERVE: Duration = Duration::from_secs(5);

/// What the function holds between invocations.
pub struct Deps {
    pub config: Config,
    pub store: S3Lake,
    pub bus: EventBus,
    pub queue: DelayQueue,
    pub statements: SqlApi<CachedSecrets>,
    pub pipe: Snowpipe<CachedSecrets>,
    /// Tables whose lock is known to be there.
    lockable: Mutex<BTreeSet<TableId>>,
    /// Tables that are known to have a commit's columns.
    shapes: Shapes,
}

/// Serves one batch or one sweep. Each message has its own fate; see [`each_message`].
pub async fn handle(event: Event, invocation: &Invocation, deps: &Deps) -> Result<SqsBatchResponse> {
    match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| deps.message(message, invocation).await;
            Ok(each_message(batch, &deps.config.lake_id, invocation, message).await)
        }
        Event::Sweep(_) => {
            invocation.is_one_run();
            deps.sweep(&deps.queue, invocation).await.map(|()| SqsBatchResponse::default())
        }
        Event::Retry(Retry { retry }) => {
            invocation.is_one_run();
            deps.retry(&retry, &deps.queue, invocation).await.map(|()| SqsBatchResponse::default())
        }
    }
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        let account = Arc::new(Account::new(config.snowflake.clone(), CachedSecrets::new(&aws), http));
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            queue: DelayQueue::new(&aws, &config.queue_url),
            statements: SqlApi::new(Arc::clone(&account)),
            pipe: Snowpipe::new(account),
            lockable: Mutex::default(),
            shapes: Shapes::default(),
            config,
        })
    }

    async fn message(&self, message: Message<'_>, invocation: &Invocation) -> Result<()> {
        let queue = InChain::new(&self.queue, message.hops);
        match event::parse(message.body)? {
            Work::Nothing => Ok(()),
            Work::Sweep => self.sweep(&queue, invocation).await,
            Work::Retry(commit) => self.retry(&commit, &queue, invocation).await,
            Work::Load(commits) => {
                for commit in commits {
                    self.load(&commit, &queue, invocation).await?;
                }
                Ok(())
            }
        }
    }

    async fn load(&self, at: &CommitRef, queue: &impl Later, invocation: &Invocation) -> Result<()> {
        attempts::kept(&self.store, &SystemClock, at, Box::pin(self.attempt(at, queue, invocation))).await
    }

    async fn attempt(&self, at: &CommitRef, queue: &impl Later, invocation: &Invocation) -> Result<()> {
        let statements = self.statements.until(Instant::now() + invocation.time_left(RESERVE));
        let table = self.config.sources.table(&at.table)?;
        if table.loader == Loader::Copy {
            self.lock(&statements, at).await?;
        }
        let warehouse = self.warehouse(&statements, table, invocation);
        let lake = &self.config.lake_id;
        // Boxed: one type with the layers of all clients inside is deeper than the compiler looks.
        match Box::pin(load::commit(&self.store, &warehouse, &self.bus, lake, at, self.config.patience)).await? {
            Loaded::Done { rows, merged_away, already } => {
                info!(table = %at.table, sequence = at.sequence.0, rows, merged_away, already, "loaded");
                Ok(())
            }
            Loaded::LookAgain(wait) => {
                info!(table = %at.table, sequence = at.sequence.0, "Snowpipe is loading");
                again(queue, at, wait).await
            }
            Loaded::Failed { reason, already } => {
                let hint = "mend the cause, then send {\"retry\": {\"table\": …, \"sequence\": …}} to the load queue";
                error!(table = %at.table, sequence = at.sequence.0, reason, already, hint, "will not load");
                Ok(())
            }
        }
    }

    /// A person has mended what made a commit fail.
    async fn retry(&self, at: &CommitRef, queue: &impl Later, invocation: &Invocation) -> Result<()> {
        let statements = self.statements.until(Instant::now() + invocation.time_left(RESERVE));
        let table = self.config.sources.table(&at.table)?;
        self.warehouse(&statements, table, invocation).forget_failure(&self.config.lake_id, at).await?;
        info!(table = %at.table, sequence = at.sequence.0, "its failure is forgotten; it is tried again");
        self.load(at, queue, invocation).await
    }

    fn warehouse<'a, S: Statements>(
        &'a self,
        statements: &'a S,
        table: &'a Table,
        invocation: &'a Invocation,
    ) -> Snowflake<'a, S, CachedSecrets> {
        Snowflake {
            statements,
            pipe: &self.pipe,
            attempt: &invocation.run_id.0,
            contract: &table.columns,
            shapes: &self.shapes,
        }
    }

    /// Deliveries of one table stand in line at its lock. It is made sure of once per instance: a stack that was founded by
    /// an earlier version has none.
    async fn lock(&self, statements: &impl Statements, at: &CommitRef) -> Result<()> {
        if self.lockable().contains(&at.table) {
            return Ok(());
        }
        let statement = lock::create(&self.config.lake_id, &at.table);
        match statements.execute(&statement, Uuid::new_v4(), &format!("sluice:lock:{}", at.table)).await {
            // Another instance has made it at the same time.
            Err(error) if error.kind() == Kind::Conflict => {}
            made => drop(made?),
        }
        self.lockable().insert(at.table.clone());
        Ok(())
    }

    fn lockable(&self) -> MutexGuard<'_, BTreeSet<TableId>> {
        // Nothing that is done under the lock can panic half way.
        self.lockable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifications come late and may be lost: every commit that the ledger does not know is queued again, and every one
    /// that was handed to Snowpipe longer ago than anybody follows it.
    async fn sweep(&self, queue: &impl Later, invocation: &Invocation) -> Result<()> {
        let lake = &self.config.lake_id;
        for table in self.config.sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
            let Some(newest) = log::newest_commit(&self.store, &table.table).await? else { continue };
            let known =
                known_sequences(&self.statements, lake, &table.table, self.config.patience.limit, &invocation.run_id.0)
                    .await?;
            let missing: Vec<u64> = (Sequence::FIRST.0..=newest.sequence.0).filter(|n| !known.contains(n)).collect();
            for &sequence in &missing {
                let at = CommitRef { table: table.table.clone(), sequence: Sequence(sequence) };
                again(queue, &at, Duration::ZERO).await?;
            }
            info!(table = %table.table, missing = missing.len(), "swept");
        }
        Ok(())
    }
}

async fn again(queue: &impl Later, at: &CommitRef, wait: Duration) -> Result<()> {
    let body = serde_json::to_value(at)
        .map_err(|error| Error::internal("cannot encode a message to ourselves").because(error))?;
    queue.send(&body, wait).await
}
