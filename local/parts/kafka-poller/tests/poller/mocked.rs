//! Against librdkafka's mock cluster of three brokers, filled by its producer: what one real broker cannot be made to do.

use std::{path::PathBuf, time::Duration};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use crate::{
    TOPIC,
    function::{Function, Polling},
};

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
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers.bootstrap_servers())
            .set("compression.codec", compression)
            .set("enable.idempotence", "true")
            .create()
            .expect("a producer");
        for value in values {
            let (key, value) = (format!("key {value}"), value.to_string());
            let headers = OwnedHeaders::new().insert(Header { key: "kind", value: Some("test") });
            let record = BaseRecord::to(TOPIC).partition(partition).key(&key).payload(&value).headers(headers);
            producer.send(record).expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("produced");
    }

    async fn poll(&self, function: &Function) -> Polling {
        Polling::start(self.brokers.bootstrap_servers(), self.folder.join("p.json"), function, |_| {}).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
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
async fn a_broker_that_is_away_and_errors_that_pass_lose_no_record_and_double_none() {
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
