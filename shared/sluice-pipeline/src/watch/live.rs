//! What each round looks at: the ledger, the newest commits and runs, dbt, and which functions have run.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use chrono::{DateTime, Days, Duration, NaiveDate, Utc};
use futures::{StreamExt, stream as futures_stream};
use sluice_core::{
    Commit, Disposition, Loader, Result, Schedule, Sequence, Table,
    functions::{self, Role},
    port::{Clock, Listing, ObjectStore},
    sources::Monitor,
};
use sluice_watch::{
    baseline::{History, Mark},
    monitors::{
        Arrivals, CostFacts, Currency, DbtFacts, FunctionFacts, LoadFacts, Pair, PlatformFacts, Shares, TableFacts,
    },
    settings::TableSettings,
};

use super::{
    Channels, Watch, announced, observed,
    port::{EndedExtract, EndedRun, Loads, Observations, PartitionRows, Surroundings},
    state::{DBT_COSTS, Marks, Rereads, State, check},
    stream,
};
use crate::{
    log,
    runs::{self, LastRun},
};

/// This many tables, and commits of one, are looked at in the lake at once.
const AT_ONCE: usize = 16;

/// No more commits are looked at for one that reads a failed one's rows again: a round sees it soon after it was made, and looks
/// at each once.
const COMMITS_LOOKED_AT: u64 = 200;

/// How far back dbt's runs are read.
const DBT_DAYS: u64 = 120;

/// dbt's own time is compared with this many runs.
const DBT_RUNS: usize = 60;

/// What measures tables; the rest is judged in each round.
pub(super) const MEASURED: &[Monitor] = &[
    Monitor::Volume,
    Monitor::NullRate,
    Monitor::Duplicates,
    Monitor::Distribution,
    Monitor::Schema,
    Monitor::LateArrival,
    Monitor::EventToReport,
    Monitor::DeadLetters,
];

/// Everything but the measures of tables.
pub(super) struct Live {
    /// Settings with the measured monitors off.
    pub tables: Vec<(TableSettings, TableFacts)>,
    pub platform: PlatformFacts,
    /// The newest run of dbt, where only tests have failed: when it ended, and which.
    pub failed_tests: Option<(DateTime<Utc>, Vec<String>)>,
    /// Entries of the ledger by table; `None` when it does not answer.
    pub loads: Option<BTreeMap<String, Loads>>,
    /// Rows of the last days by streaming table, in the order of partitions, where the warehouse has told them.
    pub landed: BTreeMap<String, Vec<PartitionRows>>,
}

impl Live {
    /// A number that is another one after a table has got or lost rows; `None` where the warehouse does not answer.
    pub(super) fn position(&self, table: &Table) -> Option<u64> {
        let name = table.table.to_string();
        let loads = self.loads.as_ref()?.get(&name);
        let loaded = loads.map_or(0, |loads| loads.loaded);
        if table.loader != Loader::Streaming {
            return Some(loaded);
        }
        // A sum would hide rows that went while as many came.
        let mut all = DefaultHasher::new();
        (loaded, loads.and_then(|loads| loads.replayed_at), self.landed.get(&name)?).hash(&mut all);
        Some(all.finish())
    }
}

/// What a round sees of one table.
struct Looked {
    settings: TableSettings,
    facts: TableFacts,
    lake: Option<InLake>,
    /// Of a stream.
    partitions: Option<Vec<PartitionRows>>,
}

/// What the lake says of a table.
struct InLake {
    newest: Option<Commit>,
    run: Option<LastRun>,
    /// The oldest commit that the ledger does not know.
    waiting: Option<DateTime<Utc>>,
    /// Rows by the commit, of the newest that is loaded.
    committed: Option<u64>,
    rereads: Rereads,
}

