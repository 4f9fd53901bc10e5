//! The function that loads, against this warehouse: S3's notifications come several times, in any order and at once, and
//! whatever a delivery meets, each row is there once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use aws_lambda_events::sqs::SqsEvent;
use futures::{StreamExt, stream};
use load_commits::{Config, Deps, config::WarehouseWith, event::Event, serve};
use serde_json::{Value, json};
use sluice_core::{
    Commit, Disposition, LakeId, Result, Sources, Table,
    event::Announcement,
    lake,
    port::{Bus, DelayedQueue, Statements},
};
use sluice_lambda::Invocation;
use sluice_pipeline::load::PollPolicy;
use uuid::Uuid;

use crate::support::{BUCKET, LAKE, Lake, OneSecret, Warehouse};

/// How many invocations at once, as the template allows, and how many messages each.
const AT_ONCE: usize = 10;
const BATCH: usize = 10;

/// Queue and bus of all invocations.
#[derive(Default)]
pub(crate) struct Messages {
    waiting: RefCell<VecDeque<Value>>,
    pub(crate) announced: RefCell<BTreeMap<String, u64>>,
}

impl DelayedQueue for &Messages {
    async fn send(&self, body: &Value, _: Duration) -> Result<()> {
        self.waiting.borrow_mut().push_back(body.clone());
        Ok(())
    }
}

impl Bus for &Messages {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        let id = announcement.detail["id"].as_str().expect("an id").to_owned();
        *self.announced.borrow_mut().entry(id).or_default() += 1;
        Ok(())
    }
}

/// A xorshift generator: the same order each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % bound as u64) as usize
    }
}

/// What S3 says of a commit.
pub(crate) fn notification(commit: &Commit) -> Value {
    json!({"Records": [{"s3": {"object": {"key": lake::log_key(&commit.table, commit.sequence)}}}]})
}

impl Messages {
    pub(crate) fn put(&self, body: Value) {
        self.waiting.borrow_mut().push_back(body);
    }

    /// Delivers until none is left: each invocation takes a batch, and what it could not do comes again.
    pub(crate) async fn deliver(&self, warehouse: &Warehouse, sources: &Sources) {
        // Instances find the queue empty while others have its messages in hand, which may come again.
        while !self.waiting.borrow().is_empty() {
            let instance = |number| self.instance(number, warehouse, sources);
            stream::iter(0..AT_ONCE).map(instance).buffer_unordered(AT_ONCE).collect::<()>().await;
        }
    }

    fn deps(&self, warehouse: &Warehouse, sources: &Sources) -> Deps<Lake, &Messages, &Messages, OneSecret> {
        let http = sluice_http::Client::new().expect("a client");
        Deps {
            store: warehouse.lake(),
            bus: self,
            queue: self,
            warehouse: WarehouseWith::connect(warehouse.config_of("loader"), OneSecret, http).with_estimates(),
            config: Config {
                lake_bucket: BUCKET.into(),
                lake_id: LakeId(LAKE.into()),
                bus_name: "bus".into(),
                queue_url: "queue".into(),
                poll_policy: PollPolicy { poll: Duration::ZERO, limit: Duration::from_secs(3_600) },
                warehouse: warehouse.config_of("loader"),
                sources: sources.clone(),
            },
        }
    }

    async fn instance(&self, number: usize, warehouse: &Warehouse, sources: &Sources) {
        let deps = self.deps(warehouse, sources);
        loop {
            let bodies: Vec<Value> = {
                let mut waiting = self.waiting.borrow_mut();
                let batch = waiting.len().min(BATCH);
                waiting.drain(..batch).collect()
            };
            if bodies.is_empty() {
                return;
            }
            let record = |(id, body): (usize, &Value)| json!({"messageId": id.to_string(), "body": body.to_string()});
            let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
            let event: SqsEvent = serde_json::from_value(json!({"Records": records})).expect("a batch");
            let invocation = Invocation::new(format!("instance-{number}"), Duration::from_secs(300));
            let answer = Box::pin(serve(Event::Batch(event), &invocation, &deps)).await.expect("an answer");
            for failure in answer.batch_item_failures {
                let at: usize = failure.item_identifier.parse().expect("one of the batch");
                self.put(bodies[at].clone());
            }
        }
    }
}

/// Three tables, one for each way in which rows get into one.
fn tables() -> Sources {
    let entry = |name: &str| {
        format!(
            "  - table: DLT.MANY.{name}\n    description: One of many.\n    source: {{ kind: postgres, schema: s, table: t, \
             cursor: id }}\n    loader: copy\n    disposition: merge\n    key: [id]\n    version_column: version\n    \
             columns:\n      - {{ name: id, type: bigint, required: true }}\n      - {{ name: version, type: bigint }}\n"
        )
    };
    let entries = ["APPENDED", "MERGED", "REPLACED"].map(entry);
    let mut sources = Sources::parse(&format!("tables:\n{}", entries.concat())).expect("valid sources");
    sources.tables[0].disposition = Disposition::Append;
    sources.tables[2].disposition = Disposition::Replace;
    sources
}

