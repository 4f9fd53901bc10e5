//! The poller against a real broker and a function that the test plays: what an event source mapping promises.

use std::{
    collections::BTreeMap,
    net::TcpListener as Port,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use kafka_poller::{Config, FailurePolicy, Poller, StartingPosition};
use sluice_kafka::{KafkaEvent, Message, Producer};
use tokio::{sync::watch, task::JoinHandle};

const TOPIC: &str = "clicks";
const PATIENCE: Duration = Duration::from_secs(60);

mod aws {
    use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};

    pub fn at(url: &str) -> kafka_poller::SdkConfig {
        kafka_poller::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(url)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("t", "t", None, None, "test")))
            .build()
    }
}

/// A broker in a folder of its own, on a port that it keeps through a restart.
struct Broker {
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Broker {
    async fn start(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("kafka-poller-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let port = Port::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a free port").port();
        let process = Self::launch(&folder, port);
        let broker = Broker { folder, port, process };
        broker.ready().await;
        kafka_poller::create_topic(&broker.address(), TOPIC, 2).await.expect("a topic");
        broker
    }

    fn launch(folder: &std::path::Path, port: u16) -> Child {
        // The package's own program: the one in bin/ only starts it, and to kill that would leave the broker running.
        let lib = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../.tools/venv/data/lib");
        let pythons = std::fs::read_dir(&lib).expect("the tools; `tools/setup data` installs them").flatten();
        let mut programs = pythons.map(|python| python.path().join("site-packages/noida_db/noida-db"));
        let program = programs.find(|program| program.exists()).expect("the broker; `tools/setup data` installs it");
        Command::new(program)
            .args(["start", "--only", "kafka", "--kafka-port", &port.to_string(), "--data-dir"])
            .arg(folder.join("data"))
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the broker starts")
    }

    async fn ready(&self) {
        until("the broker answers", async || tokio::net::TcpStream::connect(self.address()).await.is_ok()).await;
    }

    /// Ends the broker and starts it again. It is asked to end: one that is killed forgets its topics, unlike Kafka.
    async fn restart(&mut self) {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().expect("kill runs");
        assert!(asked.success(), "the broker could not be asked to end");
        self.process.wait().expect("the broker ends");
        let gone = tokio::net::TcpStream::connect(self.address()).await;
        assert!(gone.is_err(), "the broker still answers");
        self.process = Self::launch(&self.folder, self.port);
        self.ready().await;
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Produces values with these timestamps in milliseconds to one partition each, by key.
    async fn produce(&self, values: impl IntoIterator<Item = (&'static str, i64)>) {
        let producer = Producer::connect(&self.address()).await.expect("a producer");
        let message = |(key, millis): (&'static str, i64)| Message {
            key: Some(Bytes::from(key)),
            value: Some(millis.to_string().into()),
            headers: BTreeMap::new(),
            timestamp: DateTime::<Utc>::from_timestamp_millis(millis).expect("a time"),
        };
        producer.produce(TOPIC, values.into_iter().map(message).collect()).await.expect("produced");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Polls until it is so, or fails the test after a while.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < give_up, "{what}: not within {PATIENCE:?}");
        tokio::task::yield_now().await;
    }
}

/// One event as the function saw it: partition, offset and value of each record.
type Seen = Vec<(i32, i64, i64)>;

/// The function: keeps every event, and fails those that hold a bad value as often as it is told.
#[derive(Clone, Default)]
struct Function {
    seen: Arc<Mutex<Vec<Seen>>>,
    bad: Arc<Mutex<BTreeMap<i64, u32>>>,
}

impl Function {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let path = "/2015-03-31/functions/{name}/invocations";
        let router = Router::new().route(path, post(invoke)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn fail(&self, value: i64, times: u32) {
        self.bad.lock().expect("unbroken").insert(value, times);
    }

    fn events(&self) -> Vec<Seen> {
        self.seen.lock().expect("unbroken").clone()
    }

    /// The values in the order in which a partition's were seen, events that failed included.
    fn values(&self, partition: i32) -> Vec<i64> {
        let events = self.events();
        events.iter().flatten().filter(|record| record.0 == partition).map(|record| record.2).collect()
    }

    async fn has_seen(&self, values: &[i64]) {
        until("every value is seen", async || {
            let events = self.events();
            values.iter().all(|value| events.iter().flatten().any(|record| record.2 == *value))
        })
        .await;
    }
}

async fn invoke(State(function): State<Function>, body: String) -> (HeaderMap, &'static str) {
    let partitions = KafkaEvent::parse(&body).and_then(KafkaEvent::into_partitions).expect("a Kafka event");
    let mut seen = Seen::new();
    for partition in partitions {
        for record in partition.records {
            let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
            seen.push((partition.partition, record.offset, value.parse().expect("a number")));
        }
    }
    let mut headers = HeaderMap::new();
    let mut bad = function.bad.lock().expect("unbroken");
    let left = seen.iter().find_map(|(_, _, value)| bad.get(value).copied().filter(|left| *left > 0).map(|_| *value));
    if let Some(value) = left {
        bad.entry(value).and_modify(|left| *left -= 1);
        headers.insert("x-amz-function-error", "Unhandled".parse().expect("a header"));
    }
    function.seen.lock().expect("unbroken").push(seen);
    (headers, "{}")
}

/// A running poller; ends when it is dropped.
struct Polling {
    poller: Poller,
    task: JoinHandle<anyhow::Result<()>>,
    stop: watch::Sender<bool>,
}

impl Polling {
    async fn start(broker: &Broker, function: &Function, state: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            bootstrap: broker.address(),
            topic: TOPIC.into(),
            function_name: "f".into(),
            aws: aws::at(&function.serve().await),
            batch_size: 10,
            window: Duration::from_millis(20),
            starting_position: StartingPosition::TrimHorizon,
            failures: FailurePolicy::default(),
            state_path: broker.folder.join(state),
        };
        change(&mut config);
        let poller = Poller::connect(config).await.expect("connected");
        let (stop, stopped) = watch::channel(false);
        let polling = poller.clone();
        let task = tokio::spawn(async move { polling.run(stopped).await });
        Polling { poller, task, stop }
    }

    async fn caught_up(&self) {
        until("no lag is left", async || {
            let status = self.poller.status().await;
            status.is_ok_and(|status| status.iter().all(|partition| partition.lag() == 0))
        })
        .await;
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("the task ends").expect("the poller ends well");
    }
}

#[tokio::test]
async fn batches_keep_their_size_and_a_partitions_order_and_positions_are_kept() {
    let (broker, function) = (Broker::start("order").await, Function::default());
    broker.produce((0..25).map(|n| (if n % 2 == 0 { "a" } else { "b" }, n))).await;
    let polling = Polling::start(&broker, &function, "p.json", |_| {}).await;
    function.has_seen(&(0..25).collect::<Vec<_>>()).await;
    polling.caught_up().await;
    polling.stop().await;
    for event in function.events() {
        assert!(event.len() <= 10, "{event:?}");
    }
    for partition in 0..2 {
        assert!(function.values(partition).is_sorted(), "{:?}", function.values(partition));
    }
    broker.produce([("a", 100)]).await;
    let polling = Polling::start(&broker, &function, "p.json", |_| {}).await;
    function.has_seen(&[100]).await;
    polling.stop().await;
    assert_eq!(function.events().iter().flatten().count(), 26, "what was done is not sent again");
}

#[tokio::test]
async fn a_consumer_begins_where_it_is_told() {
    let (broker, function) = (Broker::start("start").await, Function::default());
    let begin = Utc::now().timestamp_millis() - 100_000;
    broker.produce((0..10).map(|n| ("a", begin + n * 1_000))).await;
    let at = DateTime::from_timestamp_millis(begin + 7_000).expect("a time");
    let from = |position| move |config: &mut Config| config.starting_position = position;
    let late = Polling::start(&broker, &function, "at.json", from(StartingPosition::AtTimestamp(at))).await;
    function.has_seen(&[begin + 7_000, begin + 8_000, begin + 9_000]).await;
    late.caught_up().await;
    late.stop().await;
    assert_eq!(function.events().iter().flatten().count(), 3, "nothing older");

    let function = Function::default();
    let latest = Polling::start(&broker, &function, "latest.json", from(StartingPosition::Latest)).await;
    broker.produce([("a", begin + 10_000)]).await;
    function.has_seen(&[begin + 10_000]).await;
    latest.stop().await;
    assert_eq!(function.events().iter().flatten().count(), 1, "nothing from before");
}

#[tokio::test]
async fn a_failed_batch_is_sent_again_and_a_bad_record_is_isolated_where_that_is_configured() {
    let (broker, function) = (Broker::start("fail").await, Function::default());
    broker.produce((0..8).map(|n| ("a", n))).await;
    function.fail(3, 2);
    let polling = Polling::start(&broker, &function, "whole.json", |_| {}).await;
    polling.caught_up().await;
    polling.stop().await;
    let events = function.events();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events.iter().all(|event| *event == events[0]), "the same batch each time");

    let function = Function::default();
    function.fail(3, u32::MAX);
    let bisect = |config: &mut Config| config.failures = FailurePolicy { bisect: true, most_retries: Some(1) };
    let polling = Polling::start(&broker, &function, "halves.json", bisect).await;
    polling.caught_up().await;
    polling.stop().await;
    let good = |value: i64| {
        function
            .events()
            .iter()
            .any(|event| event.iter().any(|record| record.2 == value) && event.iter().all(|record| record.2 != 3))
    };
    assert!([0, 1, 2, 4, 5, 6, 7].into_iter().all(good), "{:?}", function.events());
    assert!(!good(3));
}

#[tokio::test]
async fn a_broker_that_ends_and_comes_back_loses_no_record() {
    let (mut broker, function) = (Broker::start("restart").await, Function::default());
    broker.produce((0..20).map(|n| ("a", n))).await;
    let polling = Polling::start(&broker, &function, "p.json", |_| {}).await;
    function.has_seen(&(0..20).collect::<Vec<_>>()).await;
    polling.caught_up().await;
    for round in 1..3 {
        broker.restart().await;
        let values: Vec<i64> = (0..20).map(|n| round * 100 + n).collect();
        broker.produce(values.clone().into_iter().map(|n| ("a", n))).await;
        function.has_seen(&values).await;
    }
    polling.caught_up().await;
    polling.stop().await;
    let mut offsets: Vec<i64> = function.events().iter().flatten().map(|record| record.1).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..60).collect::<Vec<_>>(), "each once, none twice: the function has failed nothing");
}

#[tokio::test]
async fn a_partition_ends_behind_its_last_record() {
    let broker = Broker::start("ends").await;
    let producer = Producer::connect(&broker.address()).await.expect("a producer");
    assert_eq!(producer.ends(TOPIC).await.expect("ends"), BTreeMap::from([(0, 0), (1, 0)]));
    broker.produce([("a", 1), ("b", 2), ("a", 3)]).await;
    let partition = |key: &str| sluice_kafka::partition_for_key(key.as_bytes(), 2) as i32;
    let mut expected = BTreeMap::from([(0, 0), (1, 0)]);
    for key in ["a", "b", "a"] {
        *expected.entry(partition(key)).or_default() += 1;
    }
    assert_eq!(producer.ends(TOPIC).await.expect("ends"), expected);
    assert!(producer.ends("no-such-topic").await.is_err());
}