pub(super) async fn observe<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    state: &mut State,
    now: DateTime<Utc>,
    day: NaiveDate,
) -> Live {
    let since = state.since.unwrap_or(now);
    let dbt_since = day - Days::new(DBT_DAYS);
    let (loads, dbt, secrets) =
        futures::join!(watch.warehouse.loads(), watch.warehouse.dbt_runs(dbt_since), watch.platform.secrets());
    let (loads, dbt) = (observed("the ledger of loads", loads), observed("runs of dbt", dbt));
    let looks = watch.sources.tables.iter().map(|table| of_table(watch, table, loads.as_ref(), &state.rereads, now));
    let looked: Vec<_> = futures_stream::iter(looks).buffered(AT_ONCE).collect().await;
    let mut runs: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
    let (mut tables, mut extracts, mut landed) = (Vec::new(), Vec::new(), BTreeMap::new());
    let replayed_at = |name: &str| loads.as_ref()?.get(name)?.replayed_at;
    for (table, mut looked) in watch.sources.tables.iter().zip(looked) {
        let name = table.table.to_string();
        let committed = looked.lake.as_ref().and_then(|lake| lake.newest.as_ref());
        let mended_at = committed.map(|commit| commit.committed_at).max(replayed_at(&name));
        announced::mend(&mut state.announced, &name, mended_at, now);
        let run = looked.lake.and_then(|lake| {
            state.rereads.insert(name.clone(), lake.rereads);
            lake.run
        });
        if let (Some(function), Some(run)) = (table.source.function(), run) {
            let ended = run.ended_at;
            runs.entry(function.name).and_modify(|newest| *newest = ended.max(*newest)).or_insert(ended);
            extracts.push(EndedExtract { table: name.clone(), run });
        }
        if let Some(mut rows) = looked.partitions {
            rows.sort_by_key(|rows| rows.partition);
            let samples = state.samples.entry(name.clone()).or_default();
            stream::remember(samples, &rows, now);
            looked.facts.partitions = Some(stream::partitions(&rows, samples));
            landed.insert(name, rows);
        }
        tables.push((looked.settings, looked.facts));
    }
    follow(watch, state, extracts).await;
    let platform = PlatformFacts {
        dbt: dbt.as_deref().and_then(dbt_facts),
        costs: dbt.as_deref().map(|runs| cost(runs, since, day, &state.marks)).into_iter().collect(),
        secrets: observed("secrets", secrets),
        functions: silence(watch.sources.tables.iter(), &runs, since),
        ..PlatformFacts::default()
    };
    let failed_tests = dbt.as_deref().and_then(newest_run).and_then(|run| Some((run.finished_at, failed_tests(run)?)));
    Live { tables, platform, failed_tests, loads, landed }
}

/// Tells those who follow runs which extracts have ended since they were told.
async fn follow<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    state: &mut State,
    mut extracts: Vec<EndedExtract>,
) {
    extracts.retain(|ended| state.followed.get(&ended.table) != Some(&ended.run.run_id));
    if extracts.is_empty() {
        return;
    }
    let told = watch.platform.ended(&extracts).await;
    let told = extracts.into_iter().filter(|ended| told.contains(&ended.table));
    state.followed.extend(told.map(|ended| (ended.table, ended.run.run_id)));
}

/// The settings of a table as this function watches it: without what it has no way to observe.
pub(super) fn settings(table: &Table) -> TableSettings {
    let mut settings = TableSettings::of(table);
    // A week has one day with rows, which no level of weekdays learns in eight weeks.
    if matches!(table.schedule, Some(Schedule::Weekly(..))) {
        settings.off.push(Monitor::Volume);
    }
    settings
}

async fn of_table<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    table: &Table,
    loads: Option<&BTreeMap<String, Loads>>,
    rereads: &BTreeMap<String, Rereads>,
    now: DateTime<Utc>,
) -> Looked {
    let mut settings = settings(table);
    settings.off.extend(MEASURED);
    if table.loader == Loader::Streaming {
        settings.off.push(Monitor::Reconciliation);
        let since = (now - Duration::hours(stream::HOURS)).date_naive();
        let (newest, rows) =
            futures::join!(watch.warehouse.newest_row(&table.table), watch.warehouse.partitions(&table.table, since));
        let newest = observed("the newest row of a stream", newest);
        let arrivals = newest.map(|newest| Arrivals { newest });
        let partitions = observed("the rows of a topic's partitions", rows);
        return Looked { settings, facts: TableFacts { arrivals, ..TableFacts::default() }, lake: None, partitions };
    }
    let name = table.table.to_string();
    let known = loads.map(|loads| loads.get(&name).cloned().unwrap_or_default());
    let lake = in_lake(watch.store, table, known.as_ref(), rereads.get(&name)).await;
    let Some(lake) = observed("a table's log in the lake", lake) else {
        return Looked { settings, facts: TableFacts::default(), lake: None, partitions: None };
    };
    let pair = known.as_ref().and_then(|known| known.newest).map(|(_, rows)| Pair {
        left: "commit",
        left_rows: lake.committed,
        right: "load",
        right_rows: Some(rows),
    });
    if pair.is_none() {
        settings.off.push(Monitor::Reconciliation);
    }
    let facts = TableFacts {
        arrivals: Some(Arrivals { newest: newest_success(&lake) }),
        pairs: pair.into_iter().collect(),
        rejects: Some(rejects(lake.newest.as_ref(), now)),
        loads: known.map(|known| LoadFacts {
            failed: known.failed.difference(&lake.rereads.mended).count() as u64,
            oldest_waiting: lake.waiting.into_iter().chain(known.oldest_submitted).min(),
        }),
        ..TableFacts::default()
    };
    Looked { settings, facts, lake: Some(lake), partitions: None }
}

