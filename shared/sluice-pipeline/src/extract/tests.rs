use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use sluice_core::{Cursor, DataFile, Kind, Rejected, TableId, lake::data_key, sources::Sources};

use super::*;
use crate::fakes::{Faults, ManualClock, MemoryBus, MemoryStore};

/// A source of numbered rows; the cursor is how many have been read.
struct Counter<'a> {
    rows: u64,
    store: &'a MemoryStore,
}

impl Source for Counter<'_> {
    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        let from: u64 = run.cursor.map(|cursor| cursor.decode()).transpose()?.unwrap_or(0);
        if from == self.rows {
            return Ok(Extracted { cursor: run.cursor.cloned(), ..Extracted::default() });
        }
        let path = data_key(&run.table.table, run.run_id, 0);
        let rows = self.rows - from;
        let body: Vec<u64> = (from..self.rows).collect();
        self.store.put(&path, Bytes::from(serde_json::to_vec(&body).expect("json"))).await?;
        let file = DataFile { path, rows, bytes: 1, checksum: "c".into(), values: Vec::new() };
        let whole_since = run.cursor.is_none().then_some(run.sequence);
        let cursor = Some(Cursor::encode(&self.rows)?);
        Ok(Extracted { files: vec![file], cursor, whole_since, ..Extracted::default() })
    }

    async fn plan(&mut self, run: &ExtractRun<'_>) -> Result<Plan> {
        let from: u64 = run.cursor.map(|cursor| cursor.decode()).transpose()?.unwrap_or(0);
        Ok(Plan { rows: Some(self.rows - from), ..Plan::default() })
    }
}

fn table() -> Table {
    let yaml = "tables: [{table: A.B.C, description: d, source: {kind: currencies}, loader: copy, disposition: append,
        columns: [{name: n, type: bigint}]}]";
    Sources::parse(yaml).expect("valid sources").tables.remove(0)
}

fn request() -> ExtractRequest {
    serde_json::from_value(json!({"time": "2026-01-01T00:00:00Z", "table": "A.B.C"})).expect("a request")
}

fn extract(store: &MemoryStore, rows: u64, run_id: &str) -> Result<ExtractSummary> {
    block_on(extract_from(store, &mut Counter { rows, store }, run_id))
}

async fn extract_from(store: &MemoryStore, source: &mut impl Source, run_id: &str) -> Result<ExtractSummary> {
    run_request(store, source, run_id, &request()).await
}

async fn run_request(
    store: &MemoryStore,
    source: &mut impl Source,
    run_id: &str,
    request: &ExtractRequest,
) -> Result<ExtractSummary> {
    let (lake, run_id) = (LakeId("lake".into()), RunId(run_id.into()));
    run(store, &MemoryBus::default(), &ManualClock::default(), source, &lake, &table(), &run_id, request).await
}

/// The rows of all commits, in the order of the log.
fn committed(store: &MemoryStore) -> Vec<u64> {
    let id: TableId = "A.B.C".parse().expect("a table");
    let newest = block_on(log::newest_commit(store, &id)).expect("a readable log");
    let mut rows = Vec::new();
    for sequence in 1..=newest.map_or(0, |commit| commit.sequence.0) {
        for file in block_on(log::read_commit(store, &id, Sequence(sequence))).expect("a commit").files {
            rows.extend(serde_json::from_slice::<Vec<u64>>(&store.objects.borrow()[&file.path]).expect("json"));
        }
    }
    rows
}

