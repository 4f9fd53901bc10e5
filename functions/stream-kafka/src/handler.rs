//! Translates the Kafka event into the streaming loop and its report back.

use std::time::Duration;

use chrono::Utc;
use sluice_aws::{CachedSecrets, DelayQueue, EventBus, S3Lake};
use sluice_core::{LakeId, Result, port::SystemClock};
use sluice_kafka::{BatchResponse, Formats, KafkaEvent, Registry};
use sluice_lambda::Invocation;
use sluice_pipeline::stream::{self, Ports, Settings, Sleep, Stream};

use crate::{Config, answer::answer, config::Warehouse, event::batches, figures::report};

/// Kept for the answer: reporting the partitions that were not confirmed in time.
const RESERVE: Duration = Duration::from_secs(5);

type Loop = Stream<S3Lake, Warehouse, Formats<CachedSecrets>, EventBus, DelayQueue, SystemClock, TokioSleep>;

/// What the function holds between invocations.
pub struct Deps {
    stream: Loop,
    lake_id: LakeId,
    partial_batch_response: bool,
}

impl Deps {
    pub async fn connect(config: Config) -> Result<Self> {
        let sdk = sluice_aws::sdk_config().await;
        let http = sluice_http::Client::new()?;
        let registry = config.registry.map(|registry| Registry::new(registry, http.clone(), CachedSecrets::new(&sdk)));
        let ports = Ports {
            store: S3Lake::new(&sdk, config.lake_bucket),
            channels: Warehouse::connect(config.warehouse, CachedSecrets::new(&sdk), http),
            formats: Formats::new(config.schemas, registry),
            bus: EventBus::new(&sdk, config.bus_name),
            later: DelayQueue::new(&sdk, config.dispatch_queue_url),
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

/// Serves one event.
pub async fn handle(event: KafkaEvent, invocation: &Invocation, deps: &Deps) -> Result<BatchResponse> {
    let batches = batches(event)?;
    let run_id = &invocation.run_id;
    let deadline = Utc::now() + invocation.time_left(RESERVE);
    let done = deps.stream.process(&batches, &stream::Invocation { run_id: run_id.clone(), deadline }).await?;
    report(&batches, &done, &deps.lake_id, run_id);
    answer(done, deps.partial_batch_response)
}

/// Waits on tokio's clock.
#[derive(Debug, Clone, Copy)]
pub struct TokioSleep;

impl Sleep for TokioSleep {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
