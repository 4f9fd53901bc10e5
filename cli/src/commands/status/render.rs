//! The status as text that fits a terminal: a line per table, then what deserves a sentence.

use chrono::{DateTime, TimeDelta, Utc};

use sluice_pipeline::{
    account::{AccountStatus, KEY_DAYS},
    attempts::FailedAttempt,
    observe::DbtRun,
    runs::Failure,
};

use super::{Status, StreamStatus, TableStatus, stream::Throughput};
use crate::{
    commands::activate,
    cursor,
    output::{self, Side, WIDTH, age, duration, shortened, thousands},
};

pub(super) fn status(status: &Status) -> String {
    let now = status.at;
    let mut parts = vec![format!("{}, {}", status.platform, now.format("%Y-%m-%d %H:%M:%S UTC"))];
    parts.push(tables(&status.tables, now));
    let notes: Vec<String> = status.tables.iter().flat_map(|table| notes(table, now)).collect();
    if !notes.is_empty() {
        parts.push(notes.join("\n"));
    }
    for table in &status.tables {
        if let Some(stream) = &table.stream {
            parts.push(streaming(table, stream, now));
        }
    }
    parts.push(match &status.dbt {
        None if !status.problems.is_empty() => "dbt: not told".to_owned(),
        run => dbt(run.as_ref(), now),
    });
    parts.push(account(status.account.as_ref(), now));
    if let Some(activation) = &status.activation {
        parts.push(activate::in_status(activation, now));
    }
    if !status.problems.is_empty() {
        parts.push(status.problems.iter().map(|problem| no_answer(problem)).collect::<Vec<_>>().join("\n"));
    }
    parts.join("\n\n")
}

/// On as many lines as it takes: what is to be done stands at the end.
fn no_answer(problem: &str) -> String {
    let mut lines = vec![String::from("no answer:")];
    for word in problem.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {}", shortened(word, WIDTH - 2))),
        }
    }
    lines.join("\n")
}

fn tables(tables: &[TableStatus], now: DateTime<Utc>) -> String {
    let columns = [
        ("TABLE", Side::Left),
        ("COMMIT", Side::Right),
        ("AGE", Side::Right),
        ("ROWS", Side::Right),
        ("REJ", Side::Right),
        ("LOADED", Side::Right),
        ("PENDING", Side::Right),
        ("RUNS", Side::Left),
    ];
    let row = |table: &TableStatus| {
        let commit = table.commit.as_ref();
        let of_commit = |text: &dyn Fn(&super::NewestCommit) -> String| commit.map_or_else(|| "-".to_owned(), text);
        let load = table.load.as_ref();
        vec![
            table.table.to_string(),
            of_commit(&|commit| format!("#{}", commit.sequence)),
            of_commit(&|commit| age(now, commit.committed_at)),
            of_commit(&|commit| if commit.reset.is_some() { "reset".into() } else { thousands(commit.rows) }),
            of_commit(&|commit| thousands(commit.rejected)),
            load.and_then(|load| load.newest).map_or_else(|| "-".to_owned(), |newest| format!("#{newest}")),
            load.map_or_else(|| "-".to_owned(), |load| load.pending.to_string()),
            match (table.paused, failure(table)) {
                (_, Some(_)) => "failing".to_owned(),
                (None, None) => "-".to_owned(),
                (Some(true), None) => "paused".to_owned(),
                (Some(false), None) => "on".to_owned(),
            },
        ]
    };
    output::table(&columns, &tables.iter().filter(|table| !table.streams).map(row).collect::<Vec<_>>())
}

/// Why a table's runs fail; `None` when the last one did not.
fn failure(table: &TableStatus) -> Option<&Failure> {
    table.last_run.as_ref()?.failure.as_ref()
}

/// Cursor, reset, drift and failures: a line each.
fn notes(table: &TableStatus, now: DateTime<Utc>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |what: &str, text: String| {
        notes.push(shortened(&format!("{what:<8}  {}: {text}", table.table.table), WIDTH));
    };
    if let Some(commit) = &table.commit {
        if let Some(cursor) = &commit.cursor {
            note("cursor", cursor::in_words(&cursor.0));
        }
        if let Some(reset) = &commit.reset {
            note("reset", format!("to #{} by {}: {}", reset.to, reset.by, reset.reason));
        }
        for change in &commit.drift {
            note("drift", change.to_string());
        }
    }
    if let Some(split) = &table.split {
        let begun = age(now, split.planned_at);
        let parts = split.parts;
        note("reading", format!("#{} in parts {}/{}, planned {begun} ago", split.sequence, parts.done, parts.of));
    }
    if let Some(run) = table.last_run.as_ref().filter(|run| run.emptied) {
        let found = age(now, run.ended_at);
        note("emptied", format!("{found} ago the source's table had no row; the raw table keeps what was read of it"));
    }
    if let (Some(run), Some(failure)) = (&table.last_run, failure(table)) {
        let (ended, since) = (age(now, run.ended_at), age(now, failure.since));
        let several = format!("the last {} runs, since {since} ago", failure.runs);
        let runs = if failure.runs == 1 { "the last run".to_owned() } else { several };
        note("failing", format!("{runs}; {ended} ago: {}: {}", failure.kind, failure.reason));
    }
    if let Some(problem) = &table.source_problem {
        note("failing", problem.clone());
    }
    if let Some(attempt) = table.load.as_ref().and_then(|load| load.waiting.as_ref()) {
        let FailedAttempt { sequence, kind, reason, .. } = attempt;
        note("waiting", format!("#{sequence}, last tried {} ago: {kind}: {reason}", age(now, attempt.at)));
    }
    if let Some(failure) = table.load.as_ref().and_then(|load| load.last_failure.as_ref()) {
        let when = failure.at.map_or_else(String::new, |at| format!(" {} ago", age(now, at)));
        let reason = failure.reason.as_deref().unwrap_or("no reason kept");
        note("failed", format!("#{}{when}: {reason}", failure.sequence));
    }
    if let Some(untaken) = table.load.as_ref().and_then(|load| load.untaken.as_ref()) {
        let when = untaken.at.map_or_else(String::new, |at| format!(" {} ago", age(now, at)));
        note("untaken", format!("#{}{when}: {}", untaken.sequence, untaken.reason));
    }
    if let Some(aside) = &table.put_aside {
        let rows = if aside.rows == 1 { "1 row does".to_owned() } else { format!("{} rows do", thousands(aside.rows)) };
        let when = aside.newest.map_or_else(String::new, |at| format!(", put aside {} ago", age(now, at)));
        note("aside", format!("{rows} not count{when}; `sluice rejects` says why"));
    }
    notes
}

