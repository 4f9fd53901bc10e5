//! The collector with its clients, which an instance keeps between invocations.

use std::{cell::RefCell, time::Instant};

use sluice_aws::{CachedSecrets, FreshSecrets, SqsQueue};
use sluice_core::Result;
use sluice_kafka::{Cluster, Iam};

use crate::{Config, auth::Guard, collector::Collector, delivery::Delivery, openapi, rate::Bucket};

pub type Deps = Collector<Cluster<CachedSecrets>, SqsQueue, FreshSecrets>;

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets are fetched and Kafka is connected on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let iam = Iam::new(aws.credentials_provider(), aws.region().map(ToString::to_string));
        let cluster = Cluster::new(config.kafka, CachedSecrets::new(&aws), config.kafka_timeout).with_iam(iam);
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
