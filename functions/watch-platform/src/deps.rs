//! The clients that an instance keeps between invocations.

use sluice_aws::{CachedSecrets, S3Lake, SecretAges, Topic, Usage};
use sluice_core::Result;
use sluice_http::Client;

use crate::{Config, config::Warehouse};

pub struct Deps {
    pub store: S3Lake,
    pub warehouse: Warehouse,
    pub secrets: CachedSecrets,
    pub ages: SecretAges,
    pub usage: Usage,
    pub http: Client,
    pub topic: Option<Topic>,
    pub config: Config,
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = Client::new()?;
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            warehouse: Warehouse::connect(config.warehouse.clone(), CachedSecrets::new(&aws), http.clone())
                .with_estimates(),
            secrets: CachedSecrets::new(&aws),
            ages: SecretAges::new(&aws),
            usage: Usage::new(&aws),
            http,
            topic: config.channels.topic_arn.as_ref().map(|arn| Topic::new(&aws, arn)),
            config,
        })
    }
}
