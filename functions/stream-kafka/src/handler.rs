//! Translates the Kafka event into the streaming loop and its report back.

use std::time::Duration;

use chrono::Utc;
use sluice_aws::{CachedSecrets, EventBus, S3Lake, SqsQueue};
use sluice_core::{LakeId, Result, port::SystemClock};
use sluice_kafka::{BatchResponse, Formats, KafkaEvent, Registry};
use sluice_lambda::Invocation;
use sluice_pipeline::stream::{self, Ports, Settings, Sleep, Stream};

use crate::{Config, answer::answer, config::Warehouse, metrics::report};

/// Kept for the answer: reporting the partitions that were not confirmed in time.
const RESERVE: Duration = Duration::from_secs(5);

type Loop = Stream<S3Lake, Warehouse, Formats<CachedSecrets>, EventBus, SqsQueue, SystemClock, TokioSleep>;

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

/// Serves one event, whose text is megabytes long and goes as soon as it is read.
pub async fn serve(text: Box<str>, invocation: &Invocation, deps: &Deps) -> Result<BatchResponse> {
    let batches = KafkaEvent::parse(&text)?.into_partitions()?;
    drop(text);
    invocation.is_one_run();
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

#[cfg(test)]
mod tests {
    use sluice_core::{Batch, Record};

    use super::*;

    fn read(event: &str) -> Vec<Batch> {
        KafkaEvent::parse(event).and_then(KafkaEvent::into_partitions).expect("readable records")
    }

    #[test]
    fn every_sample_event_is_read() {
        let shapes = |event| -> Vec<(i32, Vec<i64>)> {
            let offsets = |batch: &Batch| batch.records.iter().map(|record| record.offset).collect();
            read(event).iter().map(|batch| (batch.partition, offsets(batch))).collect()
        };
        assert_eq!(shapes(include_str!("../../../events/stream-kafka/empty.json")), []);
        assert_eq!(
            shapes(include_str!("../../../events/stream-kafka/msk-two-partitions.json")),
            [(0, vec![4, 5]), (2, vec![2])]
        );
        assert_eq!(
            shapes(include_str!("../../../events/stream-kafka/msk-poison-record.json")),
            [(0, vec![2, 3, 4, 5, 6, 7])]
        );
        assert_eq!(shapes(include_str!("../../../events/stream-kafka/self-managed.json")), [(0, vec![0, 1])]);
        let sparse = read(include_str!("../../../events/stream-kafka/self-managed-tombstone-and-gap.json"));
        let has = |record: &Record| (record.offset, record.key.is_some(), record.value.is_some());
        let records = |batch: &Batch| batch.records.iter().map(has).collect::<Vec<_>>();
        assert_eq!(records(&sparse[0]), [(0, false, false), (4, false, true)]);
        let headers =
            &read(include_str!("../../../events/stream-kafka/msk-headers-decimal-strings.json"))[0].records[0].headers;
        assert_eq!(headers[0], ("trace".to_owned(), Some(bytes::Bytes::from_static("t-ë".as_bytes()))));
        assert_eq!(headers[1], ("source".to_owned(), Some(bytes::Bytes::from_static(b"web"))));
    }
}
