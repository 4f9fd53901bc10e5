//! Against librdkafka's mock cluster of three brokers, filled by its producer: what one real broker cannot be made to do.

use std::{path::PathBuf, time::Duration};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use sluice_local::kafka_poller::{Config, FailurePolicy};

use crate::{
    TOPIC,
    function::{Function, Polling},
    until,
};

/// Longer than any test lasts.
const NEVER: Duration = Duration::from_secs(600);

struct Cluster {
    brokers: MockCluster<'static, DefaultProducerContext>,
    folder: PathBuf,
}

impl Cluster {
    fn start(test: &str) -> Self {
        let brokers = MockCluster::new(3).expect("three brokers");
        brokers.create_topic(TOPIC, 2, 3).expect("a topic");
        let cluster = Cluster {
            brokers,
            folder: std::env::temp_dir().join(format!("kafka-poller-mocked-{test}-{}", std::process::id())),
        };
        std::fs::create_dir_all(&cluster.folder).expect("a folder");
        for partition in 0..2 {
            cluster.lead(partition, 1);
        }
        cluster
    }

    fn lead(&self, partition: i32, broker: i32) {
        self.brokers.partition_leader(TOPIC, partition, Some(broker)).expect("a leader");
    }

    /// Produces numbers to a partition, in one batch with this compression.
    fn produce(&self, partition: i32, compression: &str, values: impl Iterator<Item = i64>) {
        self.produce_padded(partition, compression, values, 1);
    }

