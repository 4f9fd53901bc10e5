use bytes::Bytes;
use futures::executor::block_on;
use serde_json::{Value, json};
use sluice_core::{Kind, Sources, lake};

use super::*;
use crate::fakes::{Faults, ManualClock, MemoryStore};

fn table(loader: &str) -> Table {
    let yaml = format!(
        "tables: [{{table: A.B.C, description: d, source: {{kind: currencies}}, columns: [{{name: n, type: bigint, \
         required: true}}], loader: {loader}, disposition: merge, key: [n]}}]"
    );
    Sources::parse(&yaml).expect("valid sources").tables.remove(0)
}

/// A commit of two rows with a data file and a reject, read from this cursor on; `whole_since` began the whole read that it
/// ends.
fn put(store: &MemoryStore, sequence: u64, cursor_from: Value, whole_since: Option<u64>) {
    let path = |what: &str| format!("{what}/run-{sequence}");
    let data = format!("{}{}", lake::data_prefix(&table("copy").table), path("x"));
    let rejects = path("rejected/A/B/C");
    let mut commit = json!({
        "format_version": 1, "lake_id": "lake", "table": "A.B.C", "sequence": sequence, "run_id": "an extract",
        "loader": "copy", "disposition": "merge", "key": ["n"], "schema": [{"name": "n", "type": "bigint"}],
        "schema_fingerprint": "n:bigint", "rows": 2, "rejected": {"rows": 1, "path": rejects},
        "files": [{"path": data, "rows": 2, "bytes": 100, "checksum": "c"}], "cursor_from": cursor_from,
        "cursor_to": sequence, "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
    });
    if let Some(since) = whole_since {
        commit["whole_since"] = since.into();
    }
    let mut objects = store.objects.borrow_mut();
    objects.insert(data, Bytes::from("a person"));
    objects.insert(rejects, Bytes::from("a person"));
    objects.insert(lake::log_key(&table("copy").table, Sequence(sequence)), Bytes::from(commit.to_string()));
}

/// Two commits, a read from the beginning, and one more.
fn store() -> MemoryStore {
    let store = MemoryStore::default();
    for (sequence, cursor_from, since) in
        [(1, Value::Null, Some(1)), (2, json!(1), None), (3, Value::Null, Some(3)), (4, json!(3), None)]
    {
        put(&store, sequence, cursor_from, since);
    }
    store
}

fn erased(store: &MemoryStore) -> Result<Sequence> {
    let (lake, run, table) = (LakeId("lake".into()), RunId("r".into()), table("copy"));
    let plan = block_on(plan(store, &table))?;
    block_on(erase(store, &ManualClock::default(), &lake, &table, &run, &plan, ("somebody", "request 7")))
}

/// The sequences whose files are there.
fn left(store: &MemoryStore) -> Vec<String> {
    let holds =
        |(key, body): (&String, &Bytes)| (body == "a person").then(|| key.rsplit_once('-').map(|(_, n)| n.to_owned()));
    store.objects.borrow().iter().filter_map(holds).flatten().collect()
}

#[test]
fn files_from_before_the_last_whole_read_are_erased_and_no_commit() {
    let store = store();
    let before = block_on(plan(&store, &table("copy"))).expect("a plan");
    assert_eq!((before.read_whole, before.objects.len(), before.rows, before.bytes), (Sequence(3), 4, 4, 200));
    assert_eq!(erased(&store).expect("erased"), Sequence(5));
    assert_eq!(left(&store), ["3", "4", "3", "4"]);
    let newest = block_on(log::newest_commit(&store, &table("copy").table)).expect("a log").expect("a commit");
    assert_eq!((newest.cursor_to, newest.rows), (Some(sluice_core::Cursor(json!(4))), 0), "the cursor stays");
    let said = newest.reset.expect("who and why");
    assert_eq!(
        (said.by.as_str(), said.reason.contains("before 3") && said.reason.contains("request 7")),
        ("somebody", true)
    );
    for sequence in 1..=4 {
        block_on(log::read_commit(&store, &table("copy").table, Sequence(sequence))).expect("the commits stay");
    }
    let after = block_on(plan(&store, &table("copy"))).expect("a plan");
    assert_eq!(after.read_whole, Sequence(3), "what says it is no read");
}

#[test]
fn only_a_whole_read_that_has_ended_replaces_what_lies_before() {
    let before_whole = |store: &MemoryStore| block_on(plan(store, &table("copy"))).map(|plan| plan.read_whole.0);
    let store = MemoryStore::default();
    // A cursor that was moved to the beginning and a read from a value on, or commits of an earlier version.
    put(&store, 1, Value::Null, None);
    put(&store, 2, Value::Null, None);
    let refused = before_whole(&store).expect_err("nothing says that it was whole");
    assert!(refused.kind() == Kind::NotFound && refused.hint().is_some(), "{refused:?}");
    put(&store, 3, json!(2), Some(1));
    // A refresh under way.
    put(&store, 4, Value::Null, None);
    assert_eq!(before_whole(&store).expect("the read before it"), 1);
    put(&store, 5, json!(4), None);
    put(&store, 6, json!(5), Some(4));
    put(&store, 7, json!(6), None);
    assert_eq!(before_whole(&store).expect("the refresh"), 4);
    erased(&store).expect("erased");
    assert_eq!(left(&store), ["4", "5", "6", "7", "4", "5", "6", "7"], "no part of the refresh is gone");
}

#[test]
fn whichever_call_fails_an_erasure_done_again_ends_it() {
    let calls = {
        let store = store();
        erased(&store).expect("erased");
        store.faults.calls()
    };
    for call in 0..calls {
        for after_acting in [false, true] {
            let mut store = store();
            store.faults = Faults::at(call, after_acting);
            let first = erased(&store);
            store.faults = Faults::none();
            if left(&store) != ["1", "2", "3", "4", "1", "2", "3", "4"] {
                let newest =
                    block_on(log::newest_commit(&store, &table("copy").table)).expect("a log").expect("a commit");
                assert!(newest.reset.is_some(), "nothing is gone without a reason: {first:?}");
            }
            erased(&store).expect("erased");
            assert_eq!(left(&store), ["3", "4", "3", "4"], "call {call}");
        }
    }
}

#[test]
fn a_streaming_table_and_one_without_commits_are_refused() {
    let streaming = Table { loader: Loader::Streaming, ..table("copy") };
    assert_eq!(block_on(plan(&store(), &streaming)).expect_err("no commits").kind(), Kind::Unsupported);
    let empty = block_on(plan(&MemoryStore::default(), &table("copy")));
    assert_eq!(empty.expect_err("no commit").kind(), Kind::NotFound);
}

#[test]
fn rates_are_of_no_person_and_stay() {
    let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
    let rates = sources.tables.iter().find(|table| table.source.kind() == "exchange_rates").expect("rates");
    let error = block_on(plan(&store(), rates)).expect_err("refused");
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn what_a_killed_proof_has_left_goes_with_an_erasure() {
    let store = store();
    let left = lake::data_key(&table("copy").table, &RunId("prove-1".into()), 0);
    store.objects.borrow_mut().insert(left.clone(), "a person".into());
    erased(&store).expect("erased");
    assert!(!store.objects.borrow().contains_key(&left));
}
