//! The function, played by the test, and a poller that serves it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::HeaderMap,
    routing::post,
};
use sluice_kafka::{BatchResponse, KafkaEvent};
use sluice_local::kafka_poller::{Config, FailurePolicy, Lambda, Poller, StartingPosition};
use tokio::{sync::watch, task::JoinHandle};

use crate::{TOPIC, until};

/// One event as the function saw it: partition, offset and value of each record.
pub(crate) type Seen = Vec<(i32, i64, i64)>;

/// The function: keeps every event, and fails those that hold a bad value as often as it is told.
#[derive(Clone, Default)]
pub(crate) struct Function {
    seen: Arc<Mutex<Vec<Seen>>>,
    bad: Arc<Mutex<BTreeMap<i64, u32>>>,
    partial: Arc<AtomicBool>,
}

impl Function {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let path = "/2015-03-31/functions/{name}/invocations";
        let router =
            Router::new().route(path, post(invoke)).layer(DefaultBodyLimit::disable()).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    pub(crate) fn fail(&self, value: i64, times: u32) {
        self.bad.lock().expect("unbroken").insert(value, times);
    }

    /// From now on a bad value fails its partition from there on, and not the event.
    pub(crate) fn answer_in_parts(&self) {
        self.partial.store(true, Ordering::Relaxed);
    }

    pub(crate) fn events(&self) -> Vec<Seen> {
        self.seen.lock().expect("unbroken").clone()
    }

    /// The values in the order in which a partition's were seen, events that failed included.
    pub(crate) fn values(&self, partition: i32) -> Vec<i64> {
        let events = self.events();
        events.iter().flatten().filter(|record| record.0 == partition).map(|record| record.2).collect()
    }

    pub(crate) async fn has_seen(&self, values: &[i64]) {
        until("every value is seen", async || {
            let events = self.events();
            values.iter().all(|value| events.iter().flatten().any(|record| record.2 == *value))
        })
        .await;
    }
}

async fn invoke(State(function): State<Function>, body: String) -> (HeaderMap, String) {
    let partitions = KafkaEvent::parse(&body).and_then(KafkaEvent::into_partitions).expect("a Kafka event");
    let (mut headers, mut response) = (HeaderMap::new(), BatchResponse::default());
    let partial = function.partial.load(Ordering::Relaxed);
    let mut bad = function.bad.lock().expect("unbroken");
    let mut seen = Seen::new();
    for partition in partitions {
        let mut failed = false;
        for record in partition.records {
            let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
            let value = value.parse().expect("a number");
            seen.push((partition.partition, record.offset, value));
            // One bad value is enough: of the others of its event, or of its partition, nobody is asked.
            let enough = failed || !partial && !headers.is_empty();
            let Some(left) = bad.get_mut(&value).filter(|left| **left > 0 && !enough) else { continue };
            *left -= 1;
            failed = true;
            if partial {
                response.fail(TOPIC, partition.partition, record.offset);
            } else {
                headers.insert("x-amz-function-error", "Unhandled".parse().expect("a header"));
            }
        }
    }
    function.seen.lock().expect("unbroken").push(seen);
    (headers, serde_json::to_string(&response).expect("an answer"))
}

/// A running poller; ends when it is dropped.
pub(crate) struct Polling {
    pub poller: Poller,
    pub task: JoinHandle<anyhow::Result<()>>,
    pub stop: watch::Sender<bool>,
}

impl Polling {
    pub(crate) async fn start(
        bootstrap: String,
        state_path: PathBuf,
        function: &Function,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            bootstrap,
            topic: TOPIC.into(),
            function_name: "f".into(),
            lambda: Lambda::at(function.serve().await).expect("a client"),
            batch_size: 10,
            window: Duration::from_millis(20),
            starting_position: StartingPosition::TrimHorizon,
            failures: FailurePolicy::default(),
            state_path,
        };
        change(&mut config);
        let poller = Poller::connect(config).await.expect("connected");
        let (stop, stopped) = watch::channel(false);
        let polling = poller.clone();
        let task = tokio::spawn(async move { polling.run(stopped).await });
        Polling { poller, task, stop }
    }

    pub(crate) async fn caught_up(&self) {
        until("no lag is left", async || {
            let status = self.poller.status().await;
            status.is_ok_and(|status| status.iter().all(|partition| partition.lag() == 0))
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("the task ends").expect("the poller ends well");
    }
}
