//! The dispatch loop: dbt runs because data arrived, one run at a time.
//!
//! An event only wakes the loop. What there is to do is the difference between what the warehouse holds and what the
//! last successful run covered, so a lost, doubled or late event changes nothing. A run is a claim, put if absent under
//! `dbt/log/`, and an end, put if absent under `dbt/ended/`; no claim follows a claim that has not ended. The loop never
//! waits: it sends itself a message and looks again.
//!
//! A trigger of a dbt job is not idempotent, so a run's cause carries the claim's number and attempt, and the recent runs
//! are searched for it before anything is started: a function that died between claim and trigger is completed by the
//! next message.

mod claim;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Result, RunId, TableId,
    event::{self, DbtRun},
    lake,
    port::{Bus, Clock, Later, ObjectStore},
};
use tracing::{info, warn};

pub use claim::{Claim, End, EndStatus, Positions};

/// Which rows of each table the warehouse holds: a number that changes with every load. Never a time.
pub trait Ledger {
    fn positions(&self) -> impl Future<Output = Result<Positions>>;

    /// Keeps how a run ended where people and monitors look.
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

    /// The newest runs of the job, newest first.
    fn recent(&self) -> impl Future<Output = Result<Vec<JobRun>>>;

    fn cancel(&self, id: &str) -> impl Future<Output = Result<()>>;

    /// A file the run left behind; `None` if it left none of that name.
    fn artifact(&self, id: &str, name: &str) -> impl Future<Output = Result<Option<bytes::Bytes>>>;
}

/// From a claim to the job's start: longer than the trigger's own time limit.
const START_WITHIN: Duration = Duration::from_secs(75);

/// A run that is cancelled again and again is given up after so many.
const MOST_ATTEMPTS: usize = 3;

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
        /// The run under way may have lost its chain of messages: follow it anew.
        #[serde(default)]
        revive: bool,
    },
    /// Look at the run of this claim.
    Follow { number: u64 },
}

/// The loop's settings.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// At least this long from one claim to the next.
    pub min_interval: Duration,
    /// How often a run under way is looked at.
    pub poll: Duration,
    /// A run that takes longer is cancelled and counts as failed.
    pub limit: Duration,
}

/// What an invocation found or did; for the log and for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatched {
    /// Everything the warehouse holds is covered, or was tried in vain and has not changed since.
    NothingToDo,
    /// There is work, but the last claim is too young: woken again later.
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
    pub later: &'a Q,
    pub clock: &'a C,
    pub policy: Policy,
}

