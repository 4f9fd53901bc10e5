//! A further topic is an entry of `sources.yaml` and a schema file, and nothing else: one in JSON and one in Avro, from the
//! event that Lambda gets to the rows of their tables, through the function's own parts.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use apache_avro::{Decimal, Schema, to_avro_datum, types::Value};
use axum::{Router, extract::Path, http::StatusCode, routing::get};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use sluice_core::{
    Error, LakeId, Result, RunId, Sources,
    event::Announcement,
    port::{Bus, DelayedQueue, ObjectStore, PutIfAbsent, Statements, Stored, SystemClock},
};
use sluice_kafka::{Formats, KafkaEvent, Registry, RegistryConfig, avro::ReaderSchema};
use sluice_pipeline::stream::{Invocation, Ports, Settings, Stream};
use stream_kafka::deps::TokioSleep;
use uuid::Uuid;

use crate::support::{LAKE, OneSecret, Warehouse, foundation};

const ENTRIES: &str = "
tables:
  - table: STREAMING.PUBLIC.CLICKS
    description: Clicks in the shop.
    source: { kind: kafka, topic: clicks }
    loader: streaming
    disposition: append
    key: [id]
    columns:
      - { name: id, type: text, required: true }
      - { name: page, type: text }
      - { name: millis, type: bigint, minimum: 0 }
  - table: STREAMING.PUBLIC.ORDERS
    description: Orders in the shop.
    source: { kind: kafka, topic: orders, format: avro }
    loader: streaming
    disposition: append
    key: [order_id]
    columns:
      - { name: order_id, type: text, required: true }
      - { name: total, type: 'decimal(12,2)', required: true, minimum: 0 }
      - { name: created_at, type: timestamp, required: true }
      - { name: day, type: date }
      - { name: status, type: text, required: true, one_of: [CREATED, SHIPPED] }
";

/// The topic's schema file: the second version, which has a status.
const ORDERS: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "order_id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null},
    {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["CREATED", "SHIPPED"]}, "default": "CREATED"}
]}"#;

/// What the producers use: the first version, whose times are milliseconds.
const WRITTEN: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "order_id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 3}},
    {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
]}"#;

const SCHEMA_ID: u32 = 100_007;

/// A lake in memory, and a bus that nobody listens to.
#[derive(Clone, Default)]
pub(crate) struct Lake(pub Rc<RefCell<BTreeMap<String, Bytes>>>);

impl ObjectStore for Lake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.0.borrow_mut().insert(key.to_owned(), body);
        Ok(Stored { checksum: String::new() })
    }

    async fn put_if_absent(&self, key: &str, _: Bytes) -> Result<PutIfAbsent> {
        Err(Error::unsupported("no row is refused here").with("key", key))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.borrow().get(key).cloned())
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        Err(Error::unsupported("streaming lists nothing").with("prefix", prefix))
    }
}

impl DelayedQueue for Lake {
    async fn send(&self, _: &serde_json::Value, _: Duration) -> Result<()> {
        Ok(())
    }
}

impl Bus for Lake {
    async fn announce(&self, _: Announcement) -> Result<()> {
        Ok(())
    }
}

fn order(uuid: &str, thousandths: i64, millis: i64) -> Vec<u8> {
    let schema = Schema::parse_str(WRITTEN).expect("a schema");
    let value = Value::Record(vec![
        ("order_id".into(), Value::Uuid(uuid.parse().expect("a uuid"))),
        ("total".into(), Value::Decimal(Decimal::from(thousandths.to_be_bytes()))),
        ("created_at".into(), Value::TimestampMillis(millis)),
    ]);
    framed(&schema, value)
}

/// A value in the Confluent wire format.
fn framed(schema: &Schema, value: Value) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(SCHEMA_ID.to_be_bytes());
    framed.extend(to_avro_datum(schema, value).expect("encodes"));
    framed
}

fn record(topic: &str, offset: i64, value: &[u8]) -> serde_json::Value {
    serde_json::json!({"topic": topic, "partition": 0, "offset": offset, "timestamp": 1_761_868_800_000_i64,
        "timestampType": "CREATE_TIME", "value": STANDARD.encode(value), "headers": []})
}

