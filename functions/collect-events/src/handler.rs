//! Translates Lambda's events: a request goes to the collector, a batch of the spool goes to Kafka.

use std::{cell::RefCell, time::Instant};

use chrono::Utc;
use sluice_aws::{CachedSecrets, DelayQueue, FreshSecrets};
use sluice_core::{
    Result,
    port::{Later, Secrets},
};
use sluice_kafka::Cluster;
use sluice_lambda::Invocation;

use crate::{
    Config,
    auth::Guard,
    collector::Collector,
    delivery::{Delivery, Log},
    draining::drain,
    event::{Answer, Event},
    openapi,
    rate::Bucket,
};

/// What the function holds between invocations.
pub type Deps = Collector<Cluster<CachedSecrets>, DelayQueue, FreshSecrets>;

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets are fetched and Kafka is connected on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let cluster = Cluster::new(config.kafka, CachedSecrets::new(&aws), config.kafka_patience);
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
                DelayQueue::new(&aws, config.spool_url),
                DelayQueue::new(&aws, config.spool_dead_url),
            ),
        })
    }
}

/// Serves one event.
pub async fn serve<K: Log, Q: Later, S: Secrets>(
    event: Event,
    invocation: &Invocation,
    deps: &Collector<K, Q, S>,
) -> Result<Answer> {
    match event {
        Event::Http(mut request) => {
            if request.request_context.request_id.is_empty() {
                request.request_context.request_id = invocation.request_id.clone();
            }
            let (response, figures) = deps.answer(&request, Utc::now(), Instant::now()).await;
            if let Some(figures) = figures {
                figures.metrics(&deps.lake_id, &request.request_context.request_id).emit();
            }
            Ok(Answer::Http(response))
        }
        Event::Spool(batch) => Ok(Answer::Spool(drain(batch, deps).await)),
    }
}
