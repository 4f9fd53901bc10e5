use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::executor::block_on;
use serde_json::{Value, json};
use sluice_core::{Commit, Error, Kind, Result, Sequence, Sources, Table, TableId, lake, port::ObjectStore};

use super::{
    Names,
    events::{self, LoadFact},
    round::{LoadFacts, Sink, Teller},
};
use crate::{
    dispatch::{End, EndStatus},
    fakes::{ManualClock, MemoryStore},
    runs::LastRun,
    why::Lineage,
};

const LINEAGE: &[u8] = include_bytes!("../../../../dbt/lineage.json");

fn sources() -> Sources {
    Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources")
}

fn table<'a>(sources: &'a Sources, name: &str) -> &'a Table {
    sources.tables.iter().find(|table| table.table.to_string() == name).expect("a table")
}

fn at(second: u32) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::Duration::days(20_000) + chrono::Duration::seconds(i64::from(second))
}

fn names() -> Names {
    let kafka = ("kafka".to_owned(), "kafka://broker:9092".to_owned());
    let postgres = ("postgres".to_owned(), "postgres://db:5432".to_owned());
    Names {
        stack: "sluice-dev".into(),
        bucket: "lake".into(),
        warehouse: "snowflake://org-account".into(),
        sources: BTreeMap::from([kafka, postgres]),
    }
}

fn commit(table: &Table, sequence: u64) -> Commit {
    let path = format!("{}r{sequence}/part-00000.parquet", lake::data_prefix(&table.table));
    let reset = (sequence == 2).then(|| json!({"to": 0, "by": "me", "reason": "a test"}));
    let files =
        if sequence == 2 { json!([]) } else { json!([{"path": path, "rows": 3, "bytes": 900, "checksum": "x"}]) };
    serde_json::from_value(json!({
        "format_version": 1, "lake_id": "sluice-dev", "table": table.table, "sequence": sequence,
        "run_id": "0195f3a0-0000-7000-8000-00000000000".to_owned() + &sequence.to_string(), "loader": "copy",
        "disposition": "merge", "key": ["audit_id"], "schema": [], "schema_fingerprint": "",
        "rows": if sequence == 2 { 0 } else { 3 }, "files": files, "reset": reset,
        "scheduled_at": at(0), "committed_at": at(10),
    }))
    .expect("a commit")
}

fn ended(number: u64, status: EndStatus) -> End {
    let node = |node: &str, status: &str, rows: Option<u64>| json!({"node": node, "status": status, "seconds": 1.0, "rows": rows});
    let mut end: Value = json!({
        "number": number, "status": status, "dbt_run_id": "7", "ended_at": at(60), "covered": {},
        "run_id": "0195f3a0-0000-7000-8000-0000000000ff", "started_at": at(30),
        "nodes": [
            node("model.sluice.fct_purchases", "success", Some(12)),
            node("model.sluice.sales", if status == EndStatus::Succeeded { "success" } else { "error" }, None),
            node("model.sluice.rpt_sales", "skipped", None),
            node("test.sluice.not_null_sales_customer_id.1a", "pass", None),
        ],
    });
    end["reason"] = if status == EndStatus::Succeeded { Value::Null } else { json!("a model failed") };
    serde_json::from_value(end).expect("an end")
}

fn failed_run() -> LastRun {
    serde_json::from_value(json!({
        "run_id": "r", "ended_at": at(20), "failure": {"kind": "Unavailable", "reason": "no route", "runs": 1, "since": at(20)},
    }))
    .expect("a run")
}

fn load(sequence: u64, failure: Option<&str>) -> LoadFact {
    LoadFact { sequence, rows: 3, failure: failure.map(str::to_owned), at: at(25) }
}

