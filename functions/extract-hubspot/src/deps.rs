//! The clients that an instance keeps between invocations.

use sluice_aws::{CachedSecrets, EventBus, S3Lake, sdk_config};
use sluice_core::Result;

use crate::Config;

#[derive(Debug)]
pub struct Deps<L, B, K> {
    pub config: Config,
    pub store: L,
    pub bus: B,
    pub secrets: K,
    pub http: sluice_http::Client,
}

impl Deps<S3Lake, EventBus, CachedSecrets> {
    pub async fn connect(config: Config) -> Result<Self> {
        let sdk = sdk_config().await;
        Ok(Deps {
            store: S3Lake::new(&sdk, &config.lake_bucket),
            bus: EventBus::new(&sdk, &config.bus_name),
            secrets: CachedSecrets::new(&sdk),
            http: sluice_http::Client::new()?,
            config,
        })
    }
}