/// How many different S3 events: `SLUICE_LOAD_EVENTS=10000` for the whole storm.
fn events() -> u64 {
    std::env::var("SLUICE_LOAD_EVENTS").map_or(300, |text| text.parse().expect("SLUICE_LOAD_EVENTS is a number"))
}

/// Commits of a table, of one row each: a merged table's have one of ten keys, the version grows.
fn commits(warehouse: &Warehouse, table: &Table, count: u64) -> Vec<Commit> {
    (1..=count)
        .map(|sequence| {
            let id = if table.table.table == "MERGED" { sequence % 10 } else { sequence };
            let row = format!("SELECT {id}::BIGINT AS id, {sequence}::BIGINT AS version");
            let commit = warehouse.commit_of(table, sequence, 1, &row);
            warehouse.put_object(&lake::log_key(&table.table, commit.sequence), commit.encode().expect("a commit"));
            commit
        })
        .collect()
}

#[tokio::test]
async fn every_event_thrice_in_any_order_at_once_brings_each_row_once() {
    let (sources, events) = (tables(), events());
    let warehouse = Warehouse::empty().await.found(&sources).await;
    let of_each = events / 3;
    let all: Vec<Commit> = sources.tables.iter().flat_map(|table| commits(&warehouse, table, of_each)).collect();
    let mut deliveries: Vec<Value> = all.iter().flat_map(|commit| [(); 3].map(|()| notification(commit))).collect();
    // S3's deliveries of one event come near one another: each moves by up to a few batches.
    let mut random = Random(0x5a1c_e5ee_d000_0001);
    for at in 0..deliveries.len() {
        let other = (at + random.below(6 * AT_ONCE * BATCH)).min(deliveries.len() - 1);
        deliveries.swap(at, other);
    }
    let messages = Messages::default();
    deliveries.into_iter().for_each(|delivery| messages.put(delivery));
    messages.deliver(&warehouse, &sources).await;

    let count = |select: &str| format!("SELECT concat_ws(' ', count(*), count(DISTINCT {select}))");
    let [once, ten] = [format!("{of_each} {of_each}"), "10 10".to_owned()];
    for (select, expected) in [
        (format!("{} FROM DLT__MANY.APPENDED", count("id")), &once),
        (format!("{} FROM DLT__MANY.MERGED", count("id")), &ten),
        (format!("{} FROM ADMIN__OBSERVABILITY.LOADS WHERE STATUS = 'loaded'", count("TABLE_NAME || SEQUENCE")), &{
            let loads = of_each * 3;
            format!("{loads} {loads}")
        }),
    ] {
        assert_eq!(warehouse.column(&select).await, [expected.as_str()], "{select}");
    }
    let newest = format!("SELECT min(version) > {} FROM DLT__MANY.MERGED", of_each - 10 - 1);
    assert_eq!(warehouse.column(&newest).await, ["true"], "the newest version of each key");
    let replaced = "SELECT concat_ws(' ', ID, _SLUICE_SEQUENCE) FROM DLT__MANY.REPLACED";
    assert_eq!(warehouse.column(replaced).await, [format!("{of_each} {of_each}")], "the highest commit is the table");
    assert_eq!(messages.announced.borrow().len() as u64, of_each * 3, "each is announced, by one id");
    assert!(warehouse.emulator.lock_waits() > of_each / 10, "deliveries of one table have met at its lock");
}

#[tokio::test]
async fn only_what_has_loaded_and_has_time_keeps_an_estimate() {
    let sources = tables();
    let warehouse = Warehouse::empty().await.found(&sources).await;
    let commit = commits(&warehouse, &sources.tables[0], 1).remove(0);
    let messages = Messages::default();
    let deps = messages.deps(&warehouse, &sources);
    let estimates = async || {
        let count = "SELECT count(*) FROM ADMIN__OBSERVABILITY.COSTS WHERE SOURCE = 'estimate'";
        warehouse.column(count).await.remove(0).parse::<u64>().expect("a number")
    };
    let serve = async |event: Value, seconds: u64| {
        let event: Event = serde_json::from_value(event).expect("an event");
        let invocation = Invocation::new("instance", Duration::from_secs(seconds));
        Box::pin(serve(event, &invocation, &deps)).await.expect("an answer");
    };
    let batch = |body: Value| json!({"Records": [{"messageId": "0", "body": body.to_string()}]});
    serve(json!({"sweep": true}), 300).await;
    assert_eq!((messages.waiting.take().len(), estimates().await), (1, 0), "a sweep asks and starts no warehouse");
    deps.warehouse.statements().execute("SELECT 1", Uuid::new_v4(), "sluice:load:t:1:run").await.expect("an answer");
    serve(batch(json!({"Event": "s3:TestEvent"})), 4).await;
    assert_eq!(estimates().await, 0, "the answer needs the time");
    serve(batch(notification(&commit)), 300).await;
    assert!(estimates().await > 1, "that of before and those of the load");
}