fn event() -> String {
    let unknown = [&[0, 0, 0, 0, 9][..], &[1, 2, 3]].concat();
    let orders = [
        record("orders", 4, &order("6f9619ff-8b86-d011-b42d-00cf4fc964ff", 12_340, 1_761_868_800_123)),
        record("orders", 7, &unknown),
        record("orders", 9, b"{\"order_id\": \"in JSON\"}"),
        record("orders", 12, &order("00000000-0000-4000-8000-000000000001", -1_000, 0)),
        record("orders", 13, &order("00000000-0000-4000-8000-000000000002", 10, 0)),
    ];
    let clicks = [record("clicks", 0, br#"{"id":"c1","page":"/\u00e9","millis":7}"#), record("clicks", 1, b"not JSON")];
    serde_json::json!({"eventSource": "SelfManagedKafka", "bootstrapServers": "b:9092",
        "records": {"orders-0": orders, "clicks-0": clicks}})
    .to_string()
}

async fn registry(written: &'static str) -> String {
    let answer = async move |Path(id): Path<u32>| match id {
        SCHEMA_ID => (StatusCode::OK, serde_json::json!({"schema": written}).to_string()),
        _ => (StatusCode::NOT_FOUND, r#"{"error_code": 40403, "message": "Schema not found"}"#.to_owned()),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().route("/schemas/ids/{id}", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Delivers an event twice to the function's own parts. `schema` is the file of the topic `orders`, `written` what its
/// producers use.
async fn deliver(warehouse: &Warehouse, lake: &Lake, entries: &str, schema: &str, written: &'static str, event: &str) {
    let sources = Sources::parse(entries).expect("valid sources");
    for statement in foundation(&sources).await {
        warehouse.sql().execute(&statement, Uuid::new_v4(), "test").await.expect("a statement of the foundation");
    }
    let config = RegistryConfig { url: registry(written).await, secret: None };
    let registry = Registry::new(config, sluice_http::Client::new().expect("a client"), OneSecret);
    let schemas = BTreeMap::from([("orders".to_owned(), ReaderSchema::parse(schema).expect("a schema"))]);
    let ports = Ports {
        store: lake.clone(),
        channels: warehouse.streaming(),
        formats: Formats::new(schemas, Some(registry)),
        bus: lake.clone(),
        queue: lake.clone(),
        clock: SystemClock,
        sleep: TokioSleep,
    };
    let settings = Settings { lake_id: LakeId(LAKE.into()), cluster_id: "c".into(), announce_interval: Duration::ZERO };
    let stream = Stream::new(ports, sources, settings);

    for _ in 0..2 {
        let batches = KafkaEvent::parse(event).and_then(KafkaEvent::into_partitions).expect("readable records");
        let deadline = chrono::Utc::now() + chrono::TimeDelta::seconds(60);
        let report = stream.process(&batches, &Invocation { run_id: RunId("run".into()), deadline }).await;
        let report = report.expect("processed");
        assert!(report.failed.is_empty(), "{:?}", report.failed);
    }
}

#[tokio::test]
async fn a_column_of_an_avro_topic_is_found_by_its_source_name() {
    const SCHEMA: &str = r#"{"type": "record", "name": "Order", "fields": [
        {"name": "orderId", "type": "string"}, {"name": "createdAt", "type": "long"}, {"name": "created_at", "type": "long"}
    ]}"#;
    let entries = "
tables:
  - table: STREAMING.PUBLIC.ORDERS
    description: Orders in the shop.
    source: { kind: kafka, topic: orders, format: avro }
    loader: streaming
    disposition: append
    key: [order_id]
    columns:
      - { name: order_id, source_name: orderId, type: text, required: true }
      - { name: created_at, source_name: createdAt, type: bigint, required: true }
";
    let (warehouse, lake) = (Warehouse::empty().await, Lake::default());
    let value = Value::Record(vec![
        ("orderId".into(), Value::String("o1".into())),
        ("createdAt".into(), Value::Long(7)),
        // The column's own name, in the source that of another field.
        ("created_at".into(), Value::Long(9)),
    ]);
    let value = framed(&Schema::parse_str(SCHEMA).expect("a schema"), value);
    let event = serde_json::json!({"eventSource": "SelfManagedKafka", "bootstrapServers": "b:9092",
        "records": {"orders-0": [record("orders", 4, &value)]}});
    deliver(&warehouse, &lake, entries, SCHEMA, SCHEMA, &event.to_string()).await;
    let rows = "SELECT order_id || '|' || created_at FROM STREAMING__PUBLIC.ORDERS";
    assert_eq!(warehouse.column(rows).await, ["o1|7"]);
    assert!(!lake.0.borrow().keys().any(|key| key.starts_with("dead-letter/")), "the record is a good one");
}

#[tokio::test]
async fn a_topic_is_an_entry_and_a_schema_file() {
    let (warehouse, lake) = (Warehouse::empty().await, Lake::default());
    deliver(&warehouse, &lake, ENTRIES, ORDERS, WRITTEN, &event()).await;
    let orders = "SELECT order_id || '|' || total || '|' || created_at || '|' || coalesce(day::text, '') || '|' || status \
        || '|' || _kafka_offset FROM STREAMING__PUBLIC.ORDERS ORDER BY _kafka_offset";
    assert_eq!(
        warehouse.column(orders).await,
        [
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff|12.34|2025-10-31 00:00:00.123||CREATED|4",
            "00000000-0000-4000-8000-000000000002|0.01|1970-01-01 00:00:00||CREATED|13",
        ]
    );
    let clicks = "SELECT id || page || millis FROM STREAMING__PUBLIC.CLICKS";
    assert_eq!(warehouse.column(clicks).await, ["c1/é7"]);

    let letters: Vec<(String, String)> = lake
        .0
        .borrow()
        .iter()
        .filter(|(key, _)| key.starts_with("dead-letter/"))
        .map(|(key, body)| {
            let letter: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            let place = key.rsplit_once('-').expect("a digest").0;
            (place.to_owned(), letter["reason"].as_str().expect("a reason").to_owned())
        })
        .collect();
    let letter =
        |topic: &str, offset: i64, reason: &str| (format!("dead-letter/{topic}/0/{offset:020}"), reason.to_owned());
    assert_eq!(
        letters,
        [
            letter("clicks", 1, "the value is not a JSON object"),
            letter("orders", 7, "the schema registry does not know the schema id 9"),
            letter("orders", 9, "the value does not begin with the zero byte of the Confluent wire format"),
            letter("orders", 12, "total: is below 0"),
        ]
    );
}
