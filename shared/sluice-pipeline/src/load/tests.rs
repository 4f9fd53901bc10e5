use std::cell::{Cell, RefCell};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::executor::block_on;
use serde_json::json;
use sluice_core::{TableId, lake};

use super::*;
use crate::fakes::{Faults, ManualClock, MemoryBus, MemoryQueue, MemoryStore};

const ENTRIES: &str = "
tables:
  - table: A.B.C
    description: d
    source: { kind: currencies }
    loader: copy
    disposition: append
    columns: [{ name: n, type: bigint }]
";

/// A warehouse of one table: its rows, its ledger, and a pipe that needs a moment.
#[derive(Default)]
struct OneTable {
    ledger: RefCell<Option<LedgerState>>,
    rows: Cell<u64>,
    /// Rows that the pipe loads of those committed; `None` until files are submitted.
    piped: Cell<Option<u64>>,
    pipe_loses: u64,
    /// It loads all rows, but not all of their values.
    pipe_loses_values: bool,
    /// How long ago the commit was submitted, by the warehouse's clock.
    age: Cell<Duration>,
    /// The pipe never says anything.
    silent: bool,
    /// The pipe may not read its files.
    denied: Cell<bool>,
    /// Whether the target has the commit's columns.
    prepared: Cell<bool>,
    /// What the warehouse says to every load, and whether that is final.
    refusal: Option<(Kind, bool)>,
    faults: Faults,
}

impl Warehouse for OneTable {
    const OVERDUE_HINT: &'static str = "fix the pipe";

    async fn ledger(&self, _: &LakeId, _: &CommitRef, _: Option<&RunId>) -> Result<LedgerState> {
        self.faults.call(|| match self.ledger.borrow().clone() {
            Some(LedgerState::Submitted { .. }) => LedgerState::Submitted { age: self.age.get() },
            state => state.unwrap_or(LedgerState::Absent),
        })
    }

    async fn prepare(&self, _: &Commit, contract: &Schema) -> Result<()> {
        assert_eq!(contract.fingerprint(), "n:bigint");
        self.faults.call(|| self.prepared.set(true))
    }

    async fn copy(&self, commit: &Commit) -> Result<Copied> {
        if let Some((kind, is_final)) = self.refusal {
            let error = Error::new(kind, "the warehouse refuses");
            return Err(if is_final { error.as_final() } else { error });
        }
        self.faults.call(|| {
            assert!(self.prepared.get(), "rows came before their columns");
            if self.ledger.replace(Some(LedgerState::Loaded { rows: commit.rows })).is_none() {
                self.rows.set(self.rows.get() + commit.rows);
            }
            Copied { rows: commit.rows, merged_away: 0 }
        })
    }

    async fn submit(&self, commit: &Commit) -> Result<()> {
        self.faults.call(|| {
            self.ledger.borrow_mut().get_or_insert(LedgerState::Submitted { age: Duration::ZERO });
            assert!(self.prepared.get(), "rows came before their columns");
            if self.piped.get().is_none() {
                self.piped.set(Some(commit.rows - self.pipe_loses));
                self.rows.set(self.rows.get() + commit.rows - self.pipe_loses);
            }
        })
    }

    async fn progress(&self, _: &Commit) -> Result<LoadProgress> {
        self.faults.call(|| match self.piped.get() {
            _ if self.silent => LoadProgress::Unknown,
            None => LoadProgress::Unknown,
            Some(_) if self.denied.get() => LoadProgress::Unread { reason: "Access Denied".into() },
            Some(rows) => LoadProgress::Loaded { rows },
        })
    }

    async fn compare(&self, _: &Commit) -> Result<()> {
        match self.pipe_loses_values {
            true => Err(Error::invalid_data("a column lacks values").as_final()),
            false => self.faults.call(|| ()),
        }
    }

    async fn record_outcome(&self, _: &Commit, state: &LedgerState) -> Result<()> {
        self.faults.call(|| drop(self.ledger.replace(Some(state.clone()))))
    }

    async fn refuse(&self, _: &LakeId, _: &CommitRef, reason: &str) -> Result<()> {
        let state = LedgerState::Failed { reason: reason.to_owned() };
        self.faults.call(|| drop(self.ledger.replace(Some(state))))
    }

    async fn forget_failure(&self, _: &LakeId, _: &CommitRef) -> Result<()> {
        self.faults.call(|| drop(self.ledger.borrow_mut().take_if(|state| matches!(state, LedgerState::Failed { .. }))))
    }

