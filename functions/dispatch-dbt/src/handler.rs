//! Translates the queue's messages into the dispatch loop and back.

use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue};
use sluice_core::{
    InChain, Result,
    port::{DelayedQueue, SystemClock},
};
use sluice_lambda::{Invocation, Message as Received, each_message};
use sluice_pipeline::dispatch::{Dispatch, Message};
use tracing::info;

use crate::{
    Config,
    config::Warehouse,
    event::{self, Event},
    jobs::Dbt,
};

/// Kept of an invocation's time for answering.
const RESERVE: Duration = Duration::from_secs(5);

/// The longest that a question about dbt runs in the warehouse may take.
const STATEMENT_WITHIN: Duration = Duration::from_secs(60);

/// What the function holds between invocations.
pub struct Deps {
    pub config: Config,
    pub store: S3Lake,
    pub bus: EventBus,
    pub queue: SqsQueue,
    pub secrets: CachedSecrets,
    pub http: sluice_http::Client,
    pub warehouse: Warehouse,
}

/// Serves one batch or one sweep.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Deps) -> Result<SqsBatchResponse> {
    match event {
        Event::Batch(batch) => {
            let message = async |message: Received<'_>, invocation: &Invocation| {
                let queue = InChain::new(&deps.queue, message.hops);
                deps.dispatch(&event::parse(message.body)?, &queue, invocation).await
            };
            Ok(each_message(batch, &deps.config.lake_id, invocation, message).await)
        }
        Event::Sweep(sweep) => {
            invocation.is_one_run();
            deps.dispatch(&sweep.message(), &deps.queue, invocation).await.map(|()| SqsBatchResponse::default())
        }
    }
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        let warehouse = Warehouse::connect(config.warehouse.clone(), CachedSecrets::new(&aws), http.clone());
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            queue: SqsQueue::new(&aws, &config.queue_url),
            secrets: CachedSecrets::new(&aws),
            http,
            warehouse: warehouse.with_wait(STATEMENT_WITHIN),
            config,
        })
    }

    async fn dispatch(&self, message: &Message, queue: &impl DelayedQueue, invocation: &Invocation) -> Result<()> {
        let left = invocation.time_left(RESERVE);
        let ledger = self.warehouse.ledger(&self.config.sources, &invocation.run_id, left);
        let jobs = Dbt::of(&self.config, &self.http, &self.secrets, &self.store, self.warehouse.statements());
        let dispatch = Dispatch {
            store: &self.store,
            ledger: &ledger,
            jobs: &jobs,
            bus: &self.bus,
            queue,
            clock: &SystemClock,
            policy: self.config.policy,
        };
        // Each message of a batch has a run id of its own: with one for all, each would take another's claim for its own.
        let outcome = dispatch.handle(message, &invocation.run_id).await?;
        info!(asked = ?message, ?outcome, "dispatched");
        Ok(())
    }
}