fn streaming(table: &TableStatus, stream: &StreamStatus, now: DateTime<Utc>) -> String {
    let columns = [
        ("STREAM", Side::Left),
        ("TOPIC", Side::Left),
        ("PART", Side::Right),
        ("COMMITTED", Side::Right),
        ("LAG", Side::Right),
        ("ROWS", Side::Right),
        ("REFUSED", Side::Right),
        ("EVENT", Side::Right),
        ("ROW", Side::Right),
    ];
    let ago = |at: Option<DateTime<Utc>>| at.map_or_else(|| "-".to_owned(), |at| age(now, at));
    let rows: Vec<Vec<String>> = stream
        .partitions
        .iter()
        .map(|partition| {
            let highest = i64::try_from(partition.highest_offset).ok();
            vec![
                table.table.to_string(),
                partition.topic.clone(),
                partition.partition.to_string(),
                partition.committed_offset.or(highest).map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
                partition.lag.map_or_else(|| "-".to_owned(), thousands),
                thousands(partition.rows),
                partition.refused.map_or_else(|| "-".to_owned(), thousands),
                ago(partition.newest_event),
                ago(partition.newest_row),
            ]
        })
        .collect();
    let mut text = match rows.is_empty() {
        true => format!("{}: no rows yet", table.table),
        false => output::table(&columns, &rows),
    };
    let behind = match stream.lag {
        None => "behind: not told".to_owned(),
        Some(records) => format!("behind by {} records", thousands(records)),
    };
    let Throughput { last_five_minutes, last_hour } = stream.throughput;
    text.push_str(&format!("\n{behind}; rows per second: {last_five_minutes:.1} (5m), {last_hour:.1} (1h)"));
    if let Some(problem) = &stream.lag_problem {
        text.push('\n');
        text.push_str(&shortened(&format!("lag: {problem}"), WIDTH));
    }
    if let Some(latency) = stream.latency_ms {
        let time = |ms: u64| duration(TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX)));
        text.push_str(&format!(
            "\nrows of the last hour, event to append: p50 {}, p95 {}, p99 {}",
            time(latency.p50),
            time(latency.p95),
            time(latency.p99)
        ));
    }
    if table.paused == Some(true) {
        text.push_str("\npaused: its event source is off");
    }
    text
}

/// Whether the warehouse's account is as its file says, and the key that is to be given another first.
fn account(account: Option<&AccountStatus>, now: DateTime<Utc>) -> String {
    let Some(account) = account else { return "account: not looked at yet".to_owned() };
    let looked = age(now, account.at);
    let mut lines = vec![match account.differences {
        0 => format!("account: as its file says, {looked} ago"),
        _ => shortened(&format!("account: {}, {looked} ago", account.summary), WIDTH),
    }];
    if let Some((key, days)) = account.oldest_key().and_then(|key| Some((key, key.days(now)?))) {
        lines.push(match days {
            KEY_DAYS.. => format!("old key: {} days; `sluice warehouse rotate {}` gives another", days, key.user),
            1 => format!("oldest key: 1 day ({})", key.user),
            _ => format!("oldest key: {days} days ({})", key.user),
        });
    }
    lines.join("\n")
}

fn dbt(run: Option<&DbtRun>, now: DateTime<Utc>) -> String {
    let Some(run) = run else { return "dbt: no run yet".to_owned() };
    let when = run.finished_at.or(run.started_at).map_or_else(String::new, |at| format!(" {} ago", age(now, at)));
    let selectors = if run.selectors.is_empty() { "everything" } else { &run.selectors };
    shortened(&format!("dbt: run {} {}{when} ({selectors})", run.number, run.status), WIDTH)
}

#[cfg(test)]
pub(super) mod tests {
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
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
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
        empty.tables[1].stream = Some(StreamStatus {
            partitions: Vec::new(),
            lag: None,
            lag_problem: None,
            throughput: none,
            latency_ms: None,
        });
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
}
