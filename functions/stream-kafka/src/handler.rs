//! Translates the Kafka event into the streaming loop and its report back.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use sluice_aws::{CachedSecrets, DelayQueue, EventBus, S3Lake};
use sluice_core::{LakeId, Result, port::SystemClock};
use sluice_kafka::{BatchResponse, KafkaEvent, PartitionRecords, Registry};
use sluice_lambda::{Invocation, hint};
use sluice_pipeline::stream::{self, Batch, Ports, Record, Report, Settings, Sleep, Stream};
use sluice_snowflake::{Account, SqlApi, Streaming};
use tracing::{error, info};

use crate::{Config, channels::SnowflakeChannels, figures::figures, formats::Formats};

/// Kept for the answer: reporting the partitions that were not confirmed in time.
const RESERVE: Duration = Duration::from_secs(5);
/// The one question that goes to the warehouse itself must leave most of an invocation for the rows.
const LONGEST_STATEMENT: Duration = Duration::from_secs(60);

type Loop = Stream<
    S3Lake,
    SnowflakeChannels<CachedSecrets, SqlApi<CachedSecrets>>,
    Formats<CachedSecrets>,
    EventBus,
    DelayQueue,
    SystemClock,
    TokioSleep,
>;

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
        let account = Arc::new(Account::new(config.snowflake, CachedSecrets::new(&sdk), http));
        let statements = SqlApi::new(Arc::clone(&account)).with_wait(LONGEST_STATEMENT);
        let ports = Ports {
            store: S3Lake::new(&sdk, config.lake_bucket),
            channels: SnowflakeChannels::new(Streaming::new(account), statements),
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
            append_bytes: stream::APPEND_BYTES,
        };
        let stream = Stream::new(ports, config.sources, settings);
        Ok(Deps { stream, lake_id: config.lake_id, partial_batch_response: config.partial_batch_response })
    }
}

/// Serves one event.
pub async fn handle(event: KafkaEvent, invocation: &Invocation, deps: &Deps) -> Result<BatchResponse> {
    let batches = batches(event)?;
    let invocation =
        stream::Invocation { run_id: invocation.run_id.clone(), deadline: Utc::now() + invocation.time_left(RESERVE) };
    let report = deps.stream.process(&batches, &invocation).await?;
    for (topic, figures) in figures(&batches, &report) {
        let percentile = |percent| figures.latency.percentile(percent);
        info!(
            topic,
            rows = figures.rows,
            dead_letters = figures.dead_letters,
            skipped = figures.skipped,
            unknown_fields = figures.unknown_fields,
            failed_partitions = figures.failed_partitions,
            latency_p50_ms = percentile(50),
            latency_p95_ms = percentile(95),
            latency_p99_ms = percentile(99),
            "batch served"
        );
        figures.metrics(&deps.lake_id, topic, &invocation.run_id).emit();
    }
    answer(report, deps.partial_batch_response)
}

/// With nothing done there is nothing to tell apart, and an error is what Lambda counts. A partition that fails beside
/// one that is done is no error to Lambda: the metric `FailedPartitions` has an alarm of its own.
fn answer(report: Report, partial_batch_response: bool) -> Result<BatchResponse> {
    for failure in &report.failed {
        error!(
            topic = failure.topic, partition = failure.partition, offset = failure.offset,
            error = failure.error.chain(), error_kind = %failure.error.kind(), hint = hint(&failure.error),
            "a partition failed and will be delivered again"
        );
    }
    if partial_batch_response && !report.done.is_empty() {
        let mut response = BatchResponse::default();
        for failure in &report.failed {
            response.fail(&failure.topic, failure.partition, failure.offset);
        }
        return Ok(response);
    }
    match report.failed.into_iter().next() {
        None => Ok(BatchResponse::default()),
        Some(failure) => Err(failure.error),
    }
}

/// The event's records as the loop takes them.
pub fn batches(event: KafkaEvent) -> Result<Vec<Batch>> {
    Ok(event.into_partitions()?.into_iter().map(batch).collect())
}

fn batch(partition: PartitionRecords) -> Batch {
    let record = |record: sluice_kafka::Record| Record {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        value: record.value,
        headers: record.headers.into_iter().map(|header| (header.name, header.value)).collect(),
    };
    Batch {
        topic: partition.topic,
        partition: partition.partition,
        records: partition.records.into_iter().map(record).collect(),
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

#[cfg(test)]
mod tests {
    use sluice_core::{Error, Kind};
    use sluice_pipeline::stream::{Failure, Progress};

    use super::*;

    fn read(event: &str) -> Vec<Batch> {
        KafkaEvent::parse(event).and_then(batches).expect("readable records")
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

    fn report(done: &[i32], failed: &[i32]) -> Report {
        let done = done.iter().map(|partition| Progress {
            topic: "t".into(),
            partition: *partition,
            table: "A.B.C".parse().expect("a table"),
            committed: Some(1),
            rows: 1,
            dead_letters: 0,
            skipped: 0,
            refused: 0,
            unknown_fields: 0,
            queryable_at: None,
        });
        let failed = failed.iter().map(|partition| Failure {
            topic: "t".into(),
            partition: *partition,
            offset: 7,
            error: Error::unavailable("away"),
        });
        Report { done: done.collect(), failed: failed.collect() }
    }

    #[test]
    fn a_failed_partition_is_answered_so_that_the_mapping_understands_it() {
        let partial = answer(report(&[0], &[2]), true).expect("a partial response").batch_item_failures;
        assert_eq!((partial[0].item_identifier.partition.as_str(), partial[0].item_identifier.offset), ("t-2", 7));
        let kind = |report, partial| answer(report, partial).map_err(|error| error.kind());
        assert_eq!(kind(report(&[0], &[2]), false), Err(Kind::Unavailable), "else it would count as success");
        assert_eq!(kind(report(&[], &[2]), true), Err(Kind::Unavailable), "nothing is done");
        for partial in [true, false] {
            assert_eq!(kind(report(&[0, 1], &[]), partial), Ok(BatchResponse::default()));
            assert_eq!(kind(report(&[], &[]), partial), Ok(BatchResponse::default()));
        }
    }
}
