//! The dispatch loop: dbt runs because data arrived, one run at a time.
//!
//! An event only wakes the loop. What there is to do is the difference between what the warehouse holds and what the
//! last successful run covered, so a lost, doubled or late event changes nothing. A run is a claim, put if absent under
//! `dbt/log/`, and an end, put if absent under `dbt/ended/`; no claim follows a claim that has not ended. The loop never
//! waits: it sends itself a message and looks again.
//!
//! A trigger of a dbt job is not idempotent. So the right to trigger is an object too: the claim for the first time, one
//! under `dbt/starts/` for each further one, put if absent. The cause of the job's run names the start, and the recent
//! runs are searched for it before a next start is made: a function that died between a start and its trigger is
//! replaced by the next message, and of two that want to retry the same failure one does.

mod claim;
mod follow;
mod results;
mod steps;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Result, RunId, TableId,
    port::{Bus, Clock, DelayedQueue, ObjectStore},
};
use tracing::info;

pub use claim::{Claim, End, EndStatus, Positions, end as end_of, newest as newest_claim};
pub use results::{Failure, NodeTime, Report};

/// Which rows of each table the warehouse holds: a number that changes with every load. Never a time.
pub trait Ledger {
    fn positions(&self) -> impl Future<Output = Result<Positions>>;

    /// Keeps how a run ended where people and monitors look. Recording a run again adds nothing.
    fn record(&self, claim: &Claim, end: &End) -> impl Future<Output = Result<()>>;
}

/// One run of the dbt job, as the job's server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRun {
    pub id: String,
    pub cause: String,
    pub state: JobState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    UnderWay,
    Succeeded,
    Failed { reason: String },
    Cancelled,
}

/// The server that runs the dbt job.
pub trait Jobs {
    /// Starts the job with these steps. Not idempotent.
    fn start(&self, cause: &str, steps: &[String]) -> impl Future<Output = Result<JobRun>>;

    /// The runs of the job whose cause begins so, as far as they are recent, newest first.
    fn recent(&self, cause: &str) -> impl Future<Output = Result<Vec<JobRun>>>;

    /// Asks for the end of a run; one that has ended is left as it is.
    fn cancel(&self, id: &str) -> impl Future<Output = Result<()>>;

    /// A file the run left behind; `None` if it left none of that name.
    fn artifact(&self, id: &str, name: &str) -> impl Future<Output = Result<Option<bytes::Bytes>>>;
}

/// What one invocation is about; also the body of the messages that the loop sends itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "dispatch")]
pub enum Message {
    /// Something may have been loaded.
    Wake {
        cause: String,
        /// Build everything, whatever was covered or tried: somebody has changed the models.
        #[serde(default)]
        force: bool,
        /// The run under way may have lost its chain of messages: follow it again.
        #[serde(default, rename = "revive")]
        resume: bool,
    },
    /// Build everything, incremental models again.
    FullRefresh {
        /// When it was requested: a full refresh that was claimed since then is the one. `None` means now.
        #[serde(default)]
        at: Option<DateTime<Utc>>,
    },
    /// Look at the run of this claim.
    Follow { number: u64 },
    /// Stop the run of this claim and do not repeat it.
    Cancel { number: u64 },
}

/// The loop's settings.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// At least this long from one claim to the next.
    pub min_interval: Duration,
    /// How often a run under way is looked at.
    pub poll: Duration,
    /// A run of the dbt job that takes longer is cancelled and counts as failed.
    pub limit: Duration,
    /// What the warehouse that dbt runs on costs, in credits.
    pub credits_per_hour: f64,
}

/// What an invocation found or did; for the log and for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatched {
    /// Everything the warehouse holds is covered, or was tried in vain and has not changed since.
    NothingToDo,
    /// There is work, but not yet: woken again later.
    Deferred,
    /// Somebody else claimed the run.
    Outrun,
    Started {
        number: u64,
    },
    UnderWay {
        number: u64,
    },
    Ended {
        number: u64,
        status: EndStatus,
    },
}

/// The ports of the loop.
pub struct Dispatch<'a, S, L, J, B, Q, C> {
    pub store: &'a S,
    pub ledger: &'a L,
    pub jobs: &'a J,
    pub bus: &'a B,
    pub queue: &'a Q,
    pub clock: &'a C,
    pub policy: Policy,
}

/// Why a run is wanted.
struct RunRequest {
    cause: String,
    force: bool,
    resume: bool,
    /// The request for a full refresh, by its time.
    full_refresh: Option<DateTime<Utc>>,
}

