//! The loop with its clients, which an instance keeps between invocations.

use std::time::Duration;

use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue};
use sluice_core::{LakeId, Result, port::SystemClock};
use sluice_kafka::{Formats, Registry};
use sluice_pipeline::stream::{Ports, Settings, Sleep, Stream};

use crate::{Config, config::Warehouse};

type Clients = Ports<S3Lake, Warehouse, Formats<CachedSecrets>, EventBus, SqsQueue, SystemClock, TokioSleep>;

pub struct Deps {
    pub stream: Stream<Clients>,
    pub lake_id: LakeId,
    pub partial_batch_response: bool,
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let sdk = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        let registry = config.registry.map(|registry| Registry::new(registry, http.clone(), CachedSecrets::new(&sdk)));
        let ports = Ports {
            store: S3Lake::new(&sdk, config.lake_bucket),
            channels: Warehouse::connect(config.warehouse, CachedSecrets::new(&sdk), http),
            formats: Formats::new(config.schemas, registry),
            bus: EventBus::new(&sdk, config.bus_name),
            queue: SqsQueue::new(&sdk, config.dispatch_queue_url),
            clock: SystemClock,
            sleep: TokioSleep,
        };
        let settings = Settings {
            lake_id: config.lake_id.clone(),
            cluster_id: config.cluster_id,
            announce_interval: config.announce_interval,
        };
        let stream = Stream::new(ports, config.sources, settings);
        Ok(Deps { stream, lake_id: config.lake_id, partial_batch_response: config.partial_batch_response })
    }
}

/// Waits on tokio's clock.
#[derive(Debug, Clone, Copy)]
pub struct TokioSleep;

impl Sleep for TokioSleep {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
