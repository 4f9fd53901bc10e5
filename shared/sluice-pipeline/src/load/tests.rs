use std::cell::{Cell, RefCell};

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use sluice_core::{Kind, lake};

use super::*;
use crate::fakes::{Faults, MemoryBus, MemoryStore};

/// A warehouse of one table: its rows, its ledger, and a pipe that needs a moment.
#[derive(Default)]
struct OneTable {
    ledger: RefCell<Option<LedgerState>>,
    rows: Cell<u64>,
    /// Rows that the pipe loads of those committed; `None` until files are submitted.
    piped: Cell<Option<u64>>,
    pipe_loses: u64,
    faults: Faults,
}

impl Warehouse for OneTable {
    async fn ledger(&self, _: &LakeId, _: &CommitRef) -> Result<LedgerState> {
        self.faults.call(|| self.ledger.borrow().clone().unwrap_or(LedgerState::Absent))
    }

    async fn copy(&self, commit: &Commit) -> Result<u64> {
        self.faults.call(|| {
            if self.ledger.replace(Some(LedgerState::Loaded { rows: commit.rows })).is_none() {
                self.rows.set(self.rows.get() + commit.rows);
            }
            commit.rows
        })
    }

    async fn submit(&self, commit: &Commit) -> Result<()> {
        self.faults.call(|| {
            self.ledger.borrow_mut().get_or_insert(LedgerState::Submitted);
            if self.piped.get().is_none() {
                self.piped.set(Some(commit.rows - self.pipe_loses));
                self.rows.set(self.rows.get() + commit.rows - self.pipe_loses);
            }
        })
    }

    async fn progress(&self, _: &Commit) -> Result<PipeProgress> {
        self.faults.call(|| match self.piped.get() {
            None => PipeProgress::Unknown,
            Some(rows) => PipeProgress::Loaded { rows },
        })
    }

    async fn settle(&self, _: &Commit, state: &LedgerState) -> Result<()> {
        self.faults.call(|| drop(self.ledger.replace(Some(state.clone()))))
    }
}

fn store(loader: &str) -> MemoryStore {
    let commit = json!({
        "format_version": 1, "lake_id": "lake", "table": "A.B.C", "sequence": 1, "run_id": "r", "loader": loader,
        "disposition": "append", "key": [], "schema": [{"name": "n", "type": "bigint"}], "schema_fingerprint": "n:bigint",
        "rows": 5, "files": [{"path": "raw/A/B/C/data/r/part-00000.parquet", "rows": 5, "bytes": 9, "checksum": "x"}],
        "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
    });
    let store = MemoryStore::default();
    let key = lake::log_key(&at().table, at().sequence);
    store.objects.borrow_mut().insert(key, Bytes::from(commit.to_string()));
    store
}

fn at() -> CommitRef {
    CommitRef { table: "A.B.C".parse().expect("a table"), sequence: Sequence(1) }
}

fn deliver(store: &MemoryStore, warehouse: &OneTable, bus: &MemoryBus) -> Result<Loaded> {
    block_on(commit(store, warehouse, bus, &LakeId("lake".into()), &at(), Duration::from_secs(30)))
}

#[test]
fn a_replayed_delivery_loads_nothing_and_announces_again_with_the_same_id() {
    let (store, warehouse, bus) = (store("copy"), OneTable::default(), MemoryBus::default());
    assert_eq!(deliver(&store, &warehouse, &bus).expect("a load"), Loaded::Done { rows: 5, already: false });
    assert_eq!(deliver(&store, &warehouse, &bus).expect("a replay"), Loaded::Done { rows: 5, already: true });
    assert_eq!(warehouse.rows.get(), 5);
    let ids: Vec<_> = bus.announced.borrow().iter().map(|a| a.detail["id"].clone()).collect();
    assert_eq!(ids, ["A.B.C#1", "A.B.C#1"]);
}

#[test]
fn whichever_call_fails_the_next_deliveries_load_once_and_announce() {
    for loader in ["copy", "snowpipe"] {
        for after_acting in [false, true] {
            for call in 0..8 {
                let store = store(loader);
                let warehouse = OneTable { faults: Faults::at(call, after_acting), ..OneTable::default() };
                let bus = MemoryBus { faults: Faults::at(call / 4, after_acting), ..MemoryBus::default() };
                // The first deliveries may fail; the queue delivers again until one succeeds.
                let done = (0..6).any(|_| matches!(deliver(&store, &warehouse, &bus), Ok(Loaded::Done { .. })));
                assert!(done, "{loader}: never done, call {call}");
                assert_eq!(warehouse.rows.get(), 5, "{loader}: call {call}, after acting: {after_acting}");
                assert_eq!(*warehouse.ledger.borrow(), Some(LedgerState::Loaded { rows: 5 }));
                assert!(!bus.announced.borrow().is_empty(), "{loader}: never announced, call {call}");
            }
        }
    }
}

#[test]
fn a_pipe_that_loses_rows_fails_the_commit_for_good() {
    let (store, bus) = (store("snowpipe"), MemoryBus::default());
    let warehouse = OneTable { pipe_loses: 1, ..OneTable::default() };
    assert_eq!(deliver(&store, &warehouse, &bus).expect("submitted"), Loaded::LookAgain(Duration::from_secs(30)));
    for _ in 0..2 {
        let error = deliver(&store, &warehouse, &bus).expect_err("a row is missing");
        assert_eq!(error.kind(), Kind::InvalidData);
        assert!(error.to_string().contains("4 rows of 5"), "{error}");
    }
    assert!(bus.announced.borrow().is_empty());
}

#[test]
fn a_truncated_or_missing_commit_is_a_clear_error_and_loads_nothing() {
    let (store, warehouse, bus) = (store("copy"), OneTable::default(), MemoryBus::default());
    let key = lake::log_key(&at().table, at().sequence);
    let whole = store.objects.borrow()[&key].clone();
    store.objects.borrow_mut().insert(key.clone(), whole.slice(..whole.len() / 2));
    assert_eq!(deliver(&store, &warehouse, &bus).expect_err("truncated").kind(), Kind::InvalidData);
    store.objects.borrow_mut().remove(&key);
    assert_eq!(deliver(&store, &warehouse, &bus).expect_err("missing").kind(), Kind::NotFound);
    assert_eq!(warehouse.rows.get(), 0);
}