impl<S: ObjectStore, L: Ledger, J: Jobs, B: Bus, Q: DelayedQueue, C: Clock> Dispatch<'_, S, L, J, B, Q, C> {
    /// Handles one message. `run_id` is the message's own: it tells our claims from those of a message handled beside it.
    pub async fn handle(&self, message: &Message, run_id: &RunId) -> Result<Dispatched> {
        match message {
            Message::Wake { cause, force, resume } => {
                let request = RunRequest { cause: cause.clone(), force: *force, resume: *resume, full_refresh: None };
                self.wake(&request, run_id).await
            }
            Message::FullRefresh { at } => {
                let at = at.unwrap_or_else(|| self.clock.now());
                let cause = "full refresh".to_owned();
                self.wake(&RunRequest { cause, force: true, resume: true, full_refresh: Some(at) }, run_id).await
            }
            Message::Follow { number } => self.follow(*number, true, run_id).await,
            Message::Cancel { number } => self.cancel(*number, run_id).await,
        }
    }

    async fn wake(&self, request: &RunRequest, run_id: &RunId) -> Result<Dispatched> {
        let newest = claim::newest(self.store).await?;
        let last = match &newest {
            None => None,
            Some(claim) => match claim::end(self.store, claim.number).await? {
                None => return self.wake_during(claim, request, run_id).await,
                Some(end) => Some((claim, end)),
            },
        };
        if newest.as_ref().is_some_and(|claim| request.is_met_by(claim)) {
            return Ok(Dispatched::NothingToDo);
        }
        let positions = self.ledger.positions().await?;
        let (covered, attempted, number) = match &last {
            None => (Positions::new(), Positions::new(), 1),
            Some((claim, end)) => (end.covered.clone(), claim.positions.clone(), claim.number + 1),
        };
        let changed = changed(&covered, &positions);
        let nothing_new = changed.is_empty() || positions == attempted;
        if positions.is_empty() && request.full_refresh.is_some() || nothing_new && !request.force {
            return Ok(Dispatched::NothingToDo);
        }
        if let Some((claim, _)) = &last {
            let age = self.since(claim.claimed_at);
            if let Some(wait) = self.policy.min_interval.checked_sub(age).filter(|wait| !wait.is_zero()) {
                self.send(&request.again(), wait).await?;
                return Ok(Dispatched::Deferred);
            }
        }
        let now = self.clock.now();
        let claim = Claim {
            number,
            run_id: run_id.clone(),
            claimed_at: now,
            cause: request.cause.clone(),
            // The first run builds everything: models without a source are in nobody's selection.
            selectors: if request.force || covered.is_empty() {
                Vec::new()
            } else {
                changed.iter().map(selector).collect()
            },
            full_refresh: request.full_refresh.is_some(),
            full_refresh_at: request
                .full_refresh
                .map(|_| now)
                .or_else(|| newest.and_then(|claim| claim.full_refresh_at)),
            positions,
            covered,
        };
        if !claim::put(self.store, &claim).await? {
            // Events are found in the ledger by the run that has claimed; a request that is not an event has to come again.
            if request.force {
                self.send(&request.again(), self.policy.poll).await?;
            }
            return Ok(Dispatched::Outrun);
        }
        info!(number, dbt_claim = %claim.run_id, selectors = claim.selectors.join(" "), cause = request.cause, "claimed a dbt run");
        self.start(&claim, &claim.first_start()).await?;
        Ok(Dispatched::Started { number })
    }

    /// A run is under way. What was loaded meanwhile is found when it ends; a request that the ledger does not know waits.
    async fn wake_during(&self, claim: &Claim, request: &RunRequest, run_id: &RunId) -> Result<Dispatched> {
        // A full refresh that is under way is the one, whichever message requested it.
        let met = request.full_refresh.is_some() && claim.full_refresh;
        if request.force && !met {
            self.send(&request.again(), self.policy.poll).await?;
        }
        // The run has its own chain of messages; another one for every event would only be more of the same.
        self.follow(claim.number, request.resume, run_id).await
    }

    fn since(&self, then: DateTime<Utc>) -> Duration {
        (self.clock.now() - then).to_std().unwrap_or_default()
    }

    async fn send(&self, message: &Message, delay: Duration) -> Result<()> {
        self.queue.send(&encoded(message)?, delay).await
    }
}

fn encoded(message: &Message) -> Result<serde_json::Value> {
    serde_json::to_value(message)
        .map_err(|error| Error::internal("cannot encode a message to ourselves").because(error))
}

impl RunRequest {
    /// The message that brings the request back. Its time stays, so that a doubled one is known.
    fn again(&self) -> Message {
        match self.full_refresh {
            Some(at) => Message::FullRefresh { at: Some(at) },
            None => Message::Wake { cause: self.cause.clone(), force: self.force, resume: false },
        }
    }

    /// Whether the full refresh that is requested has been claimed.
    fn is_met_by(&self, claim: &Claim) -> bool {
        self.full_refresh.is_some_and(|requested| claim.full_refresh_at.is_some_and(|claimed| claimed >= requested))
    }
}

/// The number of the run that has been claimed and has not ended, if there is one.
pub async fn under_way(store: &impl ObjectStore) -> Result<Option<u64>> {
    let Some(claim) = claim::newest(store).await? else { return Ok(None) };
    Ok(claim::end(store, claim.number).await?.is_none().then_some(claim.number))
}

/// How the newest claimed run has ended; `None` before the first end.
pub async fn last_status(store: &impl ObjectStore) -> Result<Option<EndStatus>> {
    let Some(claim) = claim::newest(store).await? else { return Ok(None) };
    Ok(claim::end(store, claim.number).await?.map(|end| end.status))
}

/// The newest run that succeeded; `None` before the first.
pub async fn last_succeeded(store: &impl ObjectStore) -> Result<Option<u64>> {
    let Some(claim) = claim::newest(store).await? else { return Ok(None) };
    for number in (1..=claim.number).rev() {
        if claim::end(store, number).await?.is_some_and(|end| end.status == EndStatus::Succeeded) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn changed(covered: &Positions, positions: &Positions) -> Vec<TableId> {
    positions
        .iter()
        .filter(|(table, position)| covered.get(*table) != Some(*position))
        .map(|(table, _)| table.clone())
        .collect()
}

/// Everything downstream of a raw table.
fn selector(table: &TableId) -> String {
    format!("source:{}+", source(table))
}

/// What a raw table is called in the dbt project: a source is named after its database and schema.
pub(crate) fn source(table: &TableId) -> String {
    format!("{}_{}.{}", table.database, table.schema, table.table).to_lowercase()
}

#[cfg(test)]
mod tests;