async fn in_lake(
    store: &impl ObjectStore,
    table: &Table,
    known: Option<&Loads>,
    rereads: Option<&Rereads>,
) -> Result<InLake> {
    let newest = log::newest_commit(store, &table.table).await?;
    let run = runs::last(store, &table.table).await?;
    let sequence = newest.as_ref().map_or(0, |commit| commit.sequence.0);
    let commit = async |wanted: u64| match &newest {
        Some(newest) if newest.sequence.0 == wanted => Ok(newest.clone()),
        _ => log::read_commit(store, &table.table, Sequence(wanted)).await,
    };
    let waiting = match known {
        Some(known) if known.known < sequence => Some(commit(known.known + 1).await?.committed_at),
        _ => None,
    };
    let committed = match known.and_then(|known| known.newest) {
        Some((loaded, _)) if loaded <= sequence => Some(commit(loaded).await?.rows),
        _ => None,
    };
    let mut rereads = rereads.cloned().unwrap_or_default();
    if let (Some(newest), Some(known)) = (&newest, known) {
        add_rereads(&mut rereads, store, newest, &known.failed).await?;
    }
    Ok(InLake { newest, run, waiting, committed, rereads })
}

/// Adds failed commits whose rows a later one of the log reads again: what becomes of that one is judged for itself.
async fn add_rereads(
    Rereads { mended, failed: earlier, until }: &mut Rereads,
    store: &impl ObjectStore,
    newest: &Commit,
    failed: &BTreeSet<u64>,
) -> Result<()> {
    mended.retain(|known| failed.contains(known));
    // One that has failed since may be read again by commits that were looked at for others.
    if earlier != failed {
        (*earlier, *until) = (failed.clone(), 0);
    }
    let Some(oldest) = failed.difference(mended).next() else { return Ok(()) };
    let first = oldest.max(until).max(&newest.sequence.0.saturating_sub(COMMITS_LOOKED_AT + 1)) + 1;
    let later = (first..=newest.sequence.0).map(|at| log::read_commit(store, &newest.table, Sequence(at)));
    let mut later = futures_stream::iter(later).buffered(AT_ONCE);
    while let Some(commit) = later.next().await {
        match commit {
            Ok(commit) => {
                let reads = first_read_again(&commit)..commit.sequence.0;
                mended.extend(failed.iter().filter(|at| reads.contains(at)));
            }
            Err(error) if error.is_transient() => return Err(error),
            // One that cannot be read has failed, and is told for itself.
            Err(_) => {}
        }
    }
    *until = newest.sequence.0;
    Ok(())
}

/// The first of the earlier commits whose rows this one, or those after it, bring again; its own number where it brings none.
/// Of rates a read without a cursor may be of some days, and they are no merge.
fn first_read_again(commit: &Commit) -> u64 {
    match (&commit.reset, commit.disposition) {
        (Some(reset), _) => reset.to.0 + 1,
        (None, Disposition::Replace) => 0,
        (None, Disposition::Merge) if commit.cursor_from.is_none() => 0,
        (None, Disposition::Merge | Disposition::Append) => commit.sequence.0,
    }
}

/// The end of the newest run that succeeded. Of a table whose runs fail, the time just before the first that did.
fn newest_success(lake: &InLake) -> Option<DateTime<Utc>> {
    let committed = lake.newest.as_ref().map(|commit| commit.committed_at);
    let run = lake.run.as_ref().map(|run| match &run.failure {
        None => run.ended_at,
        Some(failure) => failure.since - Duration::minutes(30),
    });
    let never = lake.newest.is_none() && lake.run.as_ref().is_some_and(|run| run.failure.is_some());
    committed.into_iter().chain(run).max().filter(|_| !never)
}

/// Rows that the newest commit left out; one of another day has been told.
fn rejects(newest: Option<&Commit>, now: DateTime<Utc>) -> Shares {
    let recent = newest.filter(|commit| now - commit.committed_at < Duration::days(1));
    let bad = recent.and_then(|commit| commit.rejected.as_ref()).map_or(0, |rejected| rejected.rows);
    Shares { all: recent.map_or(0, |commit| commit.rows) + bad, bad }
}

fn newest_run(runs: &[EndedRun]) -> Option<&EndedRun> {
    runs.iter().find(|run| run.status != "cancelled")
}

/// The failed tests of a run in which nothing else has failed: a model that fails is more than its data.
fn failed_tests(run: &EndedRun) -> Option<Vec<String>> {
    let only_tests = !run.failed.is_empty() && run.failed.iter().all(|node| node.starts_with("test."));
    (run.status != "succeeded" && only_tests).then(|| run.failed.clone())
}