/// Events of each kind of run, which tests/openlineage judges with a client that is not ours.
fn of_each_kind() -> Vec<Value> {
    let (sources, names) = (sources(), names());
    let lineage = Lineage::parse(LINEAGE).expect("a lineage");
    let products = table(&sources, "DLT.APPLICATION_DATA.PRODUCTS");
    let mut all: Vec<Value> = Vec::new();
    for table in sources.tables.iter().filter(|table| table.loader != sluice_core::Loader::Streaming) {
        let commit = commit(table, 1);
        all.extend(events::extracted(&names, table, &commit));
        all.extend(events::loaded(&names, table, &commit, &load(1, None)));
    }
    all.extend(events::extract_failed(&names, products, &failed_run()).expect("a failure"));
    all.extend(events::loaded(&names, products, &commit(products, 3), &load(3, Some("a column is gone"))));
    let purchases = table(&sources, "STREAMING.PUBLIC.PURCHASES");
    all.extend(events::streamed(&names, purchases, at(0), at(86_400)));
    for status in [EndStatus::Succeeded, EndStatus::Failed] {
        all.extend(events::transformed(&names, &lineage, &ended(1, status)));
    }
    all
}

#[test]
fn events_of_each_kind_are_those_that_the_judge_has_taken() {
    let mut text = String::new();
    for event in of_each_kind() {
        text.push_str(&format!("{event}\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/openlineage/events.ndjson");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).expect("a writable snapshot");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "the events have changed; UPDATE_SNAPSHOTS=1 accepts it, then run the tier of the judge");
}

#[test]
fn each_event_has_both_sides_and_ends_under_the_id_of_its_start() {
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    for event in of_each_kind() {
        let job = event["job"]["name"].as_str().expect("a job").to_owned();
        for side in ["inputs", "outputs"] {
            assert!(event[side].as_array().is_some_and(|side| !side.is_empty()), "{job} has no {side}");
        }
        let run = event["run"]["runId"].as_str().expect("an id").to_owned();
        match event["eventType"].as_str() {
            Some("START") => drop(open.insert(run, job)),
            _ => assert_eq!(open.remove(&run), Some(job), "{event}"),
        }
    }
    assert_eq!(open, BTreeMap::new(), "runs without an end");
}

#[test]
fn a_models_columns_name_the_columns_that_they_come_from() {
    let events = of_each_kind();
    let sales = events.iter().find(|event| event["job"]["name"] == "dbt.sales").expect("the model");
    let facet = &sales["outputs"][0]["facets"]["columnLineage"]["fields"]["TOTAL_GBP"]["inputFields"];
    let from = facet.as_array().expect("inputs").iter().find(|input| input["field"] == "LINE_GBP").expect("the lines");
    assert_eq!(from["name"], "ANALYTICS.MARTS.FCT_PURCHASES");
    assert_eq!(from["transformations"][0]["subtype"], "AGGREGATION");
    assert_eq!(sales["run"]["facets"]["parent"]["job"]["name"], "dbt");
    let loads = events.iter().filter(|event| event["job"]["name"] == "load.DLT.APPLICATION_DATA.PRODUCTS");
    let rows: Vec<&Value> =
        loads.map(|event| &event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"]).collect();
    assert_eq!(rows, [&json!(3), &json!(3), &Value::Null, &Value::Null]);
}

#[derive(Default)]
struct Ledger(RefCell<BTreeMap<u64, LoadFact>>);

impl LoadFacts for Ledger {
    async fn load_facts(&self, table: &TableId, _: usize) -> Result<BTreeMap<u64, LoadFact>> {
        Ok(if table.table == "PRODUCTS" { self.0.borrow().clone() } else { BTreeMap::new() })
    }
}

#[derive(Default)]
struct Mailbox {
    answer: Cell<Option<Kind>>,
    jobs: RefCell<Vec<String>>,
}

impl Sink for Mailbox {
    async fn send(&self, event: &Value) -> Result<()> {
        match self.answer.get() {
            None => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                self.jobs.borrow_mut().push(format!("{} {}", text(&event["job"]["name"]), text(&event["eventType"])));
                Ok(())
            }
            Some(Kind::InvalidData) => Err(Error::invalid_data("no").as_final()),
            Some(kind) => Err(Error::new(kind, "no")),
        }
    }
}