#[test]
fn a_run_commits_what_is_new_and_nothing_when_nothing_is() {
    let store = MemoryStore::default();
    assert_eq!(extract(&store, 3, "r1").expect("a run").sequence, Some(Sequence(1)));
    assert_eq!(extract(&store, 3, "r2").expect("a run").outcome, Outcome::NothingNew);
    assert_eq!(extract(&store, 5, "r3").expect("a run").sequence, Some(Sequence(2)));
    assert_eq!(committed(&store), [0, 1, 2, 3, 4]);
    let commit = |sequence| block_on(log::read_commit(&store, &table().table, Sequence(sequence))).expect("a commit");
    assert_eq!([commit(1).whole_since, commit(2).whole_since], [Some(Sequence(1)), None], "as the source says");
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_a_run_would_read() {
    let store = MemoryStore::default();
    extract(&store, 3, "r1").expect("a run");
    let before = store.objects.borrow().clone();
    let dry = ExtractRequest { dry_run: true, ..request() };
    let summary = block_on(run_request(&store, &mut Counter { rows: 5, store: &store }, "dry", &dry)).expect("a plan");
    assert_eq!((summary.outcome, summary.rows, summary.sequence), (Outcome::DryRun, 2, None));
    assert_eq!(summary.plan.and_then(|plan| plan.rows), Some(2));
    assert_eq!(*store.objects.borrow(), before);
}

#[test]
fn a_source_that_knows_no_behind_refuses_to_read_for_a_proof() {
    let store = MemoryStore::default();
    extract(&store, 3, "r1").expect("a run");
    let before = store.objects.borrow().clone();
    let aside = ExtractRequest { aside: Some(sluice_core::extract::AsideRows::Behind), ..request() };
    let refused = block_on(run_request(&store, &mut Counter { rows: 5, store: &store }, "proof", &aside));
    let refused = refused.expect_err("a refusal");
    assert!(refused.kind() == Kind::Unsupported && refused.is_about_request(), "{refused}");
    assert_eq!(*store.objects.borrow(), before);
}

#[test]
fn a_replaced_table_is_read_whole_by_each_run() {
    let store = MemoryStore::default();
    let replaced = Table { disposition: Disposition::Replace, ..table() };
    for (rows, run_id) in [(3, "r1"), (5, "r2"), (4, "r3")] {
        let (lake, run_id, request) = (LakeId("lake".into()), RunId(run_id.into()), request());
        let (bus, clock, mut source) = (MemoryBus::default(), ManualClock::default(), Counter { rows, store: &store });
        let run = run(&store, &bus, &clock, &mut source, &lake, &replaced, &run_id, &request);
        assert_eq!(block_on(run).expect("a run").rows, rows);
        let commit = block_on(log::newest_commit(&store, &replaced.table)).expect("a log").expect("a commit");
        assert_eq!((commit.cursor_from, commit.cursor_to), (None, Some(Cursor(json!(rows)))));
    }
    assert_eq!(committed(&store), [0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3]);
}

/// A source of rows that keep the contract and of rows that break it; the cursor is how many there are.
struct Judged<'a> {
    kept: u64,
    broken: u64,
    store: &'a MemoryStore,
}

impl Source for Judged<'_> {
    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        let mut kept = Counter { rows: self.kept, store: self.store };
        let read = kept.read(&ExtractRun { cursor: None, ..*run }).await?;
        let path = lake::rejected_key(&run.table.table, run.run_id);
        let rejected = (self.broken > 0).then(|| Rejected::one(self.broken, path));
        Ok(Extracted { rejected, cursor: Some(Cursor::encode(&(self.kept + self.broken))?), ..read })
    }
}

fn judged(
    store: &MemoryStore,
    disposition: Disposition,
    (kept, broken): (u64, u64),
    run_id: &str,
) -> Result<ExtractSummary> {
    let (lake, run_id, request) = (LakeId("lake".into()), RunId(run_id.into()), request());
    let (bus, clock, table) = (MemoryBus::default(), ManualClock::default(), Table { disposition, ..table() });
    let mut source = Judged { kept, broken, store };
    block_on(run(store, &bus, &clock, &mut source, &lake, &table, &run_id, &request))
}

#[test]
fn a_replaced_table_whose_rows_are_all_rejected_keeps_its_rows() {
    let store = MemoryStore::default();
    judged(&store, Disposition::Replace, (3, 0), "r1").expect("a run");
    let before = store.objects.borrow().clone();
    let refused = judged(&store, Disposition::Replace, (0, 7), "r2").expect_err("a broken contract");
    assert_eq!(refused.kind(), Kind::InvalidData);
    for part in ["all 7 rows", "table=A.B.C", "rejects=rejected/A/B/C/r2.ndjson.zst"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert_eq!(*store.objects.borrow(), before, "nothing is committed");
    let some = judged(&store, Disposition::Replace, (2, 7), "r3").expect("a run");
    assert_eq!((some.outcome, some.rows, some.rejected), (Outcome::Committed, 2, 7));
}

#[test]
fn a_replaced_table_may_be_empty_and_any_other_commits_its_rejects() {
    let store = MemoryStore::default();
    judged(&store, Disposition::Replace, (3, 0), "r1").expect("a run");
    let empty = judged(&store, Disposition::Replace, (0, 0), "r2").expect("an empty source");
    assert_eq!((empty.outcome, empty.rows), (Outcome::Committed, 0));
    for disposition in [Disposition::Merge, Disposition::Append] {
        let store = MemoryStore::default();
        let rejected = judged(&store, disposition, (0, 7), "r1").expect("a run");
        assert_eq!((rejected.outcome, rejected.rows, rejected.rejected), (Outcome::Committed, 0, 7));
    }
}

/// Reads the whole table each time; the cursor tells one content from another.
struct Whole<'a> {
    content: &'static str,
    rows: u64,
    store: &'a MemoryStore,
}