fn dbt_facts(runs: &[EndedRun]) -> Option<DbtFacts> {
    let newest = newest_run(runs)?;
    let earlier = runs.iter().filter(|run| run.status == "succeeded" && run.full_refresh == newest.full_refresh);
    let earlier = earlier.filter(|run| run.finished_at < newest.finished_at);
    Some(DbtFacts {
        failed: newest.status != "succeeded",
        failed_tests: failed_tests(newest).map_or(0, |tests| tests.len() as u64),
        minutes: newest.seconds / 60.0,
        earlier_minutes: earlier.take(DBT_RUNS).map(|run| run.seconds / 60.0).collect(),
    })
}

/// What dbt's runs of a day cost. A day without a run cost nothing.
fn cost(runs: &[EndedRun], since: DateTime<Utc>, day: NaiveDate, marks: &Marks) -> CostFacts {
    let mut credits: BTreeMap<NaiveDate, f64> = BTreeMap::new();
    let first = runs.iter().map(|run| run.finished_at.date_naive()).chain([since.date_naive()]).min();
    for at in first.unwrap_or(day).iter_days().take_while(|at| *at <= day) {
        credits.insert(at, 0.0);
    }
    for run in runs {
        credits.entry(run.finished_at.date_naive()).and_modify(|sum| *sum += run.credits);
    }
    let object = DBT_COSTS.to_owned();
    let history = history(&credits, day, &marks.of(&check(Monitor::Cost, &object)));
    // A day before the first is one on which nothing ran.
    let amount = Some(credits.get(&day).copied().unwrap_or_default());
    CostFacts { object, day, amount, currency: Currency::Credits, history }
}

/// Days before the judged one, with what is known of them.
pub(super) fn history(
    days: &BTreeMap<NaiveDate, f64>,
    before: NaiveDate,
    marks: &BTreeMap<NaiveDate, Mark>,
) -> History {
    let mut history = History::default();
    for (day, value) in days.range(..before) {
        history.insert(*day, *value, marks.get(day).copied().unwrap_or_default());
    }
    history
}

/// The functions that extract, each by the table that is due most often.
fn silence<'t>(
    tables: impl Iterator<Item = &'t Table> + Clone,
    runs: &BTreeMap<&str, DateTime<Utc>>,
    since: DateTime<Utc>,
) -> Vec<FunctionFacts> {
    let facts = functions::ALL.iter().filter(|function| function.role == Role::Extract).filter_map(|function| {
        let own = tables.clone().filter(|table| table.source.is_of(function));
        let every_minutes = own.filter_map(|table| table.schedule.as_ref()).map(longest_pause).min()?;
        let newest_run = runs.get(function.name).copied();
        Some(FunctionFacts { name: function.name.to_owned(), every_minutes, newest_run, since })
    });
    facts.collect()
}

/// The longest time between two wakings, in minutes.
fn longest_pause(schedule: &Schedule) -> u32 {
    match schedule {
        Schedule::Hourly => 60,
        Schedule::Daily(hours) => {
            let hours: BTreeSet<u32> = hours.iter().map(|hour| u32::from(*hour)).collect();
            let next = hours.iter().skip(1).copied().chain(hours.first().map(|first| first + 24));
            hours.iter().zip(next).map(|(hour, next)| (next - hour) * 60).max().unwrap_or(24 * 60)
        }
        Schedule::Weekly(..) => 7 * 24 * 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_may_pause_as_long_as_its_schedule_does() {
        for (text, minutes) in [("hourly", 60), ("daily 0, 9", 900), ("daily 3", 1440), ("weekly monday 1", 10_080)] {
            let schedule: Schedule = text.parse().expect("a schedule");
            assert_eq!(longest_pause(&schedule), minutes, "{text}");
        }
    }

    #[test]
    fn the_newest_run_of_dbt_is_judged_and_a_cancelled_one_is_none() {
        let run = |status: &str, minute: i64, failed: &[&str]| EndedRun {
            status: status.to_owned(),
            failed: failed.iter().map(|name| (*name).to_owned()).collect(),
            seconds: 120.0,
            finished_at: DateTime::UNIX_EPOCH + Duration::minutes(minute),
            ..EndedRun::default()
        };
        let runs = [run("cancelled", 3, &[]), run("failed", 2, &["test.b", "test.c"]), run("succeeded", 1, &[])];
        let facts = dbt_facts(&runs).expect("runs");
        assert!(facts.failed && facts.failed_tests == 2 && facts.earlier_minutes == [2.0], "{facts:?}");
        assert!(dbt_facts(&runs[..1]).is_none());
        let facts = dbt_facts(&[run("failed", 2, &["model.a", "test.b"])]).expect("runs");
        assert_eq!((facts.failed, facts.failed_tests), (true, 0), "a failed model is a failed run");
    }
}
