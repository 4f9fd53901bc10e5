//! Translates Lambda's events: a request goes to the collector, a batch of the outbox goes to Kafka.

use std::{cell::RefCell, time::Instant};

use chrono::Utc;
use sluice_aws::{CachedSecrets, FreshSecrets, SqsQueue};
use sluice_core::{
    Result,
    port::{DelayedQueue, Secrets},
};
use sluice_kafka::Cluster;
use sluice_lambda::Invocation;

use crate::{
    Config,
    auth::Guard,
    collector::Collector,
    delivery::{Delivery, EventProducer},
    draining::drain,
    event::{Answer, Event},
    openapi,
    rate::Bucket,
};

/// What the function holds between invocations.
pub type Deps = Collector<Cluster<CachedSecrets>, SqsQueue, FreshSecrets>;

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets are fetched and Kafka is connected on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let cluster = Cluster::new(config.kafka, CachedSecrets::new(&aws), config.kafka_timeout);
        Ok(Collector {
            lake_id: config.lake_id,
            document: openapi::document(&config.catalogue, config.limits)?,
            catalogue: config.catalogue,
            origins: config.origins,
            limits: config.limits,
            bucket: RefCell::new(Bucket::new(config.rate, config.burst, Instant::now())),
            guard: Guard::new(FreshSecrets::new(&aws), config.secret),
            delivery: Delivery::new(
                cluster,
                SqsQueue::new(&aws, config.outbox_url),
                SqsQueue::new(&aws, config.outbox_dead_url),
            ),
        })
    }
}

/// Serves one event.
pub async fn serve<K: EventProducer, Q: DelayedQueue, S: Secrets>(
    event: Event,
    invocation: &Invocation,
    deps: &Collector<K, Q, S>,
) -> Result<Answer> {
    match event {
        Event::Http(mut request) => {
            if request.request_context.request_id.is_empty() {
                request.request_context.request_id = invocation.request_id.clone();
            }
            let (response, counts) = deps.answer(&request, Utc::now(), Instant::now()).await;
            if let Some(counts) = counts {
                counts.metrics(&deps.lake_id, &request.request_context.request_id).emit();
            }
            Ok(Answer::Http(response))
        }
        Event::Outbox(batch) => Ok(Answer::Outbox(drain(batch, deps).await)),
    }
}
