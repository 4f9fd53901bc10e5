use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use sluice_core::{
    Kind,
    drift::{self, Observed},
    sources::Sources,
};

use super::*;
use crate::fakes::{Faults, ManualClock, MemoryStore};

fn table(rest: &str) -> Table {
    let yaml = format!(
        "tables: [{{table: A.B.C, description: d, source: {{kind: currencies}}, columns: [{{name: n, type: bigint, required: true}}], {rest}}}]"
    );
    Sources::parse(&yaml).expect("valid sources").tables.remove(0)
}

fn merged() -> Table {
    table("loader: copy, disposition: merge, key: [n]")
}

/// A log of a number of commits, whose cursors are their numbers.
fn log_of(commits: u64) -> MemoryStore {
    let store = MemoryStore::default();
    for sequence in 1..=commits {
        put(&store, sequence);
    }
    store
}

fn put(store: &MemoryStore, sequence: u64) {
    let commit = json!({
        "format_version": 1, "lake_id": "lake", "table": "A.B.C", "sequence": sequence, "run_id": "an extract",
        "loader": "copy", "disposition": "merge", "key": ["n"], "schema": [{"name": "n", "type": "bigint"}],
        "schema_fingerprint": "n:bigint", "rows": 0, "files": [], "cursor_to": sequence,
        "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
    });
    let key = lake::log_key(&merged().table, Sequence(sequence));
    store.objects.borrow_mut().insert(key, Bytes::from(commit.to_string()));
}

fn reset(to: u64) -> Reset {
    Reset { to: Sequence(to), by: "somebody".into(), reason: "a test".into(), erased_before: None }
}

fn commit_plan(store: &MemoryStore, plan: &Plan, to: u64, run: &str) -> Result<Commit> {
    let (lake, run) = (LakeId("lake".into()), RunId(run.into()));
    block_on(commit(store, &ManualClock::default(), &lake, &merged(), &run, plan, &reset(to)))
}

fn newest(store: &MemoryStore) -> Commit {
    block_on(log::newest_commit(store, &merged().table)).expect("a readable log").expect("a commit")
}

#[test]
fn a_reset_is_one_more_commit_without_rows_and_with_the_earlier_cursor() {
    let store = log_of(3);
    let before = store.objects.borrow().clone();
    let plan = block_on(plan(&store, &merged(), Sequence(1))).expect("a plan");
    assert!(!plan.is_there());
    commit_plan(&store, &plan, 1, "r").expect("a reset");
    let newest = newest(&store);
    assert_eq!((newest.sequence, newest.rows, newest.files.len()), (Sequence(4), 0, 0));
    assert_eq!((newest.cursor_from, newest.cursor_to), (Some(Cursor(3.into())), Some(Cursor(1.into()))));
    assert_eq!(newest.reset, Some(reset(1)));
    let after = store.objects.borrow();
    assert!(before.iter().all(|(key, body)| after.get(key) == Some(body)), "a reset changes no earlier commit");
}

/// What a run leaves that has met new columns: one that evolved when it still was a text, and one that was left out.
fn put_drifted(store: &MemoryStore, sequence: u64) {
    put(store, sequence);
    let key = lake::log_key(&merged().table, Sequence(sequence));
    let mut commit: serde_json::Value = serde_json::from_slice(&store.objects.borrow()[&key]).expect("json");
    commit["schema"] = json!([{"name": "n", "type": "bigint"}, {"name": "extra", "type": "text"}]);
    commit["schema_fingerprint"] = "n:bigint,extra:text".into();
    commit["source_facts"] = json!({"snapshot": "1:1:", "observed_columns": shown("int4")});
    commit["drift"] = json!([
        {"kind": "new", "column": "extra", "to": "int4", "action": "evolved"},
        {"kind": "new", "column": "Odd", "to": "int4", "action": "ignored"}
    ]);
    store.objects.borrow_mut().insert(key, Bytes::from(commit.to_string()));
}

fn shown(extra: &str) -> serde_json::Value {
    json!([
        {"name": "n", "source_type": "int8", "becomes": "bigint"},
        {"name": "extra", "source_type": extra, "becomes": "bigint"},
        {"name": "Odd", "source_type": "int4", "becomes": "bigint"}
    ])
}

