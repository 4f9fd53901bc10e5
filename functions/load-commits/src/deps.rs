//! The clients that an instance keeps between invocations.

use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue};
use sluice_core::Result;

use crate::{
    Config,
    config::{Warehouse, WarehouseWith},
};

pub struct Deps<L, B, Q, K> {
    pub store: L,
    pub bus: B,
    pub queue: Q,
    pub warehouse: WarehouseWith<K>,
    pub config: Config,
}

impl Deps<S3Lake, EventBus, SqsQueue, CachedSecrets> {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            queue: SqsQueue::new(&aws, &config.queue_url),
            warehouse: Warehouse::connect(config.warehouse.clone(), CachedSecrets::new(&aws), http).with_estimates(),
            config,
        })
    }
}
