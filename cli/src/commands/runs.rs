//! `sluice runs`: commits and their loads as one list, newest first.

use chrono::{DateTime, Utc};
use futures::future;
use serde::Serialize;
use sluice_core::{Commit, Loader, RunId, Sequence, TableId};
use sluice_pipeline::{log, observe::Entry};

use crate::{
    args::RunsArgs,
    commands::Context,
    failure::Outcome,
    output::{self, Side, age, thousands},
    warehouse::Observe,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Run {
    table: TableId,
    sequence: Sequence,
    run_id: RunId,
    /// `extract` or `reset`.
    kind: &'static str,
    committed_at: DateTime<Utc>,
    rows: u64,
    rejected: u64,
    files: usize,
    /// What the ledger says: `loaded`, `failed`, `submitted`; `pending` when it says nothing.
    load: String,
    loaded_at: Option<DateTime<Utc>>,
    reason: Option<String>,
}

pub(super) async fn run(context: &Context<'_>, args: &RunsArgs) -> Outcome {
    let platform = &context.platform;
    let only = args.table.as_deref().map(|name| platform.table(name)).transpose()?.map(|table| &table.table);
    let limit = usize::from(args.limit);
    let spinner = context.progress.spinner("reading the logs and the ledger");
    let store = platform.store()?;
    let tables = platform.place.sources.tables.iter().filter(|table| table.loader != Loader::Streaming);
    let tables: Vec<&TableId> =
        tables.map(|table| &table.table).filter(|id| only.is_none_or(|only| only == *id)).collect();
    let warehouse = platform.warehouse().await?;
    // Loads come later than their commits, so the newest commits are among the newest entries or not there at all; with
    // several tables the entries of a busy one may push out those of a quiet one, so each table is asked for.
    let logs = tables.iter().map(|table| async {
        let commits = newest_commits(&store, table, limit).await?;
        let entries = warehouse.recent(table, limit * 2).await?;
        Ok::<_, crate::failure::Failure>(commits.into_iter().map(|commit| run_of(commit, &entries)).collect::<Vec<_>>())
    });
    let mut runs: Vec<Run> = future::try_join_all(logs).await?.into_iter().flatten().collect();
    spinner.finish_and_clear();
    runs.sort_by(|a, b| (b.committed_at, &b.table, b.sequence).cmp(&(a.committed_at, &a.table, a.sequence)));
    runs.truncate(limit);
    output::print(context.json, &runs, |runs| render(runs, Utc::now()))
}

async fn newest_commits(store: &sluice_aws::S3Lake, table: &TableId, limit: usize) -> Outcome<Vec<Commit>> {
    let Some(newest) = log::newest_commit(store, table).await? else { return Ok(Vec::new()) };
    let last = newest.sequence.0;
    let first = last.saturating_sub(limit.saturating_sub(1) as u64).max(1);
    let reads = (first..last).rev().map(|sequence| log::read_commit(store, table, Sequence(sequence)));
    let mut commits = vec![newest];
    commits.extend(future::try_join_all(reads).await?);
    Ok(commits)
}

fn run_of(commit: Commit, entries: &std::collections::BTreeMap<u64, Entry>) -> Run {
    let entry = entries.get(&commit.sequence.0);
    Run {
        sequence: commit.sequence,
        run_id: commit.run_id,
        kind: if commit.reset.is_some() { "reset" } else { "extract" },
        committed_at: commit.committed_at,
        rows: commit.rows,
        rejected: commit.rejected.map_or(0, |rejected| rejected.rows),
        files: commit.files.len(),
        load: entry.map_or_else(|| "pending".to_owned(), |entry| entry.status.clone()),
        loaded_at: entry.filter(|entry| entry.status == "loaded").and_then(|entry| entry.at),
        reason: match commit.reset {
            Some(reset) => Some(format!("to #{} by {}: {}", reset.to, reset.by, reset.reason)),
            None => entry.and_then(|entry| entry.reason.clone()),
        },
        table: commit.table,
    }
}

fn render(runs: &[Run], now: DateTime<Utc>) -> String {
    if runs.is_empty() {
        return "no commits yet; `sluice run TABLE` makes the first".to_owned();
    }
    let columns = [
        ("TABLE", Side::Left),
        ("COMMIT", Side::Right),
        ("AGE", Side::Right),
        ("ROWS", Side::Right),
        ("REJ", Side::Right),
        ("FILES", Side::Right),
        ("LOAD", Side::Left),
        ("AFTER", Side::Right),
    ];
    let row = |run: &Run| {
        vec![
            run.table.to_string(),
            format!("#{}", run.sequence),
            age(now, run.committed_at),
            if run.kind == "reset" { "reset".to_owned() } else { thousands(run.rows) },
            thousands(run.rejected),
            run.files.to_string(),
            run.load.clone(),
            run.loaded_at.map_or_else(String::new, |at| output::duration(at - run.committed_at)),
        ]
    };
    let mut text = output::table(&columns, &runs.iter().map(row).collect::<Vec<_>>());
    for run in runs {
        if let Some(reason) = &run.reason {
            let line = format!("  {} #{} {}: {reason}", run.table, run.sequence, run.kind);
            text.push_str(&format!("\n{}", output::shortened(&line, output::WIDTH)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_runs_fits_and_gives_reasons() {
        let at = DateTime::UNIX_EPOCH;
        let run = Run {
            table: "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES".parse().expect("a table"),
            sequence: Sequence(12),
            run_id: RunId("r".into()),
            kind: "extract",
            committed_at: at,
            rows: 12_345_678,
            rejected: 7,
            files: 120,
            load: "submitted".into(),
            loaded_at: None,
            reason: None,
        };
        let reset = Run { kind: "reset", reason: Some("to #3 by me: a mistake".into()), ..run.clone() };
        let text = render(&[run, reset], at);
        assert!(text.lines().all(|line| line.chars().count() <= output::WIDTH), "{text}");
        assert!(text.contains("12,345,678") && text.contains("to #3 by me: a mistake"), "{text}");
        assert!(render(&[], at).contains("no commits yet"));
    }
}
