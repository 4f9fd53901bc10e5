//! The clients that an instance keeps between invocations.

use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue};
use sluice_core::Result;

use crate::{Config, config::Warehouse};

pub struct Deps {
    pub config: Config,
    pub store: S3Lake,
    pub bus: EventBus,
    pub queue: SqsQueue,
    pub secrets: CachedSecrets,
    pub http: sluice_http::Client,
    pub warehouse: Warehouse,
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
            secrets: CachedSecrets::new(&aws),
            warehouse: Warehouse::connect(config.warehouse.clone(), CachedSecrets::new(&aws), http.clone())
                .with_estimates(),
            http,
            config,
        })
    }
}