impl Source for Whole<'_> {
    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        let all = Counter { rows: self.rows, store: self.store }.read(run).await?;
        Ok(Extracted { cursor: Some(Cursor(self.content.into())), ..all })
    }
}

#[test]
fn a_replaced_table_of_the_same_content_is_not_committed_again() {
    let store = MemoryStore::default();
    let replaced = Table { disposition: Disposition::Replace, ..table() };
    let with_another_column = {
        let mut table = replaced.clone();
        table.columns.0.push(sluice_core::Column::optional("m", sluice_core::ColumnType::Text));
        table
    };
    let refresh = ExtractRequest { full_refresh: true, ..request() };
    let ended = |content, rows, table: &Table, request: &ExtractRequest, run_id: &str| {
        let (lake, run_id) = (LakeId("lake".into()), RunId(run_id.into()));
        let (bus, clock) = (MemoryBus::default(), ManualClock::default());
        let mut source = Whole { content, rows, store: &store };
        let summary = block_on(run(&store, &bus, &clock, &mut source, &lake, table, &run_id, request)).expect("a run");
        (summary.outcome, summary.rows)
    };
    assert_eq!(ended("a", 3, &replaced, &request(), "r1"), (Outcome::Committed, 3));
    assert_eq!(ended("a", 3, &replaced, &request(), "r2"), (Outcome::NothingNew, 0));
    assert_eq!(ended("b", 3, &replaced, &request(), "r3"), (Outcome::Committed, 3));
    assert_eq!(ended("b", 3, &with_another_column, &request(), "r4"), (Outcome::Committed, 3));
    assert_eq!(ended("b", 3, &with_another_column, &request(), "r5"), (Outcome::NothingNew, 0));
    assert_eq!(ended("b", 3, &with_another_column, &refresh, "r6"), (Outcome::Committed, 3));
}

#[test]
fn a_quiet_source_is_said_to_have_been_looked_at_twice_a_day() {
    for (disposition, rows_again) in [(Disposition::Append, 0), (Disposition::Replace, 3)] {
        let (store, bus, clock) = (MemoryStore::default(), MemoryBus::default(), ManualClock::default());
        let table = Table { disposition, ..table() };
        let ended = |hours: u64, run_id: &str| {
            clock.advance(std::time::Duration::from_secs(hours * 3600));
            let (lake, run_id) = (LakeId("lake".into()), RunId(run_id.into()));
            let (mut whole, mut counter) =
                (Whole { content: "a", rows: 3, store: &store }, Counter { rows: 3, store: &store });
            let summary = match disposition {
                Disposition::Replace => {
                    block_on(run(&store, &bus, &clock, &mut whole, &lake, &table, &run_id, &request()))
                }
                _ => block_on(run(&store, &bus, &clock, &mut counter, &lake, &table, &run_id, &request())),
            };
            let summary = summary.expect("a run");
            (summary.outcome, summary.rows)
        };
        assert_eq!(ended(0, "r1"), (Outcome::Committed, 3));
        assert_eq!(ended(11, "r2"), (Outcome::NothingNew, 0));
        assert_eq!(ended(1, "r3"), (Outcome::Committed, rows_again), "{disposition:?}");
        assert_eq!(ended(11, "r4"), (Outcome::NothingNew, 0), "that commit counts");
        let newest = block_on(log::newest_commit(&store, &table.table)).expect("a log").expect("a commit");
        let first = block_on(log::read_commit(&store, &table.table, Sequence::FIRST)).expect("a commit");
        assert_eq!(
            (newest.sequence, newest.cursor_to),
            (Sequence(2), first.cursor_to),
            "the next run reads from there"
        );
    }
}