    /// The same, each number with zeros before it up to this many bytes.
    fn produce_padded(&self, partition: i32, compression: &str, values: impl Iterator<Item = i64>, bytes: usize) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers.bootstrap_servers())
            .set("compression.codec", compression)
            .set("linger.ms", "50")
            .set("enable.idempotence", "true")
            .create()
            .expect("a producer");
        for value in values {
            let (key, value) = (format!("key {value}"), value.to_string());
            let value = "0".repeat(bytes.saturating_sub(value.len())) + &value;
            let headers = OwnedHeaders::new().insert(Header { key: "kind", value: Some("test") });
            let record = BaseRecord::to(TOPIC).partition(partition).key(&key).payload(&value).headers(headers);
            producer.send(record).expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("produced");
    }

    async fn poll(&self, function: &Function) -> Polling {
        self.poll_as(function, |_| {}).await
    }

    async fn poll_as(&self, function: &Function, change: impl FnOnce(&mut Config)) -> Polling {
        Polling::start(self.brokers.bootstrap_servers(), self.folder.join("p.json"), function, change).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_without_a_value_and_a_time_beyond_the_calendar_stall_nothing() {
    let (cluster, function) = (Cluster::start("odd"), Function::default());
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.brokers.bootstrap_servers())
        .set("linger.ms", "50")
        .create()
        .expect("a producer");
    let none = || Header { key: "none", value: None::<&str> };
    let odd = [i64::MAX, 9_000_000_000_000_000, 253_402_300_800_000, 0, 1, -1];
    for (value, timestamp) in (0..).zip(odd) {
        let headers = OwnedHeaders::new().insert(none()).insert(Header { key: "kind", value: Some("") }).insert(none());
        let text = format!("{value}");
        let record = BaseRecord::<str, str>::to(TOPIC).partition(0).payload(&text).headers(headers);
        producer.send(record.timestamp(timestamp)).expect("queued");
    }
    producer.flush(Duration::from_secs(30)).expect("produced");
    let polling = cluster.poll(&function).await;
    function.has_seen(&[0, 1, 2, 3, 4, 5]).await;
    polling.caught_up().await;
    assert!(polling.poller.stalled().is_empty(), "{:?}", polling.poller.stalled());
    polling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_stands_still_says_why_and_until_when() {
    let (cluster, function) = (Cluster::start("stalled"), Function::default());
    function.fail(1, 3);
    cluster.produce(0, "none", 0..3);
    let polling = cluster.poll(&function).await;
    until("the failing batch is told", async || {
        let status = polling.poller.status().await.unwrap_or_default();
        status.iter().any(|status| {
            status.partition == 0 && status.stalled.as_ref().is_some_and(|reason| reason.contains("offset 0"))
        })
    })
    .await;
    polling.caught_up().await;
    assert!(polling.poller.stalled().is_empty(), "{:?}", polling.poller.stalled());
    polling.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_every_compression_are_read() {
    let (cluster, function) = (Cluster::start("compression"), Function::default());
    let polling = cluster.poll(&function).await;
    for (number, compression) in (0..).zip(["none", "lz4", "snappy", "gzip", "zstd"]) {
        cluster.produce(0, compression, number * 100..number * 100 + 20);
    }
    let expected: Vec<i64> = (0..5).flat_map(|number| number * 100..number * 100 + 20).collect();
    function.has_seen(&expected).await;
    polling.stop().await;
    assert_eq!(function.values(0), expected, "each once and in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_gets_another_leader_is_followed() {
    let (cluster, function) = (Cluster::start("leader"), Function::default());
    cluster.produce(0, "none", 0..20);
    cluster.produce(1, "none", 100..120);
    let polling = cluster.poll(&function).await;
    function.has_seen(&(0..20).chain(100..120).collect::<Vec<_>>()).await;
    for (round, leader) in [(1, 2), (2, 3), (3, 1)] {
        cluster.lead(0, leader);
        cluster.produce(0, "none", round * 20..(round + 1) * 20);
        function.has_seen(&(round * 20..(round + 1) * 20).collect::<Vec<_>>()).await;
    }
    cluster.produce(1, "none", 120..140);
    function.has_seen(&(120..140).collect::<Vec<_>>()).await;
    polling.stop().await;
    assert_eq!(function.values(0), (0..80).collect::<Vec<_>>());
    assert_eq!(function.values(1), (100..140).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_broker_and_passing_errors_lose_and_double_no_record() {
    let (cluster, function) = (Cluster::start("errors"), Function::default());
    cluster.produce(0, "none", 0..20);
    let polling = cluster.poll(&function).await;
    function.has_seen(&(0..20).collect::<Vec<_>>()).await;

    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    ];
    cluster.brokers.request_errors(RDKafkaApiKey::Fetch, &errors);
    cluster.produce(0, "none", 20..40);
    function.has_seen(&(20..40).collect::<Vec<_>>()).await;

    cluster.brokers.broker_down(1).expect("down");
    cluster.brokers.broker_up(1).expect("up");
    cluster.produce(0, "none", 40..60);
    function.has_seen(&(40..60).collect::<Vec<_>>()).await;
    polling.stop().await;
    assert_eq!(function.values(0), (0..60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_fails_for_ever_holds_up_no_other() {
    let (cluster, function) = (Cluster::start("beside"), Function::default());
    function.answer_in_parts();
    function.fail(0, u32::MAX);
    cluster.produce(0, "none", 0..20);
    let polling = cluster.poll(&function).await;
    function.has_seen(&[0]).await;
    for round in 1..4 {
        let values = round * 100..round * 100 + 20;
        cluster.produce(1, "none", values.clone());
        function.has_seen(&values.collect::<Vec<_>>()).await;
    }
    polling.stop().await;
    let expected: Vec<i64> = (1..4).flat_map(|round| round * 100..round * 100 + 20).collect();
    assert_eq!(function.values(1), expected, "each once and in order");
    assert!(function.values(0).iter().all(|value| *value < 10), "nothing passes the record that failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_is_isolated_and_given_up_beside_a_healthy_partition() {
    let (cluster, function) = (Cluster::start("poison"), Function::default());
    function.answer_in_parts();
    function.fail(3, u32::MAX);
    cluster.produce(0, "none", 2..5);
    cluster.produce(1, "none", 100..400);
    let policy = FailurePolicy { bisect: true, most_retries: Some(1) };
    let polling = cluster.poll_as(&function, |config| config.failures = policy).await;
    polling.caught_up().await;
    polling.stop().await;
    let sizes: Vec<usize> = function
        .events()
        .iter()
        .map(|event| event.iter().filter(|record| record.0 == 0).collect::<Vec<_>>())
        .filter(|records| records.iter().any(|record| record.2 == 3))
        .map(|records| records.len())
        .collect();
    assert_eq!(sizes, [3, 2, 1, 1], "in halves, and then as often as it may be tried again");
    assert_eq!(function.values(1), (100..400).collect::<Vec<_>>(), "the other partition: each once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_fail_together_are_tried_apart_before_giving_up() {
    let (cluster, function) = (Cluster::start("apart"), Function::default());
    function.fail(3, u32::MAX);
    cluster.produce(0, "none", 0..5);
    cluster.produce(1, "none", 100..105);
    let policy = FailurePolicy { bisect: true, most_retries: Some(1) };
    let polling = cluster.poll_as(&function, |config| config.failures = policy).await;
    polling.caught_up().await;
    polling.stop().await;
    let events = function.events();
    let good = |value: i64| {
        events.iter().any(|event| event.iter().any(|r| r.2 == value) && event.iter().all(|record| record.2 != 3))
    };
    assert!([0, 1, 2, 4].into_iter().chain(100..105).all(good), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_payload_waits_for_no_window() {
    let (cluster, function) = (Cluster::start("payload"), Function::default());
    // Four of these fill an event. A partition of the mock cluster keeps no more than five of them.
    cluster.produce_padded(0, "none", 0..5, 900_000);
    cluster.produce_padded(1, "none", 100..105, 900_000);
    let polling = cluster.poll_as(&function, |config| config.window = NEVER).await;
    until("two events are full", async || function.events().len() >= 2).await;
    polling.stop().await;
    let sizes: Vec<usize> = function.events().iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 4], "the rest fills no event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_could_fill_every_event_leaves_room_for_another() {
    let (cluster, function) = (Cluster::start("turns"), Function::default());
    cluster.produce(0, "none", 0..3_000);
    cluster.produce(1, "none", 10_000..10_001);
    let polling = cluster.poll_as(&function, |config| config.batch_size = 1).await;
    function.has_seen(&[2_999, 10_000]).await;
    polling.stop().await;
    let events = function.events();
    let at = |value: i64| events.iter().position(|event| event[0].2 == value);
    assert!(at(10_000) < at(2_999), "{:?} of {:?}", at(10_000), at(2_999));
}