impl<S: ObjectStore, L: Ledger, J: Jobs, B: Bus, Q: Later, C: Clock> Dispatch<'_, S, L, J, B, Q, C> {
    pub async fn handle(&self, message: &Message, run_id: &RunId) -> Result<Dispatched> {
        match message {
            Message::Wake { cause, force, revive } => self.wake(cause, *force, *revive, run_id).await,
            Message::Follow { number } => self.follow(*number, true).await,
        }
    }

    async fn wake(&self, cause: &str, force: bool, revive: bool, run_id: &RunId) -> Result<Dispatched> {
        let newest = claim::newest(self.store).await?;
        let last = match &newest {
            None => None,
            Some(claim) => match claim::end(self.store, claim.number).await? {
                // The run has its own chain of messages; another one for every event would only be more of the same.
                None => return self.follow(claim.number, revive).await,
                Some(end) => Some((claim, end)),
            },
        };
        let positions = self.ledger.positions().await?;
        let (covered, attempted, number) = match &last {
            None => (Positions::new(), Positions::new(), 1),
            Some((claim, end)) => (end.covered.clone(), claim.positions.clone(), claim.number + 1),
        };
        let changed = changed(&covered, &positions);
        if !force && (changed.is_empty() || positions == attempted) {
            return Ok(Dispatched::NothingToDo);
        }
        if let Some((claim, _)) = &last {
            let age = (self.clock.now() - claim.claimed_at).to_std().unwrap_or_default();
            if let Some(wait) = self.policy.min_interval.checked_sub(age).filter(|wait| !wait.is_zero()) {
                self.send(&Message::Wake { cause: cause.to_owned(), force, revive: false }, wait).await?;
                return Ok(Dispatched::Deferred);
            }
        }
        let claim = Claim {
            number,
            run_id: run_id.clone(),
            claimed_at: self.clock.now(),
            cause: cause.to_owned(),
            // The first run builds everything: models without a source are in nobody's selection.
            selectors: if force || covered.is_empty() { Vec::new() } else { changed.iter().map(selector).collect() },
            positions,
            covered,
        };
        if !claim::put(self.store, &claim).await? {
            return Ok(Dispatched::Outrun);
        }
        info!(number, selectors = claim.selectors.join(" "), cause, "claimed a dbt run");
        self.start(&claim, 1, &claim.selectors).await?;
        Ok(Dispatched::Started { number })
    }

    /// Looks at the run of a claim and does whatever comes next.
    /// Looks again later only where `chain` says that this is the run's own chain of messages.
    async fn follow(&self, number: u64, chain: bool) -> Result<Dispatched> {
        if let Some(end) = claim::end(self.store, number).await? {
            return Ok(Dispatched::Ended { number, status: end.status });
        }
        let claim = claim::read(self.store, number).await?;
        let marker = marker(&claim);
        let recent = self.jobs.recent().await?;
        let mut attempts: Vec<&JobRun> = recent.iter().filter(|run| run.cause.starts_with(&marker)).collect();
        attempts.reverse();
        let age = (self.clock.now() - claim.claimed_at).to_std().unwrap_or_default();
        let Some(run) = attempts.last().copied() else {
            if age < START_WITHIN {
                // Whoever has claimed is about to start it, or has died and is replaced when this time is over.
                if chain {
                    self.send(&Message::Follow { number }, START_WITHIN - age).await?;
                }
                return Ok(Dispatched::UnderWay { number });
            }
            self.start(&claim, 1, &claim.selectors).await?;
            return Ok(Dispatched::Started { number });
        };
        match &run.state {
            JobState::UnderWay if age > self.policy.limit => {
                self.jobs.cancel(&run.id).await?;
                let reason = format!("cancelled after {} minutes", self.policy.limit.as_secs() / 60);
                self.end(&claim, run, EndStatus::Failed, Some(reason)).await
            }
            JobState::UnderWay => {
                if chain {
                    self.send(&Message::Follow { number }, self.policy.poll).await?;
                }
                Ok(Dispatched::UnderWay { number })
            }
            JobState::Succeeded => self.end(&claim, run, EndStatus::Succeeded, None).await,
            // Nothing is wrong with the work: somebody or a restart has stopped it, so it is done again, whole.
            JobState::Cancelled if attempts.len() < MOST_ATTEMPTS => {
                self.start(&claim, attempts.len() + 1, &claim.selectors).await?;
                Ok(Dispatched::UnderWay { number })
            }
            JobState::Cancelled => self.end(&claim, run, EndStatus::Failed, Some("cancelled".into())).await,
            JobState::Failed { reason } if attempts.len() == 1 => match self.unfinished(&run.id).await? {
                nodes if nodes.is_empty() => self.end(&claim, run, EndStatus::Failed, Some(reason.clone())).await,
                nodes => {
                    warn!(number, nodes = nodes.join(" "), "retrying a dbt run once from what failed");
                    self.start(&claim, 2, &nodes).await?;
                    Ok(Dispatched::UnderWay { number })
                }
            },
            JobState::Failed { reason } => self.end(&claim, run, EndStatus::Failed, Some(reason.clone())).await,
        }
    }

    async fn start(&self, claim: &Claim, attempt: usize, selectors: &[String]) -> Result<()> {
        let cause = format!("{}attempt {attempt}: {}", marker(claim), claim.cause);
        let mut step = "dbt build --exclude-resource-type unit_test".to_owned();
        if !selectors.is_empty() {
            step.push_str(" --select ");
            step.push_str(&selectors.join(" "));
        }
        let run = self.jobs.start(&cause, &[step]).await?;
        info!(number = claim.number, attempt, dbt_run_id = run.id, "dbt run started");
        self.bus.announce(event::run_started(&announcement(claim, None))).await?;
        self.send(&Message::Follow { number: claim.number }, self.policy.poll).await
    }

    /// Keeps what the run left, ends the claim, says so, and looks for work that came meanwhile. Each step may be done
    /// twice: the end is put if absent, and a second announcement has the first one's id.
    async fn end(&self, claim: &Claim, run: &JobRun, status: EndStatus, reason: Option<String>) -> Result<Dispatched> {
        for name in ["manifest.json", "run_results.json"] {
            if let Some(body) = self.jobs.artifact(&run.id, name).await? {
                self.store.put(&lake::dbt_artifact_key(claim.number, name), body).await?;
            }
        }
        let covered = match status {
            EndStatus::Succeeded => claim.positions.clone(),
            EndStatus::Failed => claim.covered.clone(),
        };
        let end = End {
            number: claim.number,
            status,
            dbt_run_id: run.id.clone(),
            ended_at: self.clock.now(),
            reason,
            covered,
        };
        self.ledger.record(claim, &end).await?;
        let detail = announcement(claim, end.reason.clone());
        self.bus
            .announce(match status {
                EndStatus::Succeeded => event::run_succeeded(&detail),
                EndStatus::Failed => event::run_failed(&detail),
            })
            .await?;
        claim::put_end(self.store, &end).await?;
        match status {
            EndStatus::Succeeded => info!(number = claim.number, "dbt run succeeded"),
            EndStatus::Failed => {
                tracing::error!(
                    number = claim.number,
                    reason = end.reason.as_deref().unwrap_or_default(),
                    "dbt run failed"
                )
            }
        }
        let wake = Message::Wake { cause: format!("run {} ended", claim.number), force: false, revive: false };
        self.send(&wake, Duration::ZERO).await?;
        Ok(Dispatched::Ended { number: claim.number, status })
    }

    /// The models and tests of a failed run that did not finish, as selectors; whatever hangs on a failed model was
    /// skipped and is listed itself.
    async fn unfinished(&self, id: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct RunResults {
            results: Vec<NodeResult>,
        }
        #[derive(Deserialize)]
        struct NodeResult {
            unique_id: String,
            status: String,
        }
        let Some(body) = self.jobs.artifact(id, "run_results.json").await? else { return Ok(Vec::new()) };
        let results: RunResults = serde_json::from_slice(&body).map_err(|error| {
            Error::invalid_data("run_results.json of a dbt run does not parse").with("dbt_run_id", id).because(error)
        })?;
        let mut nodes: Vec<String> = results
            .results
            .iter()
            .filter(|node| matches!(node.status.as_str(), "error" | "fail" | "skipped" | "runtime error"))
            .filter_map(|node| node.unique_id.split('.').nth(2).map(str::to_owned))
            .collect();
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    async fn send(&self, message: &Message, delay: Duration) -> Result<()> {
        let body = serde_json::to_value(message)
            .map_err(|error| Error::internal("cannot encode a message to ourselves").because(error))?;
        self.later.send(&body, delay).await
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

fn changed(covered: &Positions, positions: &Positions) -> Vec<TableId> {
    positions
        .iter()
        .filter(|(table, position)| covered.get(*table) != Some(*position))
        .map(|(table, _)| table.clone())
        .collect()
}

/// Everything downstream of a raw table. In the dbt project a source is named after its database and schema.
fn selector(table: &TableId) -> String {
    format!("source:{}_{}.{}+", table.database, table.schema, table.table).to_lowercase()
}

/// How a claim finds its own runs again. The run id tells it from the same number in another lake.
fn marker(claim: &Claim) -> String {
    format!("sluice dispatch {} ({}) ", claim.number, claim.run_id)
}

fn announcement(claim: &Claim, reason: Option<String>) -> DbtRun {
    DbtRun {
        id: format!("dbt#{}", claim.number),
        run_id: claim.run_id.clone(),
        number: claim.number,
        selectors: claim.selectors.clone(),
        reason,
    }
}

#[cfg(test)]
mod tests;