#[test]
fn a_request_for_the_whole_table_that_finds_no_rows_commits_nothing() {
    let (store, bus, clock) = (MemoryStore::default(), MemoryBus::default(), ManualClock::default());
    let whole = ExtractRequest { full_refresh: true, ..request() };
    let ended = |rows, request: &ExtractRequest, run_id: &str| {
        let (lake, run_id, mut source) = (LakeId("lake".into()), RunId(run_id.into()), Counter { rows, store: &store });
        let summary = block_on(run(&store, &bus, &clock, &mut source, &lake, &table(), &run_id, request));
        summary.expect("a run").outcome
    };
    assert_eq!(ended(3, &request(), "r1"), Outcome::Committed);
    clock.advance(std::time::Duration::from_secs(13 * 3600));
    assert_eq!(ended(0, &whole, "r2"), Outcome::NothingNew);
    assert_eq!(ended(3, &request(), "r3"), Outcome::Committed, "it says nothing of what is new");
}

#[test]
fn a_replaced_table_is_not_read_from_a_value_on() {
    struct Numbered<'a>(Counter<'a>);
    impl Source for Numbered<'_> {
        const STARTS_FROM_A_VALUE: bool = true;
        async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
            self.0.read(run).await
        }
    }
    for (disposition, refused) in [(Disposition::Merge, None), (Disposition::Replace, Some(Kind::Unsupported))] {
        let store = MemoryStore::default();
        let (lake, run_id, table) = (LakeId("lake".into()), RunId("r".into()), Table { disposition, ..table() });
        let (bus, clock) = (MemoryBus::default(), ManualClock::default());
        let mut source = Numbered(Counter { rows: 3, store: &store });
        let from = ExtractRequest { from_cursor: Some("2".into()), ..request() };
        let ended = block_on(run(&store, &bus, &clock, &mut source, &lake, &table, &run_id, &from));
        assert_eq!(ended.err().map(|error| error.kind()), refused);
    }
}

#[test]
fn a_value_to_start_from_is_refused_by_sources_without_one() {
    let store = MemoryStore::default();
    let from = ExtractRequest { from_cursor: Some("7".into()), ..request() };
    let refused = block_on(run_request(&store, &mut Counter { rows: 5, store: &store }, "r", &from));
    let refused = refused.expect_err("no cursor column");
    assert!(refused.kind() == Kind::Unsupported && refused.is_about_request(), "{refused}");
    assert!(store.objects.borrow().is_empty());
}

#[test]
fn whichever_call_fails_running_again_commits_every_row_once() {
    for after_acting in [false, true] {
        let mut call = 0;
        loop {
            let faults = Faults::at(call, after_acting);
            let store = MemoryStore { objects: Default::default(), faults };
            let first = extract(&store, 3, "r1");
            let struck = store.faults.calls() > call;
            let store = MemoryStore { objects: store.objects, faults: Faults::none() };
            extract(&store, 4, "r2").expect("the second run");
            assert_eq!(committed(&store), [0, 1, 2, 3], "call {call}, after acting: {after_acting}, first: {first:?}");
            if !struck {
                break;
            }
            call += 1;
        }
        assert!(call >= 3, "the fault must have struck the list, the data and the commit");
    }
}

#[test]
fn of_two_overlapping_runs_one_commits_and_the_other_says_conflict() {
    struct Overtaken<'a>(Counter<'a>);
    impl Source for Overtaken<'_> {
        async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
            let mut faster = Counter { rows: 2, store: self.0.store };
            extract_from(self.0.store, &mut faster, "faster").await.expect("the other run");
            self.0.read(run).await
        }
    }
    let store = MemoryStore::default();
    let mut source = Overtaken(Counter { rows: 2, store: &store });
    let slower = block_on(extract_from(&store, &mut source, "slower"));
    assert_eq!(slower.expect_err("a conflict").kind(), Kind::Conflict);
    assert_eq!(committed(&store), [0, 1]);
}

#[test]
fn a_lost_answer_to_the_commit_is_recognised_as_our_own() {
    let store = MemoryStore { objects: Default::default(), faults: Faults::at(2, true) };
    let error = extract(&store, 2, "r1").expect_err("the answer was lost");
    assert_eq!(error.kind(), Kind::Unavailable);
    let store = MemoryStore { objects: store.objects, faults: Faults::none() };
    let commit = block_on(log::newest_commit(&store, &"A.B.C".parse().expect("a table"))).expect("a log").expect("one");
    let again = block_on(log::put_once(&store, &lake::log_key(&commit.table, commit.sequence), Vec::new(), |body| {
        Commit::decode(body).is_ok_and(|existing| existing.run_id == commit.run_id)
    }));
    assert_eq!(again.expect("a readable object"), Put::Ours);
}

mod drift;