    async fn known(&self, _: &LakeId, _: &TableId, since: DateTime<Utc>) -> Result<Vec<u64>> {
        self.faults.call(|| match &*self.ledger.borrow() {
            Some(LedgerState::Loaded { .. } | LedgerState::Failed { .. }) => vec![1],
            Some(LedgerState::Submitted { .. }) if ManualClock::default().now() - self.age.get() >= since => vec![1],
            _ => Vec::new(),
        })
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

/// Runs the loop with these ports.
fn with<T>(
    (store, warehouse, bus): (&MemoryStore, &OneTable, &MemoryBus),
    queue: &MemoryQueue,
    run: impl AsyncFnOnce(&Load<'_, MemoryStore, OneTable, MemoryBus, MemoryQueue, ManualClock>) -> T,
) -> T {
    let (sources, lake) = (Sources::parse(ENTRIES).expect("valid sources"), LakeId("lake".into()));
    let (sources, lake_id, clock) = (&sources, &lake, &ManualClock::default());
    let poll_policy = PollPolicy { poll: Duration::from_secs(30), limit: Duration::from_secs(3_600) };
    block_on(run(&Load { store, warehouse, bus, queue, clock, sources, lake_id, poll_policy }))
}

fn deliver(store: &MemoryStore, warehouse: &OneTable, bus: &MemoryBus) -> Result<Loaded> {
    with((store, warehouse, bus), &MemoryQueue::default(), async |load| load.commit(&at()).await)
}

#[test]
fn a_replayed_delivery_loads_nothing_and_announces_again_with_the_same_id() {
    let (store, warehouse, bus) = (store("copy"), OneTable::default(), MemoryBus::default());
    assert_eq!(
        deliver(&store, &warehouse, &bus).expect("a load"),
        Loaded::Done { rows: 5, merged_away: 0, already: false }
    );
    assert_eq!(
        deliver(&store, &warehouse, &bus).expect("a replay"),
        Loaded::Done { rows: 5, merged_away: 0, already: true }
    );
    assert_eq!(warehouse.rows.get(), 5);
    let ids: Vec<_> = bus.announced.borrow().iter().map(|a| a.detail["id"].clone()).collect();
    assert_eq!(ids, ["A.B.C#1", "A.B.C#1"]);
}

/// Fails each call of each port in turn, before and after it acts, alone and with the first call of the bus.
fn with_each_fault(loader: &str, refusal: Option<(Kind, bool)>, check: impl Fn(&MemoryStore, &OneTable, &MemoryBus)) {
    for (port, name) in ["store", "warehouse", "bus"].into_iter().enumerate() {
        for (after_acting, bus_too) in [(false, false), (false, true), (true, false), (true, true)] {
            let fails_at = |call| {
                let fault = |at| match at {
                    _ if at == port => Faults::at(call, after_acting),
                    2 if bus_too => Faults::at(0, after_acting),
                    _ => Faults::none(),
                };
                let store = MemoryStore { faults: fault(0), ..store(loader) };
                let warehouse = OneTable { faults: fault(1), refusal, ..OneTable::default() };
                let bus = MemoryBus { faults: fault(2), ..MemoryBus::default() };
                check(&store, &warehouse, &bus);
                [&store.faults, &warehouse.faults, &bus.faults][port].calls() > call
            };
            let struck = (0..50).take_while(|call| fails_at(*call)).count();
            assert!((1..50).contains(&struck), "{loader}: {struck} faults of the {name} struck");
        }
    }
}

#[test]
fn whichever_call_fails_the_next_deliveries_load_once_and_announce() {
    for loader in ["copy", "snowpipe"] {
        with_each_fault(loader, None, |store, warehouse, bus| {
            // The first deliveries may fail; the queue delivers again until one succeeds.
            let done = (0..6).any(|_| matches!(deliver(store, warehouse, bus), Ok(Loaded::Done { .. })));
            assert!(done, "{loader}: never done");
            assert_eq!(warehouse.rows.get(), 5, "{loader}");
            assert_eq!(*warehouse.ledger.borrow(), Some(LedgerState::Loaded { rows: 5 }));
            assert!(!bus.announced.borrow().is_empty(), "{loader}: never announced");
        });
    }
}

#[test]
fn a_pipes_load_whose_values_are_not_all_there_fails_for_good() {
    let warehouse = OneTable { pipe_loses_values: true, ..OneTable::default() };
    let (store, bus) = (store("snowpipe"), MemoryBus::default());
    assert!(matches!(deliver(&store, &warehouse, &bus), Ok(Loaded::LookAgain(_))));
    for known in [false, true] {
        let (reason, already) = failure(deliver(&store, &warehouse, &bus));
        assert!(already == known && reason.contains("lacks values"), "{reason}");
    }
}

/// The reason of a commit that has failed for good, and whether that was known before.
fn failure(loaded: Result<Loaded>) -> (String, bool) {
    match loaded.expect("an end") {
        Loaded::Failed { reason, already } => (reason, already),
        other => panic!("{other:?} is no failure"),
    }
}

fn told(bus: &MemoryBus) -> Vec<(&'static str, serde_json::Value)> {
    bus.announced.borrow().iter().map(|a| (a.detail_type, a.detail["kind"].clone())).collect()
}

#[test]
fn a_pipe_that_loses_rows_fails_the_commit_for_good() {
    let (store, bus) = (store("snowpipe"), MemoryBus::default());
    let warehouse = OneTable { pipe_loses: 1, ..OneTable::default() };
    assert_eq!(deliver(&store, &warehouse, &bus).expect("submitted"), Loaded::LookAgain(Duration::from_secs(30)));
    for known in [false, true] {
        let (reason, already) = failure(deliver(&store, &warehouse, &bus));
        assert_eq!(already, known);
        assert!(reason.contains("4 rows of 5"), "{reason}");
    }
    assert_eq!(told(&bus), [("LoadFailed", "InvalidData".into())]);
}

#[test]
fn a_pipe_that_never_answers_is_waited_for_up_to_the_limit() {
    let (store, bus) = (store("snowpipe"), MemoryBus::default());
    let warehouse = OneTable { silent: true, ..OneTable::default() };
    for age in [0, 30, 3_599] {
        warehouse.age.set(Duration::from_secs(age));
        let looked = deliver(&store, &warehouse, &bus).expect("not yet");
        assert_eq!(looked, Loaded::LookAgain(Duration::from_secs(30)), "after {age} s");
    }
    warehouse.age.set(Duration::from_secs(3_600));
    let error = deliver(&store, &warehouse, &bus).expect_err("overdue");
    assert!(error.chain().contains("within 3600 seconds") && error.hint().is_some(), "{error:?}");
    assert!(matches!(*warehouse.ledger.borrow(), Some(LedgerState::Submitted { .. })), "it is not over");
    assert!(told(&bus).is_empty());
}

#[test]
fn files_that_a_pipe_may_not_read_are_submitted_again_and_load() {
    let (store, bus) = (store("snowpipe"), MemoryBus::default());
    let warehouse = OneTable { denied: Cell::new(true), ..OneTable::default() };
    for age in [0, 60] {
        warehouse.age.set(Duration::from_secs(age));
        assert_eq!(deliver(&store, &warehouse, &bus).expect("not yet"), Loaded::LookAgain(Duration::from_secs(30)));
    }
    warehouse.age.set(Duration::from_secs(7_200));
    let error = deliver(&store, &warehouse, &bus).expect_err("overdue");
    assert!(error.chain().contains("Access Denied") && !error.is_final(), "{error:?}");
    warehouse.denied.set(false);
    assert_eq!(
        deliver(&store, &warehouse, &bus).expect("a load"),
        Loaded::Done { rows: 5, merged_away: 0, already: false }
    );
    assert_eq!(told(&bus).len(), 1);
}

#[test]
fn what_can_never_load_ends_in_the_ledger_and_is_announced_once() {
    for kind in [Kind::InvalidData, Kind::SchemaMismatch, Kind::Unsupported] {
        let (store, bus) = (store("copy"), MemoryBus::default());
        let warehouse = OneTable { refusal: Some((kind, true)), ..OneTable::default() };
        assert!(!failure(deliver(&store, &warehouse, &bus)).1);
        assert!(failure(deliver(&store, &warehouse, &bus)).1);
        assert_eq!(told(&bus), [("LoadFailed", kind.as_str().into())]);
    }
}

#[test]
fn whatever_nobody_called_final_is_delivered_again_and_loads_then() {
    for kind in Kind::ALL {
        let (store, bus) = (store("copy"), MemoryBus::default());
        let mut warehouse = OneTable { refusal: Some((kind, false)), ..OneTable::default() };
        assert_eq!(deliver(&store, &warehouse, &bus).expect_err("not yet").kind(), kind);
        assert!(warehouse.ledger.borrow().is_none() && bus.announced.borrow().is_empty());
        warehouse.refusal = None;
        assert_eq!(
            deliver(&store, &warehouse, &bus).expect("a load"),
            Loaded::Done { rows: 5, merged_away: 0, already: false }
        );
    }
}

#[test]
fn a_hopeless_commit_is_announced_before_it_is_recorded_at_any_fault() {
    with_each_fault("copy", Some((Kind::InvalidData, true)), |store, warehouse, bus| {
        let done = (0..6).any(|_| {
            let ended = deliver(store, warehouse, bus);
            if warehouse.ledger.borrow().is_some() {
                assert!(!bus.announced.borrow().is_empty(), "recorded and not announced");
            }
            matches!(ended, Ok(Loaded::Failed { .. }))
        });
        assert!(done, "never done");
    });
}

#[test]
fn a_truncated_commit_fails_for_good_and_a_missing_one_may_still_come() {
    let (store, warehouse, bus) = (store("copy"), OneTable::default(), MemoryBus::default());
    let key = lake::log_key(&at().table, at().sequence);
    let whole = store.objects.borrow()[&key].clone();
    store.objects.borrow_mut().remove(&key);
    assert_eq!(deliver(&store, &warehouse, &bus).expect_err("missing").kind(), Kind::NotFound);
    store.objects.borrow_mut().insert(key, whole.slice(..whole.len() / 2));
    for known in [false, true] {
        assert_eq!(failure(deliver(&store, &warehouse, &bus)).1, known);
    }
    assert_eq!(told(&bus), [("LoadFailed", "InvalidData".into())]);
    assert_eq!(warehouse.rows.get(), 0);
}

#[test]
fn a_sweep_asks_again_for_what_the_ledger_does_not_know() {
    let (store, mut warehouse, bus) = (store("snowpipe"), OneTable::default(), MemoryBus::default());
    let swept = |warehouse: &OneTable| {
        let queue = MemoryQueue::default();
        with((&store, warehouse, &bus), &queue, async |load| load.handle(&Work::Sweep).await).expect("a sweep");
        queue.sent.take()
    };
    let again = [(json!({"table": "A.B.C", "sequence": 1}), Duration::ZERO)];
    assert_eq!(swept(&warehouse), again, "nobody has heard of it");
    warehouse.silent = true;
    deliver(&store, &warehouse, &bus).expect("submitted");
    assert_eq!(swept(&warehouse), [], "it is being followed");
    warehouse.age.set(Duration::from_secs(3_601));
    assert_eq!(swept(&warehouse), again, "nobody follows it any more");
    *warehouse.ledger.borrow_mut() = Some(LedgerState::Loaded { rows: 5 });
    assert_eq!(swept(&warehouse), [], "it is loaded");
}

#[test]
fn why_an_attempt_failed_is_kept_in_the_lake() {
    let (store, bus) = (store("copy"), MemoryBus::default());
    let warehouse = OneTable { refusal: Some((Kind::Config, false)), ..OneTable::default() };
    let (work, queue) = (Work::Load(vec![at()]), MemoryQueue::default());
    with((&store, &warehouse, &bus), &queue, async |load| load.handle(&work).await).expect_err("not yet");
    let kept = block_on(attempts::last(&store, &at().table)).expect("readable").expect("an attempt");
    assert_eq!((kept.sequence, kept.kind.as_str()), (at().sequence, "Config"));
}

#[test]
fn a_failed_commit_loads_only_after_somebody_has_said_so() {
    let (store, bus) = (store("copy"), MemoryBus::default());
    let mut warehouse = OneTable { refusal: Some((Kind::InvalidData, true)), ..OneTable::default() };
    failure(deliver(&store, &warehouse, &bus));
    warehouse.refusal = None;
    let handle = |work: Work| {
        let queue = MemoryQueue::default();
        with((&store, &warehouse, &bus), &queue, async |load| load.handle(&work).await).expect("handled");
        warehouse.rows.get()
    };
    assert_eq!(handle(Work::Load(vec![at()])), 0);
    assert_eq!(handle(Work::Retry(at())), 5);
    assert_eq!(handle(Work::Retry(at())), 5, "what is loaded stays loaded");
}
