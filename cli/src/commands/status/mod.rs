//! `sluice status`: how every table stands.

#[cfg(test)]
pub(crate) use render::tests::commit;

mod render;
mod stream;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::future;
use serde::Serialize;
use sluice_core::{Change, Commit, Cursor, Loader, Reset, RunId, Table, TableId, port::ObjectStore};
use sluice_pipeline::{
    account::{self, AccountStatus},
    aside::{Aside, AsideCount},
    attempts::{self, FailedAttempt},
    log,
    observe::{DbtRun, LoadFailure, TableLoads, Untaken},
    runs::{self, LastRun},
    split::{self, Progress},
};
use stream::StreamStatus;

use crate::{
    commands::{Context, activate},
    failure::Outcome,
    mappings::Mapping,
    output,
    schedules::{Schedule, Schedules},
    warehouse::{Observe, Warehouse},
};

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Status {
    /// The stack, and where it is.
    pub platform: String,
    pub at: DateTime<Utc>,
    pub tables: Vec<TableStatus>,
    pub dbt: Option<DbtRun>,
    /// What the last look at the warehouse's account has found; `None` before the first.
    pub account: Option<AccountStatus>,
    /// `None` where nothing was ever activated.
    pub activation: Option<activate::State>,
    /// Who was asked and gave no answer. What is above stands without it.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TableStatus {
    pub table: TableId,
    /// Whether records of a topic come into it, instead of an extract's commits.
    pub streams: bool,
    /// `None` when nothing in the stack would start it: no schedule, no event source.
    pub paused: Option<bool>,
    /// `None` before the first commit, and for streaming tables.
    pub commit: Option<NewestCommit>,
    /// How its last run ended; `None` before the first, and for streaming tables.
    pub last_run: Option<LastRun>,
    /// The read under way that is partitioned among invocations.
    pub split: Option<Progress>,
    /// `None` for streaming tables, and where the warehouse gives no answer.
    pub load: Option<LoadState>,
    pub stream: Option<StreamStatus>,
    /// What Lambda says of the topic's last batch, where that was not served.
    pub source_problem: Option<String>,
    /// Rows that an operator has put aside; `None` without any.
    pub put_aside: Option<AsideCount>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct NewestCommit {
    pub sequence: u64,
    pub run_id: RunId,
    pub committed_at: DateTime<Utc>,
    pub rows: u64,
    pub rejected: u64,
    pub cursor: Option<Cursor>,
    pub reset: Option<Reset>,
    pub drift: Vec<Change>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct LoadState {
    /// The highest loaded sequence.
    pub newest: Option<u64>,
    /// Commits that are neither loaded nor failed.
    pub pending: u64,
    pub failed: u64,
    pub last_failure: Option<LoadFailure>,
    /// Why a commit waits: the last attempt at one of the pending commits that failed.
    pub waiting: Option<FailedAttempt>,
    /// The newest commit of which the table has not taken rows, within two weeks.
    pub untaken: Option<Untaken>,
}

pub(super) async fn run(context: &Context<'_>) -> Outcome {
    let status = context.progress.spin("asking the lake and the warehouse", gather(context)).await?;
    output::print(context.json, &status, render::status)
}

/// Everything that answers. What does not is told beside it: a platform of which a part is broken is the one that is asked.
async fn gather(context: &Context<'_>) -> Outcome<Status> {
    let platform = &context.platform;
    let mut problems = Problems::default();
    let sources = &platform.place.sources.tables;
    let store = platform.store()?;
    let lake = future::join_all(sources.iter().map(|table| in_lake(&store, table)));
    let warehouse = problems.answered(platform.warehouse().await);
    let (lake, asked, schedules, mappings) =
        future::join4(lake, ask(warehouse.as_ref()), schedules(context), streaming(context)).await;
    let loads = asked.and_then(|asked| problems.answered(asked));
    let mut asides = match &warehouse {
        Some(warehouse) if loads.is_some() => {
            problems.answered(warehouse.asides().await.map_err(Into::into)).unwrap_or_default()
        }
        _ => BTreeMap::new(),
    };
    let schedules = problems.answered(schedules).unwrap_or_default();
    let mappings = problems.answered(mappings).unwrap_or_default();
    let mut tables = Vec::new();
    for (table, lake) in sources.iter().zip(lake) {
        let streams = table.loader == Loader::Streaming;
        let id = table.table.to_string();
        let lake = problems.answered(lake).unwrap_or_default();
        let load = loads.as_ref().filter(|_| !streams).map(|loads| LoadState {
            untaken: loads.untaken.get(&id).cloned(),
            ..load_state(lake.newest.as_ref(), loads.states.get(&id), loads.failures.get(&id))
        });
        let load = match (&warehouse, load) {
            (Some(warehouse), Some(load)) => {
                let waits = waiting(warehouse, table, &load, lake.attempt).await;
                Some(LoadState { waiting: problems.answered(waits).flatten(), ..load })
            }
            (_, load) => load,
        };
        let stream = match (&warehouse, &loads) {
            (Some(warehouse), Some(_)) if streams => problems.answered(stream::status(context, warehouse, table).await),
            _ => None,
        };
        tables.push(TableStatus {
            table: table.table.clone(),
            streams,
            paused: if streams { off(&mappings, table) } else { paused(&schedules, table) },
            last_run: lake.last_run,
            split: lake.split,
            load,
            commit: lake.newest.map(newest_commit),
            stream,
            put_aside: asides.remove(&id),
            source_problem: mappings
                .iter()
                .find(|mapping| mapping.serves(table))
                .and_then(|found| found.problem.clone()),
        });
    }
    let activation = problems.answered(activate::state(context).await).flatten();
    let dbt = loads.and_then(|loads| loads.dbt);
    let account = problems.answered(account::last(&store).await.map_err(Into::into)).flatten();
    let platform = platform.place.title();
    Ok(Status { platform, at: Utc::now(), tables, dbt, account, activation, problems: problems.0 })
}

/// Who gave no answer, each problem once.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn answered<T>(&mut self, asked: Outcome<T>) -> Option<T> {
        let failure = match asked {
            Ok(answer) => return Some(answer),
            Err(failure) => failure,
        };
        let told = failure.sentence();
        if !self.0.contains(&told) {
            self.0.push(told);
        }
        None
    }
}

