//! Translates the queue's messages into the dispatch loop and back.

use std::{sync::Arc, time::Duration};

use aws_lambda_events::sqs::SqsBatchResponse;
use sluice_aws::{CachedSecrets, DelayQueue, EventBus, S3Lake};
use sluice_core::{Result, RunId, port::SystemClock};
use sluice_lambda::{Invocation, each_message};
use sluice_pipeline::dispatch::{Dispatch, Message};
use sluice_snowflake::{Account, SqlApi};
use tokio::time::Instant;
use tracing::info;
use uuid::Uuid;

use crate::{
    Config,
    event::{self, Event},
    jobs::Dbt,
    ledger::SnowflakeLedger,
};

/// Kept of an invocation's time for answering.
const RESERVE: Duration = Duration::from_secs(5);

/// The longest that a question about dbt runs in Snowflake may take.
const STATEMENT_WITHIN: Duration = Duration::from_secs(60);

/// What the function holds between invocations.
pub struct Deps {
    pub config: Config,
    pub store: S3Lake,
    pub bus: EventBus,
    pub queue: DelayQueue,
    pub secrets: CachedSecrets,
    pub http: sluice_http::Client,
    pub statements: SqlApi<CachedSecrets>,
}

/// Serves one batch or one sweep.
pub async fn handle(event: Event, invocation: &Invocation, deps: &Deps) -> Result<SqsBatchResponse> {
    match event {
        Event::Batch(batch) => {
            Ok(each_message(batch, async |body| deps.dispatch(&event::parse(body)?, invocation).await).await)
        }
        Event::Sweep(sweep) => deps.dispatch(&sweep.message(), invocation).await.map(|()| SqsBatchResponse::default()),
    }
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        let account = Account::new(config.snowflake.clone(), CachedSecrets::new(&aws), http.clone());
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            queue: DelayQueue::new(&aws, &config.queue_url),
            secrets: CachedSecrets::new(&aws),
            http,
            statements: SqlApi::new(Arc::new(account)).with_wait(STATEMENT_WITHIN),
            config,
        })
    }

    async fn dispatch(&self, message: &Message, invocation: &Invocation) -> Result<()> {
        let statements = self.statements.until(Instant::now() + invocation.time_left(RESERVE));
        let ledger = SnowflakeLedger {
            statements: &statements,
            sources: &self.config.sources,
            tag: format!("sluice:dispatch:{}", invocation.run_id),
        };
        let jobs = Dbt::of(self);
        let dispatch = Dispatch {
            store: &self.store,
            ledger: &ledger,
            jobs: &jobs,
            bus: &self.bus,
            later: &self.queue,
            clock: &SystemClock,
            policy: self.config.policy,
        };
        // The messages of a batch are handled side by side: with one id for all, each would take another's claim for its own.
        let run_id = RunId(Uuid::now_v7().to_string());
        let outcome = dispatch.handle(message, &run_id).await?;
        info!(asked = ?message, dispatch_id = %run_id, ?outcome, "dispatched");
        Ok(())
    }
}
