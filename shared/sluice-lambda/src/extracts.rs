//! An extract function's event: one table by name, or the hour, which stands for every table that is due.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Kind, Result, Schedule, Sources, Table, TableId,
    extract::{ExtractRequest, ExtractSummary},
    port::{ObjectStore, SystemClock},
    sources::Source,
};
use sluice_pipeline::runs;
use tracing::Instrument;

use crate::Invocation;

/// A further table is begun while at least a quarter of the invocation's time is left: a run that is cut off commits
/// nothing, and its time is lost to the others.
const LEAST_PART: u32 = 4;

/// What wakes an extract function.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ExtractEvent {
    Due(Due),
    Table(ExtractRequest),
}

/// `{"time": "…", "due": true}`: the schedule's input. `sluice pause` adds `"except": ["<table>", …]` to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    pub time: DateTime<Utc>,
    pub due: bool,
    /// Tables that are paused.
    #[serde(default)]
    pub except: Vec<TableId>,
}

/// What the function answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ExtractAnswer {
    Table(Box<ExtractSummary>),
    Due {
        runs: Vec<ExtractSummary>,
        /// Tables for which no time was left; they are due again at the next waking.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        left: Vec<TableId>,
    },
}

/// Runs the table that the event names, or one after the other those of this function's tables that are due, as long as
/// there is time. A table that fails keeps no other from its turn; the first failure is the invocation's, and its retry
/// finds the others done. How each run ended is told here, for all sources alike.
pub async fn each_due(
    event: ExtractEvent,
    sources: &Sources,
    is_ours: impl Fn(&Source) -> bool,
    store: &impl ObjectStore,
    invocation: &Invocation,
    run: impl AsyncFn(ExtractRequest, &Invocation) -> Result<ExtractSummary>,
) -> Result<ExtractAnswer> {
    let (time, except) = match event {
        ExtractEvent::Table(request) => {
            invocation.is_one_run();
            return told(request, store, invocation, &run).await.map(|summary| ExtractAnswer::Table(Box::new(summary)));
        }
        ExtractEvent::Due(Due { due: false, .. }) => return Err(Error::invalid_data("'due' must be true")),
        ExtractEvent::Due(Due { time, except, .. }) => (time, except),
    };
    let is_due = |table: &Table, schedule: &Schedule| {
        schedule.is_due(time) && is_ours(&table.source) && !except.contains(&table.table)
    };
    let scheduled = sources.tables.iter().filter_map(|table| Some((table, table.schedule.as_ref()?)));
    let due = in_turn(scheduled.filter(|(table, schedule)| is_due(table, schedule)), time);
    let run = async |request: ExtractRequest, invocation: &Invocation| {
        told(request, store, invocation, &run).instrument(invocation.run_span()).await
    };
    run_each(due, time, invocation, || invocation.time_left(Duration::ZERO), run).await
}

/// Runs one table and tells how that ended.
async fn told(
    request: ExtractRequest,
    store: &impl ObjectStore,
    invocation: &Invocation,
    run: &impl AsyncFn(ExtractRequest, &Invocation) -> Result<ExtractSummary>,
) -> Result<ExtractSummary> {
    let (table, begun) = (request.table.clone(), Instant::now());
    let ended = run(request, invocation).await;
    runs::ended(store, &SystemClock, &table, &invocation.run_id, &ended, begun.elapsed()).await;
    ended
}

/// The tables in the order of their turns. One that comes round more seldom goes first, because it would have to wait
/// longer for its next chance; among those that come round as often, another one is the first each time, so that none
/// that is slow, or never ends, stands in the way of the same others for ever.
fn in_turn<'a>(
    due: impl Iterator<Item = (&'a Table, &'a Schedule)>,
    time: DateTime<Utc>,
) -> Vec<(&'a Table, &'a Schedule)> {
    let hours = time.timestamp().div_euclid(3_600);
    let hours_between = |schedule: &Schedule| match schedule {
        Schedule::Hourly => 1,
        Schedule::Daily(_) => 24,
        Schedule::Weekly(..) => 7 * 24,
    };
    let mut by_period: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for (table, schedule) in due {
        by_period.entry(hours_between(schedule)).or_default().push((table, schedule));
    }
    let mut turns = Vec::new();
    for (period, mut tables) in by_period.into_iter().rev() {
        let first = (hours / period).rem_euclid(tables.len() as i64);
        tables.rotate_left(first as usize);
        turns.append(&mut tables);
    }
    turns
}