struct World {
    store: MemoryStore,
    ledger: Ledger,
    mailbox: Mailbox,
    clock: ManualClock,
    sources: Sources,
    lineage: Lineage,
    names: Names,
}

impl World {
    fn new() -> Self {
        World {
            store: MemoryStore::default(),
            ledger: Ledger::default(),
            mailbox: Mailbox::default(),
            clock: ManualClock(RefCell::new(at(1_000))),
            sources: sources(),
            lineage: Lineage::parse(LINEAGE).expect("a lineage"),
            names: names(),
        }
    }

    fn put(&self, key: &str, value: &impl serde::Serialize) {
        let body = serde_json::to_vec(value).expect("JSON");
        block_on(self.store.put(key, body.into())).expect("stored");
    }

    fn commit(&self, sequence: u64) {
        let products = table(&self.sources, "DLT.APPLICATION_DATA.PRODUCTS");
        let commit = commit(products, sequence);
        self.put(&lake::log_key(&products.table, Sequence(sequence)), &commit);
    }

    /// Jobs of which events were sent, and why the round ended early.
    fn round(&self) -> (Vec<String>, Option<String>) {
        let teller = Teller {
            store: &self.store,
            warehouse: &self.ledger,
            sink: &self.mailbox,
            clock: &self.clock,
            sources: &self.sources,
            lineage: &self.lineage,
            names: &self.names,
            until: at(1_000) + Duration::from_secs(60),
        };
        let told = block_on(teller.tell()).expect("a round");
        let of_streams = |job: &String| !job.starts_with("stream.");
        (self.mailbox.jobs.take().into_iter().filter(of_streams).collect(), told.stopped_by)
    }
}

fn both(job: &str, end: &str) -> Vec<String> {
    vec![format!("{job} START"), format!("{job} {end}")]
}

#[test]
fn a_round_tells_what_has_ended_since_the_last_and_nothing_twice() {
    let world = World::new();
    assert_eq!(world.round(), (vec![], None));
    world.commit(1);
    assert_eq!(world.round().0, both("extract.DLT.APPLICATION_DATA.PRODUCTS", "COMPLETE"));
    assert_eq!(world.round().0, Vec::<String>::new(), "its load has not ended");
    world.ledger.0.borrow_mut().insert(1, load(1, Some("a column is gone")));
    assert_eq!(world.round().0, both("load.DLT.APPLICATION_DATA.PRODUCTS", "FAIL"));
    // A reset has no rows and is not told; the commit after it is.
    world.commit(2);
    world.commit(3);
    world.ledger.0.borrow_mut().insert(3, load(3, None));
    let expected = [
        both("extract.DLT.APPLICATION_DATA.PRODUCTS", "COMPLETE"),
        both("load.DLT.APPLICATION_DATA.PRODUCTS", "COMPLETE"),
    ];
    assert_eq!(world.round().0, expected.concat());
    world.put(&lake::last_run_key(&table(&world.sources, "DLT.APPLICATION_DATA.PRODUCTS").table), &failed_run());
    assert_eq!(world.round().0, both("extract.DLT.APPLICATION_DATA.PRODUCTS", "FAIL"));
    assert_eq!(world.round().0, Vec::<String>::new());
}

#[test]
fn what_is_not_taken_is_due_again_and_what_is_refused_is_left_out() {
    let world = World::new();
    world.round();
    world.commit(1);
    world.mailbox.answer.set(Some(Kind::Unavailable));
    let (jobs, stopped_by) = world.round();
    assert_eq!((jobs.len(), stopped_by.is_some()), (0, true));
    world.mailbox.answer.set(None);
    assert_eq!(world.round().0, both("extract.DLT.APPLICATION_DATA.PRODUCTS", "COMPLETE"));
    world.commit(3);
    world.mailbox.answer.set(Some(Kind::InvalidData));
    assert_eq!(world.round(), (vec![], None));
    world.mailbox.answer.set(None);
    assert_eq!(world.round().0, Vec::<String>::new());
}
