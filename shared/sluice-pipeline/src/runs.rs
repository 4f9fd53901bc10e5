//! How an extract ended: one line of the log, and one object of the lake that says how a table's last run ended.
//!
//! The object is for people who look after the platform: a table whose every run fails makes no commit, and neither does
//! one whose source is quiet. No loop reads it to decide anything.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Kind, Result, RunId, TableId,
    extract::{ExtractSummary, Outcome},
    lake,
    port::{Clock, ObjectStore},
};
use tracing::{Span, error, field::display, info, warn};

/// How a table's last run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    pub run_id: RunId,
    pub ended_at: DateTime<Utc>,
    /// `None` after a run that failed.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The run found no row in a source of which earlier runs have read some.
    #[serde(default)]
    pub emptied: bool,
}

/// Why runs of a table fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: String,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Runs that have failed one after the other, this one included.
    pub runs: u64,
    /// When the first of them failed.
    pub since: DateTime<Utc>,
}

/// The fact by which a source says so.
const EMPTIED: &str = "emptied";

/// How the table's last run ended; `None` before the first end that was recorded.
pub async fn last(store: &impl ObjectStore, table: &TableId) -> Result<Option<LastRun>> {
    let key = lake::last_run_key(table);
    let Some(body) = store.get(&key).await? else { return Ok(None) };
    let broken = |error| Error::invalid_data("the end of the table's last run cannot be read").because(error);
    serde_json::from_slice(&body).map(Some).map_err(|error| broken(error).with("key", key))
}

/// The lines of the span that is entered are about this run: one that a commit, a plan or a claim names, where the work
/// is not for a run of its own.
pub(crate) fn follow(run_id: &RunId) {
    Span::current().record("run_id", display(run_id));
}

/// Tells how a run ended, once for every run: in the log, and in the lake unless it was a dry run, lost to another run or was
/// asked for what it refuses.
pub async fn ended(
    store: &impl ObjectStore,
    clock: &impl Clock,
    table: &TableId,
    run_id: &RunId,
    ended: &Result<ExtractSummary>,
    took: Duration,
) {
    let seconds = took.as_secs_f64();
    match ended {
        Ok(summary) => info!(
            %table, outcome = summary.outcome.as_str(), sequence = summary.sequence.map(|sequence| sequence.0),
            rows = summary.rows, rejected = summary.rejected, files = summary.files, bytes = summary.bytes,
            parts = summary.parts.map(|parts| parts.of), parts_done = summary.parts.map(|parts| parts.done), seconds,
            "extract ended"
        ),
        Err(error) => error!(
            %table, outcome = "failed", error = error.chain(), error_kind = %error.kind(), retry = ?error.retry(),
            seconds, "extract ended"
        ),
    }
    if let Err(error) = record(store, clock.now(), table, run_id, ended).await {
        warn!(%table, error = error.chain(), "cannot record in the lake how the run ended");
    }
}

async fn record(
    store: &impl ObjectStore,
    now: DateTime<Utc>,
    table: &TableId,
    run_id: &RunId,
    ended: &Result<ExtractSummary>,
) -> Result<()> {
    let mut last = LastRun { run_id: run_id.clone(), ended_at: now, outcome: None, failure: None, emptied: false };
    match ended {
        Ok(summary) if matches!(summary.outcome, Outcome::DryRun | Outcome::Aside) => return Ok(()),
        // Another run has done the work, and says so.
        Err(error) if error.kind() == Kind::Conflict => return Ok(()),
        // A slip in a request says nothing about the table's runs.
        Err(error) if error.is_about_request() => return Ok(()),
        Ok(summary) => {
            last.run_id = summary.run_id.clone();
            last.outcome = Some(summary.outcome);
            last.emptied = summary.facts.get(EMPTIED).is_some_and(|emptied| emptied == true);
        }
        Err(error) => {
            let before = self::last(store, table).await?.and_then(|run| run.failure);
            last.failure = Some(Failure {
                kind: error.kind().as_str().to_owned(),
                reason: error.chain(),
                hint: error.hint().map(str::to_owned),
                runs: before.as_ref().map_or(0, |before| before.runs) + 1,
                since: before.map_or(now, |before| before.since),
            });
        }
    }
    let body =
        serde_json::to_vec(&last).map_err(|error| Error::internal("cannot encode the end of a run").because(error))?;
    store.put(&lake::last_run_key(table), body.into()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::fakes::{ManualClock, MemoryStore};

    const HOUR: Duration = Duration::from_secs(3_600);

    fn table() -> TableId {
        "A.B.C".parse().expect("a table")
    }

    fn nothing_new(run: &str) -> ExtractSummary {
        ExtractSummary::nothing_new(table(), RunId(run.into()))
    }

    #[test]
    fn failures_in_a_row_are_counted_from_the_first_until_a_run_succeeds() {
        let (store, clock) = (MemoryStore::default(), ManualClock::default());
        let end = |run: &str, result| block_on(ended(&store, &clock, &table(), &RunId(run.into()), &result, HOUR));
        let last = || block_on(last(&store, &table())).expect("readable");
        assert_eq!(last(), None);
        end("r1", Ok(nothing_new("r1")));
        assert_eq!(last().and_then(|run| run.outcome), Some(Outcome::NothingNew));
        for run in ["r2", "r3"] {
            clock.advance(HOUR);
            end(run, Err(Error::new(Kind::Auth, "the database refuses the user")));
        }
        let run = last().expect("an end");
        let failure = run.failure.expect("a failure");
        assert_eq!((run.run_id.0.as_str(), run.outcome, failure.runs, failure.kind.as_str()), ("r3", None, 2, "Auth"));
        assert_eq!((run.ended_at - failure.since).num_hours(), 1);
        end("r4", Ok(nothing_new("r4")));
        assert_eq!(last().and_then(|run| run.failure), None);
    }

    #[test]
    fn a_run_that_found_its_source_emptied_is_remembered_as_such() {
        let (store, clock) = (MemoryStore::default(), ManualClock::default());
        for emptied in [true, false] {
            let facts = [(EMPTIED.to_owned(), emptied.into())].into_iter().collect();
            let summary = ExtractSummary { facts, ..nothing_new("r") };
            block_on(ended(&store, &clock, &table(), &RunId("r".into()), &Ok(summary), HOUR));
            let run = block_on(last(&store, &table())).expect("readable").expect("an end");
            assert_eq!(run.emptied, emptied);
        }
    }

    #[test]
    fn a_refused_request_leaves_how_the_last_run_ended_as_it_was() {
        let (store, clock) = (MemoryStore::default(), ManualClock::default());
        let end = |run: &str, result| block_on(ended(&store, &clock, &table(), &RunId(run.into()), &result, HOUR));
        end("r1", Err(Error::config("the value to start from is none").about_request()));
        assert!(store.objects.borrow().is_empty());
        end("r2", Ok(nothing_new("r2")));
        end("r3", Err(Error::config("the value to start from is none").about_request()));
        let last = block_on(last(&store, &table())).expect("readable").expect("an end");
        assert_eq!((last.run_id.0.as_str(), last.failure), ("r2", None));
    }

    #[test]
    fn a_dry_run_and_one_that_lost_to_another_are_not_recorded() {
        let (store, clock) = (MemoryStore::default(), ManualClock::default());
        let dry = ExtractSummary { outcome: Outcome::DryRun, ..nothing_new("r") };
        for result in [Ok(dry), Err(Error::conflict("another run has committed first"))] {
            block_on(ended(&store, &clock, &table(), &RunId("r".into()), &result, HOUR));
        }
        assert!(store.objects.borrow().is_empty());
    }
}