async fn run_each(
    due: Vec<(&Table, &Schedule)>,
    time: DateTime<Utc>,
    invocation: &Invocation,
    time_left: impl Fn() -> Duration,
    run: impl AsyncFn(ExtractRequest, &Invocation) -> Result<ExtractSummary>,
) -> Result<ExtractAnswer> {
    let (mut runs, mut left, mut first_failure) = (Vec::new(), Vec::new(), None);
    let least = time_left() / LEAST_PART;
    for (turn, (table, schedule)) in due.into_iter().enumerate() {
        if turn > 0 && time_left() < least {
            tracing::warn!(table = %table.table, "no time is left for a table that was due");
            if *schedule != Schedule::Hourly {
                // It is not due again within the hour: the retry of this event takes it.
                let error = Error::new(Kind::Timeout, "no time was left for a table that was due; raise the timeout");
                first_failure.get_or_insert(error.with("table", &table.table));
            }
            left.push(table.table.clone());
            continue;
        }
        let invocation = invocation.another_run();
        let request = ExtractRequest::scheduled(table.table.clone(), time);
        match run(request, &invocation).await {
            Ok(summary) => runs.push(summary),
            Err(error) => drop(first_failure.get_or_insert(error.with("table", &table.table))),
        }
    }
    match first_failure {
        Some(error) => Err(error),
        None => Ok(ExtractAnswer::Due { runs, left }),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use bytes::Bytes;
    use futures::executor::block_on;
    use serde_json::json;
    use sluice_core::{
        extract::Outcome,
        port::{PutIfAbsent, Stored},
    };

    use super::*;

    const SOURCES: &str = "
tables:
  - { table: A.B.HOURLY, description: d, schedule: hourly, source: { kind: postgres, schema: s, table: t, cursor: n },
      loader: copy, disposition: replace, columns: [{ name: n, type: bigint }] }
  - { table: A.B.NIGHTLY, description: d, schedule: daily 0, source: { kind: postgres, schema: s, table: t, cursor: n },
      loader: copy, disposition: replace, columns: [{ name: n, type: bigint }] }
  - { table: A.B.BY_HAND, description: d, source: { kind: postgres, schema: s, table: t, cursor: n },
      loader: copy, disposition: replace, columns: [{ name: n, type: bigint }] }
  - { table: A.B.OTHERS, description: d, schedule: hourly, source: { kind: currencies },
      loader: copy, disposition: append, columns: [{ name: n, type: bigint }] }
";

    /// A lake that is away: what cannot be recorded there fails no run.
    struct NoStore;

    impl ObjectStore for NoStore {
        async fn put(&self, _: &str, _: Bytes) -> Result<Stored> {
            Err(Error::unavailable("away"))
        }

        async fn put_if_absent(&self, _: &str, _: Bytes) -> Result<PutIfAbsent> {
            Err(Error::unavailable("away"))
        }

        async fn get(&self, _: &str) -> Result<Option<Bytes>> {
            Err(Error::unavailable("away"))
        }

        async fn first_key(&self, _: &str) -> Result<Option<String>> {
            Err(Error::unavailable("away"))
        }
    }

    /// The tables that were run, in order; the one named fails.
    fn woken(event: serde_json::Value, failing: &str) -> (Vec<String>, Result<ExtractAnswer>) {
        let sources = Sources::parse(SOURCES).expect("valid sources");
        let event = serde_json::from_value(event).expect("an event");
        let (ran, run_ids) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let invocation = Invocation::new("request", Duration::from_secs(60));
        let is_ours = |source: &Source| matches!(source, Source::Postgres { .. });
        let answer =
            block_on(each_due(event, &sources, is_ours, &NoStore, &invocation, async |request, invocation| {
                ran.borrow_mut().push(request.table.table.clone());
                run_ids.borrow_mut().push(invocation.run_id.clone());
                if request.table.table == failing {
                    return Err(Error::unavailable("away"));
                }
                Ok(ExtractSummary::nothing_new(request.table, invocation.run_id.clone()))
            }));
        let mut ids = run_ids.into_inner();
        ids.dedup();
        assert_eq!(ids.len(), ran.borrow().len(), "each run has an id of its own");
        (ran.into_inner(), answer)
    }

    #[test]
    fn the_hour_runs_what_is_due_and_a_name_runs_that_table() {
        let at = |time: &str| json!({"time": time, "due": true});
        assert_eq!(woken(at("2026-10-05T00:15:00Z"), "").0, ["NIGHTLY", "HOURLY"]);
        assert_eq!(woken(at("2026-10-05T01:15:00Z"), "").0, ["HOURLY"]);
        let paused = json!({"time": "2026-10-05T00:15:00Z", "due": true, "except": ["A.B.HOURLY"]});
        assert_eq!(woken(paused, "").0, ["NIGHTLY"]);
        let (ran, answer) = woken(json!({"time": "2026-10-05T01:15:00Z", "table": "A.B.BY_HAND"}), "");
        assert_eq!(ran, ["BY_HAND"]);
        let answer = serde_json::to_value(answer.expect("a run")).expect("json");
        assert_eq!((&answer["outcome"], &answer["table"]), (&json!(Outcome::NothingNew), &json!("A.B.BY_HAND")));
    }

    #[test]
    fn a_failed_table_delays_no_other_and_fails_the_invocation() {
        let (ran, answer) = woken(json!({"time": "2026-10-05T00:15:00Z", "due": true}), "NIGHTLY");
        assert_eq!(ran, ["NIGHTLY", "HOURLY"]);
        let error = answer.expect_err("one has failed");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("A.B.NIGHTLY"), "{error}");
    }

    /// A waking of 100 s on these tables, each of which takes 40 s: which ran, and the answer.
    fn crowded(schedules: &[(&str, &str)], time: &str) -> (Vec<String>, Result<ExtractAnswer>) {
        let entry = |(name, schedule): &(&str, &str)| {
            format!(
                "\n  - {{ table: A.B.{name}, description: d, schedule: {schedule}, source: {{ kind: currencies }}, \
                 loader: copy, disposition: append, columns: [{{ name: n, type: bigint }}] }}"
            )
        };
        let yaml = format!("tables:{}", schedules.iter().map(entry).collect::<String>());
        let sources = Sources::parse(&yaml).expect("valid sources");
        let time = time.parse().expect("a time");
        let due = sources.tables.iter().filter_map(|table| Some((table, table.schedule.as_ref()?)));
        let due = in_turn(due.filter(|(_, schedule)| schedule.is_due(time)), time);
        let (clock, ran) = (Cell::new(Duration::from_secs(100)), RefCell::new(Vec::new()));
        let run = async |request: ExtractRequest, invocation: &Invocation| {
            clock.set(clock.get().saturating_sub(Duration::from_secs(40)));
            ran.borrow_mut().push(request.table.table.clone());
            Ok(ExtractSummary::nothing_new(request.table, invocation.run_id.clone()))
        };
        let invocation = Invocation::new("request", Duration::ZERO);
        let answer = block_on(run_each(due, time, &invocation, || clock.get(), run));
        (ran.into_inner(), answer)
    }

    #[test]
    fn tables_without_time_left_are_named_and_each_goes_first_in_turn() {
        let hourly = ["A", "B", "C", "D", "E"].map(|name| (name, "hourly"));
        let mut times_run: BTreeMap<String, usize> = BTreeMap::new();
        for hour in 1..=5 {
            let (ran, answer) = crowded(&hourly, &format!("2026-10-05T{hour:02}:15:00Z"));
            assert_eq!(ran.len(), 2, "the third would begin with a fifth of the time left");
            ran.iter().for_each(|table| *times_run.entry(table.clone()).or_default() += 1);
            let Ok(ExtractAnswer::Due { runs, left }) = answer else { panic!("{answer:?}") };
            assert_eq!((runs.len(), left.len()), (2, 3));
            assert!(left.iter().all(|table| !ran.contains(&table.table)));
        }
        assert_eq!(times_run.into_values().collect::<Vec<_>>(), [2; 5]);
    }

    #[test]
    fn a_rarely_due_table_goes_first_and_does_not_wait_a_day() {
        let monday = "2026-10-05T01:15:00Z";
        let (ran, answer) = crowded(&[("A", "hourly"), ("B", "daily 1"), ("C", "weekly monday 1")], monday);
        assert_eq!(ran, ["C", "B"]);
        let Ok(ExtractAnswer::Due { left, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(left.iter().map(|table| table.table.as_str()).collect::<Vec<_>>(), ["A"]);

        let daily = ["A", "B", "C"].map(|name| (name, "daily 1"));
        let (ran, answer) = crowded(&daily, monday);
        let error = answer.expect_err("the retry takes the third");
        assert_eq!((ran.len(), error.kind()), (2, Kind::Timeout));
    }

    #[test]
    fn an_event_that_is_neither_is_refused() {
        for event in [json!({"time": "2026-10-05T00:15:00Z"}), json!({"due": true}), json!({})] {
            assert!(serde_json::from_value::<ExtractEvent>(event.clone()).is_err(), "{event}");
        }
    }
}
