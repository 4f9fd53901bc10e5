//! The ports, and a short way to send requests.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::pending,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use aws_lambda_events::sqs::SqsEvent;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sluice_core::{
    Error, Kind, LakeId, Result, Secret, Sources,
    port::{DelayedQueue, Secrets},
};
use sluice_kafka::Message;
use sluice_lambda::Invocation;

use crate::{
    auth::Guard,
    body::Limits,
    catalogue::Catalogue,
    collector::Collector,
    cors::Origins,
    delivery::{Delivery, EventProducer},
    event::{Answer, Event, Request, Response},
    metrics::EventCounts,
    openapi,
    rate::Bucket,
    serve,
};

pub(super) const KEY: &str = "key-of-the-shop-page";

/// Kafka: what it holds, whether it is there, and how often it was asked.
#[derive(Clone, Default)]
pub(super) struct Kafka(pub Rc<KafkaState>);

#[derive(Default)]
pub(super) struct KafkaState {
    pub away: Cell<bool>,
    /// How it fails for each of these topics.
    pub refuses: RefCell<BTreeMap<String, Kind>>,
    pub asked: Cell<u32>,
    pub records: RefCell<Vec<(String, Message)>>,
}

impl EventProducer for Kafka {
    async fn produce(&self, topic: &str, messages: Vec<Message>) -> Result<()> {
        self.0.asked.set(self.0.asked.get() + 1);
        if self.0.away.get() {
            return Err(Error::unavailable("Kafka is away"));
        }
        if let Some(kind) = self.0.refuses.borrow().get(topic) {
            return Err(Error::new(*kind, "Kafka does not take it"));
        }
        self.0.records.borrow_mut().extend(messages.into_iter().map(|message| (topic.to_owned(), message)));
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(super) struct Outbox {
    pub away: Rc<Cell<bool>>,
    pub messages: Rc<RefCell<Vec<String>>>,
}

impl DelayedQueue for Outbox {
    async fn send(&self, body: &Value, _: Duration) -> Result<()> {
        if self.away.get() {
            return Err(Error::unavailable("the queue is away"));
        }
        self.messages.borrow_mut().push(body.to_string());
        Ok(())
    }
}

/// Where the secret is, whether it answers at all, and how often it was asked.
#[derive(Clone, Default)]
pub(super) struct Vault {
    pub secret: Rc<RefCell<Option<Value>>>,
    pub hangs: Rc<Cell<bool>>,
    pub asked: Rc<Cell<u32>>,
}

impl Secrets for Vault {
    async fn get(&self, _: &str) -> Result<Secret> {
        self.asked.set(self.asked.get() + 1);
        if self.hangs.get() {
            pending::<()>().await;
        }
        let value = self.secret.borrow().clone().ok_or_else(|| Error::unavailable("secrets are away"))?;
        Ok(Secret::new(value.to_string()))
    }
}

/// The function and what it is connected to.
pub(super) struct World {
    pub kafka: Kafka,
    pub outbox: Outbox,
    pub dead: Outbox,
    pub vault: Vault,
    pub now: Cell<Instant>,
    pub collector: Collector<Kafka, Outbox, Vault>,
}

/// Runs the work to its end. What waits with a timeout needs tokio's timer.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(work)
}

pub(super) fn time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_761_868_800, 0).expect("a time")
}

impl World {
    pub(super) fn new() -> Self {
        let platform = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform");
        let sources = Sources::read(&platform.join("sources.yaml")).expect("the sources");
        Self::of(Catalogue::read(&sources, &platform))
    }

    pub(super) fn of(catalogue: Catalogue) -> Self {
        let (kafka, outbox, dead) = (Kafka::default(), Outbox::default(), Outbox::default());
        let vault = Vault::default();
        *vault.secret.borrow_mut() = Some(json!({"api_keys": {
            "shop": {"key": KEY},
            "next": {"key": "key-that-replaces-it"},
            "elsewhere": {"key": "key-for-another-topic", "topics": ["clicks"]},
        }}));
        let limits = Limits { body_bytes: 300_000, events: 50 };
        let now = Instant::now();
        let collector = Collector {
            lake_id: LakeId("lake".into()),
            document: openapi::document(&catalogue, limits).expect("the document"),
            catalogue,
            origins: Origins::parse("https://shop.example"),
            limits,
            bucket: RefCell::new(Bucket::new(100, 200, now)),
            guard: Guard::new(vault.clone(), "collect").with_timeout(Duration::ZERO),
            delivery: Delivery::new(kafka.clone(), outbox.clone(), dead.clone()),
        };
        World { kafka, outbox, dead, vault, now: Cell::new(now), collector }
    }

    pub(super) fn pass(&self, duration: Duration) {
        self.now.set(self.now.get() + duration);
    }

    pub(super) fn answer(&self, request: &Request) -> Response {
        self.answer_and_count(request).0
    }

    pub(super) fn answer_and_count(&self, request: &Request) -> (Response, Option<EventCounts>) {
        block_on(self.collector.answer(request, time(), self.now.get()))
    }

    /// Posts JSON with the shop's key.
    pub(super) fn post(&self, body: &Value) -> Response {
        self.answer(&post(&body.to_string()))
    }

    /// Delivers what is in the outbox, as its queue does. Returns the ids of messages that stay there.
    pub(super) fn drain(&self) -> Vec<String> {
        let messages = std::mem::take(&mut *self.outbox.messages.borrow_mut());
        self.deliver(messages.iter().map(String::as_str))
    }

    pub(super) fn deliver<'a>(&self, messages: impl Iterator<Item = &'a str>) -> Vec<String> {
        let records: Vec<Value> =
            messages.enumerate().map(|(n, body)| json!({"messageId": n.to_string(), "body": body})).collect();
        let event: SqsEvent = serde_json::from_value(json!({"Records": records})).expect("an event");
        let invocation = Invocation::new("request", Duration::from_secs(30));
        let answer = block_on(serve(Event::Outbox(event), &invocation, &self.collector)).expect("an answer");
        let Answer::Outbox(response) = answer else { panic!("a batch is answered as a batch") };
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    /// What Kafka holds: key and value of each record.
    pub(super) fn records(&self) -> Vec<(Option<String>, Value)> {
        let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
        let records = self.kafka.0.records.borrow();
        let read = |(topic, message): &(String, Message)| {
            assert_eq!(topic, "purchases");
            assert_eq!(message.timestamp, time());
            let value = text(message.value.as_ref().expect("a value"));
            (message.key.as_ref().map(text), serde_json::from_str(&value).expect("JSON"))
        };
        records.iter().map(read).collect()
    }
}

pub(super) fn purchase(n: u32) -> Value {
    json!({
        "event_id": format!("00000000-0000-4000-8000-{n:012}"), "customer_email": format!("c{n}@example.com"),
        "product_id": 7, "quantity": 1, "purchase_ts": "2025-10-31T00:00:00.123456Z", "schema_version": 1,
    })
}

pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    let headers: BTreeMap<&str, &str> = headers.iter().copied().collect();
    serde_json::from_value(json!({
        "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": headers, "isBase64Encoded": false,
        "requestContext": {"http": {"method": method, "path": path}, "requestId": "r-1", "timeEpoch": 0},
    }))
    .expect("a request")
}

pub(super) fn post(body: &str) -> Request {
    let headers = [("content-type", "application/json"), ("x-api-key", KEY), ("origin", "https://shop.example")];
    Request { body: Some(body.to_owned()), ..request("POST", "/v1/events/purchases", &headers) }
}

pub(super) fn json_of(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.body))
}
