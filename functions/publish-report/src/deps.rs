//! The clients that an instance keeps between invocations.

use sluice_aws::{CachedSecrets, S3Lake};
use sluice_core::Result;

use crate::{
    Config,
    config::{LONGEST_QUESTION, Warehouse},
};

pub struct Deps {
    pub store: S3Lake,
    pub warehouse: Warehouse,
    pub config: Config,
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            warehouse: Warehouse::connect(
                config.lake_id.clone(),
                config.warehouse.clone(),
                CachedSecrets::new(&aws),
                http,
            )
            .with_longest(LONGEST_QUESTION),
            config,
        })
    }
}
