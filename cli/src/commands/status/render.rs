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
pub(super) mod tests;