/// What the lake says of a table; nothing of one that streams.
#[derive(Default)]
struct InLake {
    newest: Option<Commit>,
    split: Option<Progress>,
    last_run: Option<LastRun>,
    attempt: Option<FailedAttempt>,
}

async fn in_lake(store: &impl ObjectStore, table: &Table) -> Outcome<InLake> {
    if table.loader == Loader::Streaming {
        return Ok(InLake::default());
    }
    let newest = log::newest_commit(store, &table.table).await?;
    let split = split::progress(store, table, newest.as_ref()).await?;
    let attempt = attempts::last(store, &table.table).await?;
    Ok(InLake { split, last_run: runs::last(store, &table.table).await?, attempt, newest })
}

/// The attempt, if its commit has come to no end since.
async fn waiting(
    warehouse: &Warehouse,
    table: &Table,
    load: &LoadState,
    attempt: Option<FailedAttempt>,
) -> Outcome<Option<FailedAttempt>> {
    let Some(attempt) = attempt.filter(|_| load.pending > 0) else { return Ok(None) };
    let entry = warehouse.entry(&table.table, attempt.sequence).await?;
    Ok(Some(attempt).filter(|_| !entry.is_some_and(|entry| entry.has_ended())))
}

/// What the warehouse says of all tables.
struct Loaded {
    states: BTreeMap<String, TableLoads>,
    failures: BTreeMap<String, LoadFailure>,
    untaken: BTreeMap<String, Untaken>,
    dbt: Option<DbtRun>,
}

async fn ask(warehouse: Option<&Warehouse>) -> Option<Outcome<Loaded>> {
    let warehouse = warehouse?;
    let (loads, failures) = (warehouse.loads(), warehouse.failures());
    let asked = future::try_join4(loads, failures, warehouse.untaken(), warehouse.last_dbt_run()).await;
    Some(asked.map(|(states, failures, untaken, dbt)| Loaded { states, failures, untaken, dbt }).map_err(Into::into))
}

async fn schedules(context: &Context<'_>) -> Outcome<Vec<Schedule>> {
    let place = &context.platform.place;
    Schedules::of(&place.aws, &context.platform.stack, &place.sources)?.list().await
}

async fn streaming(context: &Context<'_>) -> Outcome<Vec<Mapping>> {
    Mapping::list(&context.platform.place.aws, &context.platform.stack).await
}

/// Whether every mapping of a streaming table's topic is off; `None` when it has none.
fn off(mappings: &[Mapping], table: &Table) -> Option<bool> {
    let mut own = mappings.iter().filter(|mapping| mapping.serves(table)).peekable();
    own.peek().is_some().then(|| own.all(|mapping| !mapping.enabled))
}

/// Paused when none of its schedules would run; `None` when it has none.
fn paused(schedules: &[Schedule], table: &Table) -> Option<bool> {
    let mut own = schedules.iter().filter(|schedule| schedule.table.as_ref() == Some(&table.table)).peekable();
    own.peek().is_some().then(|| own.all(|schedule| !schedule.enabled))
}

fn load_state(newest: Option<&Commit>, loads: Option<&TableLoads>, failure: Option<&LoadFailure>) -> LoadState {
    let loads = loads.cloned().unwrap_or_default();
    // Sequences are numbered without gaps, so what is neither loaded nor failed is the rest.
    let commits = newest.map_or(0, |commit| commit.sequence.0);
    LoadState {
        newest: loads.newest,
        pending: commits.saturating_sub(loads.loaded + loads.failed),
        failed: loads.failed,
        last_failure: failure.cloned(),
        waiting: None,
        untaken: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_is_what_has_not_come_to_an_end() {
        let loads = TableLoads { newest: Some(5), loaded: 4, failed: 1 };
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
