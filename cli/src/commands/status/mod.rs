//! `sluice status`: how every table stands.

mod render;
mod stream;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::future;
use serde::Serialize;
use sluice_core::{Change, Commit, Cursor, Loader, Reset, RunId, Table, TableId};
use sluice_pipeline::{
    log,
    split::{self, Progress},
};
use sluice_snowflake::sql::observe;

use stream::StreamStatus;

use crate::{
    commands::{
        Context,
        ledger::{self, LoadFailure, Loads},
    },
    failure::Outcome,
    mappings::Mapping,
    output,
    platform::Warehouse,
    schedules::{Schedule, Schedules},
};

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The stack, and where it is.
    pub platform: String,
    pub at: DateTime<Utc>,
    pub tables: Vec<TableStatus>,
    pub dbt: Option<DbtRun>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableStatus {
    pub table: TableId,
    /// `None` when nothing in the stack would start it: no schedule, no event source.
    pub paused: Option<bool>,
    /// `None` before the first commit, and for streaming tables.
    pub commit: Option<NewestCommit>,
    /// The read under way that is divided among invocations.
    pub split: Option<Progress>,
    /// `None` for streaming tables.
    pub load: Option<LoadState>,
    pub stream: Option<StreamStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewestCommit {
    pub sequence: u64,
    pub run_id: RunId,
    pub committed_at: DateTime<Utc>,
    pub rows: u64,
    pub rejected: u64,
    pub cursor: Option<Cursor>,
    pub reset: Option<Reset>,
    pub drift: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadState {
    /// The highest loaded sequence.
    pub newest: Option<u64>,
    /// Commits that are neither loaded nor failed.
    pub pending: u64,
    pub failed: u64,
    pub last_failure: Option<LoadFailure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DbtRun {
    pub number: u64,
    pub status: String,
    pub selectors: String,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

pub async fn run(context: &Context<'_>) -> Outcome {
    let status = context.progress.spin("asking the lake and the warehouse", gather(context)).await?;
    output::print(context.json, &status, render::status)
}

async fn gather(context: &Context<'_>) -> Outcome<Status> {
    let platform = &context.platform;
    let store = platform.store()?;
    let warehouse = platform.warehouse().await?;
    let sources = &platform.place.sources.tables;
    let newest = future::try_join_all(sources.iter().map(|table| async {
        match table.loader {
            Loader::Streaming => Ok(None),
            _ => log::newest_commit(&store, &table.table).await.map_err(crate::failure::Failure::from),
        }
    }));
    let schedules = Schedules::of(&platform.place.aws, &platform.stack, &platform.place.sources)?;
    let (newest, loads, failures, schedules, dbt) = future::try_join5(
        newest,
        ledger::loads(&warehouse),
        ledger::failures(&warehouse),
        schedules.list(),
        dbt(&warehouse),
    )
    .await?;
    let streaming = match Mapping::of(&platform.place.aws, &platform.stack) {
        None => None,
        Some(mapping) => Some(!mapping.enabled().await?),
    };
    let mut tables = Vec::new();
    for (table, newest) in sources.iter().zip(newest) {
        let streams = table.loader == Loader::Streaming;
        let id = table.table.to_string();
        tables.push(TableStatus {
            table: table.table.clone(),
            split: if streams { None } else { split::progress(&store, table, newest.as_ref()).await? },
            paused: if streams { streaming } else { paused(&schedules, table) },
            load: (!streams).then(|| load_state(newest.as_ref(), loads.get(&id), failures.get(&id))),
            commit: newest.map(newest_commit),
            stream: if streams { Some(stream::status(context, &warehouse, table).await?) } else { None },
        });
    }
    Ok(Status { platform: platform.place.title(), at: Utc::now(), tables, dbt })
}

/// Paused when none of its schedules would run; `None` when it has none.
fn paused(schedules: &[Schedule], table: &Table) -> Option<bool> {
    let mut own = schedules.iter().filter(|schedule| schedule.table.as_ref() == Some(&table.table)).peekable();
    own.peek().is_some().then(|| own.all(|schedule| !schedule.enabled))
}

fn load_state(newest: Option<&Commit>, loads: Option<&Loads>, failure: Option<&LoadFailure>) -> LoadState {
    let loads = loads.cloned().unwrap_or_default();
    // Sequences are numbered without gaps, so what is neither loaded nor failed is the rest.
    let commits = newest.map_or(0, |commit| commit.sequence.0);
    LoadState {
        newest: loads.newest,
        pending: commits.saturating_sub(loads.loaded + loads.failed),
        failed: loads.failed,
        last_failure: failure.cloned(),
    }
}

fn newest_commit(commit: Commit) -> NewestCommit {
    let Commit { sequence, run_id, committed_at, rows, rejected, cursor_to, reset, drift, .. } = commit;
    NewestCommit {
        sequence: sequence.0,
        run_id,
        committed_at,
        rows,
        rejected: rejected.map_or(0, |rejected| rejected.rows),
        cursor: cursor_to,
        reset,
        drift,
    }
}

async fn dbt(warehouse: &Warehouse) -> Outcome<Option<DbtRun>> {
    let rows = warehouse.ask("status", &observe::dbt_runs(1)).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let text: BTreeMap<&str, String> =
        ["status", "selectors"].into_iter().filter_map(|name| Some((name, ledger::text(row, name)?))).collect();
    let text = |name: &str| text.get(name).cloned().unwrap_or_default();
    Ok(Some(DbtRun {
        number: ledger::number(row, "number")?,
        status: text("status"),
        selectors: text("selectors"),
        started_at: ledger::time(row, "started_at")?,
        finished_at: ledger::time(row, "finished_at")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_is_what_has_not_come_to_an_end() {
        let loads = Loads { newest: Some(5), loaded: 4, failed: 1 };
        let newest = render::tests::commit(7);
        let state = load_state(Some(&newest), Some(&loads), None);
        assert_eq!((state.pending, state.failed, state.newest), (2, 1, Some(5)));
        assert_eq!(load_state(Some(&newest), None, None).pending, 7);
        assert_eq!(load_state(None, None, None).pending, 0);
    }

    #[test]
    fn a_table_is_paused_when_none_of_its_schedules_would_run() {
        let table = render::tests::table();
        let schedule = |enabled| Schedule {
            name: "s".into(),
            table: Some(table.table.clone()),
            expression: "rate(1 hour)".into(),
            enabled,
            shared: false,
            is_off_for_all: false,
        };
        assert_eq!(paused(&[], &table), None);
        assert_eq!(paused(&[schedule(false), schedule(true)], &table), Some(false));
        assert_eq!(paused(&[schedule(false), schedule(false)], &table), Some(true));
    }
}
