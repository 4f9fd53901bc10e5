use serde_json::json;
use sluice_core::{Change, Commit, Cursor, Reset, RunId, Sequence, Sources, Table, extract::Parts};
use sluice_pipeline::{
    account::KeyAge,
    aside::AsideCount,
    observe::{Latency, LoadFailure, Untaken},
    runs::LastRun,
    split::Progress,
};

use super::*;
use crate::commands::status::{LoadState, NewestCommit, stream::Partition};

pub(crate) fn table() -> Table {
    let sources = Sources::parse(include_str!("../../../../../platform/sources.yaml")).expect("valid sources");
    sources.tables[0].clone()
}

pub(crate) fn commit(sequence: u64) -> Commit {
    serde_json::from_value(json!({
        "format_version": 1, "lake_id": "l", "table": "A.B.C", "sequence": sequence, "run_id": "r", "loader": "copy",
        "disposition": "merge", "key": ["id"], "schema": [{"name": "id", "type": "bigint"}],
        "schema_fingerprint": "id:bigint", "rows": 0, "files": [],
        "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
    }))
    .expect("a commit")
}

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

fn change() -> Change {
    let change = json!({"kind": "new", "column": "colour", "to": "text", "action": "evolved"});
    serde_json::from_value(change).expect("a change")
}

/// The longest names and the largest numbers that are likely.
fn full() -> Status {
    let commit = NewestCommit {
        sequence: 12_345,
        run_id: RunId("r".into()),
        committed_at: at(0),
        rows: 123_456_789,
        rejected: 1_234,
        cursor: Some(Cursor(json!({"done": ["x".repeat(200)]}))),
        reset: Some(Reset {
            to: Sequence(3),
            by: "arn:aws:iam::1:user/u".into(),
            reason: "a mistake".into(),
            erased_before: None,
        }),
        drift: vec![change()],
    };
    let failure = LoadFailure { sequence: 7, reason: Some("rows differ\nfrom".into()), at: Some(at(60)) };
    let waiting = FailedAttempt {
        sequence: Sequence(12_344),
        at: at(117),
        kind: "Config".into(),
        reason: "the warehouse says: Access Denied ".repeat(9),
        hint: None,
    };
    let load = LoadState {
        newest: Some(12_340),
        pending: 5,
        failed: 1,
        last_failure: Some(failure),
        waiting: Some(waiting),
        untaken: Some(Untaken { sequence: 9, reason: "rows not taken, because ".repeat(9), at: Some(at(60)) }),
    };
    let split = Progress {
        sequence: Sequence(12_346),
        run_id: RunId("r2".into()),
        planned_at: at(100),
        parts: Parts { done: 3, of: 800 },
    };
    let partition = Partition {
        topic: "purchases".into(),
        partition: 2,
        rows: 123_456_789,
        highest_offset: 987_654_321,
        committed_offset: Some(987_654_322),
        lag: Some(1_234),
        refused: Some(3),
        newest_event: Some(at(119)),
        newest_row: None,
    };
    let latency = Some(Latency { p50: 240, p95: 1_900, p99: 61_000 });
    Status {
        platform: "sluice-prod in us-east-1".into(),
        at: at(120),
        tables: vec![
            TableStatus {
                table: "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES".parse().expect("a table"),
                paused: Some(true),
                commit: Some(commit),
                split: Some(split),
                load: Some(load),
                stream: None,
                streams: false,
                last_run: Some(LastRun {
                    run_id: RunId("r3".into()),
                    ended_at: at(110),
                    outcome: None,
                    emptied: true,
                    failure: Some(Failure {
                        kind: "Auth".into(),
                        reason: "the API refuses the key ".repeat(9),
                        hint: None,
                        runs: 12,
                        since: at(60),
                    }),
                }),
                source_problem: None,
                put_aside: Some(AsideCount { rows: 2, newest: Some(at(117)) }),
            },
            TableStatus {
                table: "STREAMING.PUBLIC.PURCHASES".parse().expect("a table"),
                paused: None,
                commit: None,
                split: None,
                load: None,
                streams: true,
                last_run: None,
                source_problem: Some("PROBLEM: Function call failed".into()),
                put_aside: None,
                stream: Some(StreamStatus {
                    partitions: vec![partition],
                    lag: Some(1_234),
                    lag_problem: None,
                    throughput: Throughput { last_five_minutes: 12.34, last_hour: 0.0 },
                    latency_ms: latency,
                }),
            },
        ],
        account: Some(AccountStatus {
            run_id: RunId("r4".into()),
            at: at(60),
            differences: 1,
            summary: "1 difference: warehouse LOADING".into(),
            keys: vec![KeyAge { user: "SLUICE_LOADER".into(), set_at: Some(at(0) - TimeDelta::days(97)) }],
        }),
        dbt: Some(DbtRun {
            number: 3,
            status: "succeeded".into(),
            selectors: "source:a+ ".repeat(30),
            started_at: None,
            finished_at: Some(at(118)),
        }),
        activation: Some(activate::State { last: Some(activate::tests::report()), stopped: None }),
        problems: vec![format!("cannot connect{}; try again", " to the warehouse".repeat(12))],
    }
}