#[test]
fn a_reset_keeps_evolved_columns_and_the_drift_that_was_told() {
    let store = log_of(2);
    put_drifted(&store, 3);
    let before = newest(&store);
    let plan = block_on(plan(&store, &merged(), Sequence(1))).expect("a plan");
    commit_plan(&store, &plan, 1, "r").expect("a reset");
    let reset = newest(&store);
    assert_eq!((&reset.schema, &reset.drift), (&before.schema, &before.drift));
    assert_eq!(reset.schema_fingerprint, "n:bigint,extra:text");
    assert_eq!(serde_json::Value::from(reset.source_facts.clone()), json!({"observed_columns": shown("int4")}));

    // The raw column is a text and stays one, though its source is a number now; and nothing is news.
    let mut evolving = merged();
    evolving.contract = sluice_core::Mode::Evolve;
    let observed: Vec<Observed> = serde_json::from_value(shown("int4")).expect("columns");
    let drift = drift::compare(&evolving, Some(&reset), &observed);
    assert_eq!(drift.schema.fingerprint(), "n:bigint,extra:text");
    assert!(drift.news(Some(&reset)).is_empty(), "{:?}", drift.changes);
}

#[test]
fn done_twice_the_second_finds_the_cursor_where_it_should_be() {
    let store = log_of(3);
    let first = block_on(plan(&store, &merged(), Sequence(2))).expect("a plan");
    commit_plan(&store, &first, 2, "r1").expect("a reset");
    let second = block_on(plan(&store, &merged(), Sequence(2))).expect("a plan");
    assert!(second.is_there());
}

#[test]
fn zero_is_the_time_before_the_first_commit() {
    let plan = block_on(plan(&log_of(2), &merged(), Sequence(0))).expect("a plan");
    assert_eq!((plan.newest.cursor_to, plan.cursor_then), (Some(Cursor(2.into())), None));
}

#[test]
fn a_commit_that_came_in_between_ends_the_reset_in_a_conflict_and_stays() {
    let store = log_of(2);
    let plan = block_on(plan(&store, &merged(), Sequence(1))).expect("a plan");
    put(&store, 3);
    assert_eq!(commit_plan(&store, &plan, 1, "r").expect_err("a conflict").kind(), Kind::Conflict);
    assert_eq!(newest(&store).run_id, RunId("an extract".into()));
}

#[test]
fn whichever_call_fails_looking_and_trying_again_makes_one_reset() {
    for after_acting in [false, true] {
        for call in 0..4 {
            let store = MemoryStore { objects: log_of(3).objects, faults: Faults::at(call, after_acting) };
            let attempt = |run: &str| -> Result<()> {
                let plan = block_on(plan(&store, &merged(), Sequence(1)))?;
                if !plan.is_there() {
                    commit_plan(&store, &plan, 1, run)?;
                }
                Ok(())
            };
            let first = attempt("r1");
            assert!(first.is_err(), "the fault must have struck");
            attempt("r2").expect("the second attempt");
            let newest = newest(&store);
            assert_eq!(newest.sequence, Sequence(4), "call {call}, after acting: {after_acting}");
            assert_eq!(newest.cursor_to, Some(Cursor(1.into())));
        }
    }
}

#[test]
fn a_put_whose_answer_was_lost_on_the_way_is_known_as_our_own() {
    let store = log_of(2);
    let plan = block_on(plan(&store, &merged(), Sequence(1))).expect("a plan");
    commit_plan(&store, &plan, 1, "r").expect("a reset");
    // The client sends the same put again because it has not heard of the first.
    commit_plan(&store, &plan, 1, "r").expect("the same reset");
    assert_eq!(newest(&store).sequence, Sequence(3));
}

#[test]
fn what_has_no_cursor_or_would_count_twice_is_refused() {
    let kafka = "tables: [{table: A.B.C, description: d, source: {kind: kafka, topic: t}, loader: streaming,
        disposition: append, key: [n], columns: [{name: n, type: bigint, required: true}]}]";
    let streaming = Sources::parse(kafka).expect("valid sources").tables.remove(0);
    let replaced = table("loader: copy, disposition: replace, key: [n]");
    let keyless = table("loader: copy, disposition: append");
    for refused in [streaming, replaced, keyless] {
        let error = block_on(plan(&log_of(2), &refused, Sequence(1))).expect_err("no reset");
        assert_eq!(error.kind(), Kind::Unsupported);
    }
    let none = MemoryStore { objects: Default::default(), faults: Faults::none() };
    assert_eq!(block_on(plan(&none, &merged(), Sequence(1))).expect_err("no commit").kind(), Kind::NotFound);
    assert_eq!(block_on(plan(&log_of(2), &merged(), Sequence(9))).expect_err("no such").kind(), Kind::NotFound);
}
