//! Translates the queue's messages into the load loop and back.

use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue};
use sluice_core::{
    InChain, Result,
    port::{DelayedQueue, SystemClock},
};
use sluice_lambda::{Invocation, Message, each_message};
use sluice_pipeline::load::{Load, Work};

use crate::{
    Config,
    config::Warehouse,
    event::{self, Event, Retry},
};

/// Kept of an invocation's time for announcing and answering.
const RESERVE: Duration = Duration::from_secs(5);

/// What the function holds between invocations.
pub struct Deps {
    config: Config,
    store: S3Lake,
    bus: EventBus,
    queue: SqsQueue,
    warehouse: Warehouse,
}

/// Serves one batch or one sweep. Each message has its own fate; see [`each_message`].
pub async fn serve(event: Event, invocation: &Invocation, deps: &Deps) -> Result<SqsBatchResponse> {
    let work = match event {
        Event::Batch(batch) => {
            let message = async |message: Message<'_>, invocation: &Invocation| {
                let queue = InChain::new(&deps.queue, message.hops);
                deps.load(&event::parse(message.body)?, &queue, invocation).await
            };
            return Ok(each_message(batch, &deps.config.lake_id, invocation, message).await);
        }
        Event::Sweep(_) => Work::Sweep,
        Event::Retry(Retry { retry }) => Work::Retry(retry),
    };
    invocation.is_one_run();
    deps.load(&work, &deps.queue, invocation).await.map(|()| SqsBatchResponse::default())
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            queue: SqsQueue::new(&aws, &config.queue_url),
            warehouse: Warehouse::connect(config.warehouse.clone(), CachedSecrets::new(&aws), http),
            config,
        })
    }

    async fn load(&self, work: &Work, queue: &impl DelayedQueue, invocation: &Invocation) -> Result<()> {
        let load = Load {
            store: &self.store,
            warehouse: &self.warehouse.loads(&invocation.run_id, invocation.time_left(RESERVE)),
            bus: &self.bus,
            queue,
            clock: &SystemClock,
            sources: &self.config.sources,
            lake_id: &self.config.lake_id,
            poll_policy: self.config.poll_policy,
        };
        // Boxed: one type with the layers of all clients inside is deeper than the compiler looks.
        Box::pin(load.handle(work)).await
    }
}