#[test]
fn the_status_fits_a_hundred_columns_whatever_it_holds() {
    let mut read = full();
    if let Some(commit) = &mut read.tables[0].commit {
        commit.reset = None;
    }
    if let Some(stream) = &mut read.tables[1].stream {
        (stream.lag, stream.lag_problem) = (None, Some("cannot connect to Kafka ".repeat(9)));
    }
    let text = format!("{}\n{}", status(&full()), status(&read));
    assert!(text.contains("behind: not told; rows per second") && text.contains("\nlag: cannot connect"), "{text}");
    assert!(text.contains("  123,456,789  1,234  "), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn everything_that_needs_a_person_is_told() {
    let text = status(&full());
    for part in [
        "sluice-prod in us-east-1, 1970-01-01 02:00:00 UTC",
        "#12345   2h  reset  1,234  #12340        5  failing",
        "failing   EXCHANGE_RATES: the last 12 runs, since 1h ago; 10m ago: Auth: the API refuses the key",
        "failing   PURCHASES: PROBLEM: Function call failed",
        "no answer: cannot connect to the warehouse",
        "; try again",
        "emptied   EXCHANGE_RATES: 10m ago the source's table had no row",
        "failed    EXCHANGE_RATES: #7 1h ago: rows differ from",
        "untaken   EXCHANGE_RATES: #9 1h ago: rows not taken, because",
        "waiting   EXCHANGE_RATES: #12344, last tried 3m ago: Config: the warehouse says: Access Denied",
        "aside     EXCHANGE_RATES: 2 rows do not count, put aside 3m ago; `sluice rejects` says why",
        "drift     EXCHANGE_RATES: 'colour' is new (text)",
        "reading   EXCHANGE_RATES: #12346 in parts 3/800, planned 20m ago",
        "reset     EXCHANGE_RATES: to #3 by arn:aws:iam::1:user/u: a mistake",
        "987654322  1,234  123,456,789        3     1m    -",
        "behind by 1,234 records; rows per second: 12.3 (5m), 0.0 (1h)",
        "p50 240ms, p95 1.9s, p99 1m",
        "dbt: run 3 succeeded 2m ago (source:a+",
        "account: 1 difference: warehouse LOADING, 1h ago",
        "old key: 97 days; `sluice warehouse rotate SLUICE_LOADER` gives another",
        "activation: run 7 stopped (60 %",
        "  seen by the extract: 1,000 as written, 2 overwritten since, 30 not yet",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn an_empty_platform_is_told_as_such() {
    let mut empty = full();
    (empty.dbt, empty.account) = (None, None);
    empty.problems.clear();
    empty.tables[0].commit = None;
    empty.tables[0].last_run = None;
    empty.tables[0].load = Some(LoadState::default());
    let none = Throughput { last_five_minutes: 0.0, last_hour: 0.0 };
    empty.tables[1].stream =
        Some(StreamStatus { partitions: Vec::new(), lag: None, lag_problem: None, throughput: none, latency_ms: None });
    let text = status(&empty);
    assert!(text.contains("account: not looked at yet"), "{text}");
    assert!(text.contains("dbt: no run yet") && text.contains("PURCHASES: no rows yet"), "{text}");
    assert!(text.contains("behind: not told"), "{text}");
    assert!(text.contains("paused") && !text.contains("no answer"), "{text}");
}

#[test]
fn a_platform_whose_warehouse_is_away_shows_what_the_lake_knows() {
    let mut broken = full();
    broken.dbt = None;
    for table in &mut broken.tables {
        (table.load, table.stream) = (None, None);
    }
    let text = status(&broken);
    assert!(text.contains("#12345") && text.contains("no answer: cannot connect"), "{text}");
    assert!(!text.contains("PURCHASES  "), "a streaming table is no line among those with commits: {text}");
}
