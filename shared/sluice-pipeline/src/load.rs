//! The load loop: a commit that was announced by S3 becomes part of the warehouse, once.
//!
//! Deliveries come late, twice and out of order. What makes a replay a no-op is the ledger, keyed by (lake id, table,
//! sequence), which the load writes in the same transaction as the rows. The announcement comes after, at least once,
//! also when the work was already done: a delivery that died between the two is completed by the next one. A commit that
//! can never load ends in the ledger too, so that nothing tries it again until a person has said so.

mod port;
#[cfg(test)]
mod tests;

use std::time::Duration;

use sluice_core::{
    Commit, Error, Kind, LakeId, Loader, Result, RunId, Schema, Sequence, Sources,
    event::{self, LoadFailed, TableLoaded},
    port::{Bus, Clock, DelayedQueue, ObjectStore},
};
use tracing::{error, info};

pub use port::{CommitRef, Copied, LedgerState, LoadProgress, Warehouse};

use crate::{attempts, log, runs};

/// How an asynchronous load is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollPolicy {
    /// It is asked this often.
    pub poll: Duration,
    /// What it has not confirmed by then is an error of each delivery.
    pub limit: Duration,
}

/// What one message asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Work {
    Load(Vec<CommitRef>),
    /// Forget that the commit has failed, and load it.
    Retry(CommitRef),
    /// Look for commits that were missed.
    Sweep,
    Nothing,
}

/// How one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    Done {
        rows: u64,
        /// Not known of a load that an earlier delivery has done.
        merged_away: u64,
        already: bool,
    },
    /// The load is under way: look again after this time.
    LookAgain(Duration),
    /// It will not load without a person; said on the bus and in the ledger.
    Failed { reason: String, already: bool },
}

/// The loop: its ports and its settings.
pub struct Load<'a, S, W, B, Q, C> {
    pub store: &'a S,
    pub warehouse: &'a W,
    pub bus: &'a B,
    /// The loop's own queue.
    pub queue: &'a Q,
    pub clock: &'a C,
    pub sources: &'a Sources,
    pub lake_id: &'a LakeId,
    pub poll_policy: PollPolicy,
}

impl<S: ObjectStore, W: Warehouse, B: Bus, Q: DelayedQueue, C: Clock> Load<'_, S, W, B, Q, C> {
    pub async fn handle(&self, work: &Work) -> Result<()> {
        match work {
            Work::Nothing => Ok(()),
            Work::Sweep => self.sweep().await,
            Work::Retry(commit) => self.retry(commit).await,
            Work::Load(commits) => {
                for commit in commits {
                    self.load(commit).await?;
                }
                Ok(())
            }
        }
    }

    async fn load(&self, at: &CommitRef) -> Result<()> {
        attempts::kept(self.store, self.clock, &at.table, at.sequence, self.attempt(at)).await
    }

    async fn attempt(&self, at: &CommitRef) -> Result<()> {
        match self.commit(at).await? {
            Loaded::Done { rows, merged_away, already } => {
                info!(table = %at.table, sequence = at.sequence.0, rows, merged_away, already, "loaded");
                Ok(())
            }
            Loaded::LookAgain(wait) => {
                info!(table = %at.table, sequence = at.sequence.0, "the load is under way");
                self.again(at, wait).await
            }
            Loaded::Failed { reason, already } => {
                let hint = "fix the cause, then send {\"retry\": {\"table\": …, \"sequence\": …}} to the load queue";
                error!(table = %at.table, sequence = at.sequence.0, reason, already, hint, "will not load");
                Ok(())
            }
        }
    }

    /// A person has mended what made a commit fail.
    async fn retry(&self, at: &CommitRef) -> Result<()> {
        self.sources.table(&at.table)?;
        self.warehouse.forget_failure(self.lake_id, at).await?;
        info!(table = %at.table, sequence = at.sequence.0, "its failure is forgotten; it is tried again");
        self.load(at).await
    }

    /// Notifications come late and may be lost: every commit that the ledger does not know is queued again, and every one
    /// whose asynchronous load began longer ago than anybody follows it.
    async fn sweep(&self) -> Result<()> {
        let followed_since = self.clock.now() - self.poll_policy.limit;
        for table in self.sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
            let Some(newest) = log::newest_commit(self.store, &table.table).await? else { continue };
            let known = self.warehouse.known(self.lake_id, &table.table, followed_since).await?;
            let missing: Vec<u64> = (Sequence::FIRST.0..=newest.sequence.0).filter(|n| !known.contains(n)).collect();
            for &sequence in &missing {
                let at = CommitRef { table: table.table.clone(), sequence: Sequence(sequence) };
                self.again(&at, Duration::ZERO).await?;
            }
            info!(table = %table.table, missing = missing.len(), "swept");
        }
        Ok(())
    }

    async fn again(&self, at: &CommitRef, wait: Duration) -> Result<()> {
        let body = serde_json::to_value(at)
            .map_err(|error| Error::internal("cannot encode a message to ourselves").because(error))?;
        self.queue.send(&body, wait).await
    }

    /// Brings one commit into the warehouse and announces it.
    pub async fn commit(&self, at: &CommitRef) -> Result<Loaded> {
        let Load { store, warehouse, bus, lake_id: lake, .. } = *self;
        let contract = &self.sources.table(&at.table)?.columns;
        // Read before the ledger is asked, because the question carries the run's id; judged after the ledger's answer.
        let read = readable(store, lake, at).await;
        let run_id = read.as_ref().ok().map(|commit| &commit.run_id);
        if let Some(run_id) = run_id {
            runs::follow(run_id);
        }
        let state = warehouse.ledger(lake, at, run_id).await?;
        if let LedgerState::Failed { reason } = state {
            return Ok(Loaded::Failed { reason, already: true });
        }
        let commit = match read {
            Err(error) if error.is_final() => {
                announce_failure(bus, RunId("unreadable".into()), at, &error).await?;
                let reason = error.chain();
                warehouse.refuse(lake, at, &reason).await?;
                return Ok(Loaded::Failed { reason, already: false });
            }
            read => read?,
        };
        let outcome = match self.bring_in(&commit, contract, state).await {
            // Announced before it is recorded: what dies between the two is announced again, with the same id.
            Err(error) if error.is_final() => {
                announce_failure(bus, commit.run_id.clone(), at, &error).await?;
                let reason = error.chain();
                warehouse.record_outcome(&commit, &LedgerState::Failed { reason: reason.clone() }).await?;
                return Ok(Loaded::Failed { reason, already: false });
            }
            outcome => outcome?,
        };
        // A reset brings no rows: nobody downstream has anything to do.
        if let (Loaded::Done { rows, .. }, None) = (&outcome, &commit.reset) {
            let rows = *rows;
            bus.announce(event::table_loaded(&TableLoaded {
                id: format!("{}#{}", at.table, at.sequence),
                run_id: commit.run_id.clone(),
                lake_id: lake.clone(),
                table: at.table.clone(),
                sequence: at.sequence,
                rows,
            }))
            .await?;
        }
        Ok(outcome)
    }

    async fn bring_in(&self, commit: &Commit, contract: &Schema, state: LedgerState) -> Result<Loaded> {
        if let LedgerState::Loaded { rows } = state {
            return Ok(Loaded::Done { rows, merged_away: 0, already: true });
        }
        match commit.loader {
            Loader::Copy => {
                self.warehouse.prepare(commit, contract).await?;
                let Copied { rows, merged_away } = self.warehouse.copy(commit).await?;
                Ok(Loaded::Done { rows, merged_away, already: false })
            }
            Loader::Async => self.follow(commit, contract, &state).await,
            Loader::Streaming => {
                let error = Error::unsupported("a streaming table takes no commits").with("table", &commit.table);
                Err(error.as_final())
            }
        }
    }

    /// What became of the files is asked before every submission: after a lost answer they may be in already.
    async fn follow(&self, commit: &Commit, contract: &Schema, state: &LedgerState) -> Result<Loaded> {
        let Load { warehouse, poll_policy, .. } = *self;
        let progress = match commit.files.is_empty() {
            true => LoadProgress::Loaded { rows: 0 },
            false => warehouse.progress(commit).await?,
        };
        let failed = |reason: String| {
            let error = Error::invalid_data(format!("the load failed: {reason}"));
            Err(error.with("table", &commit.table).with("sequence", commit.sequence).as_final())
        };
        match &progress {
            LoadProgress::Unknown | LoadProgress::Unread { .. } => {
                warehouse.prepare(commit, contract).await?;
                warehouse.submit(commit).await?;
            }
            LoadProgress::Pending => {}
            &LoadProgress::Loaded { rows } if rows == commit.rows => {
                warehouse.compare(commit).await?;
                warehouse.record_outcome(commit, &LedgerState::Loaded { rows }).await?;
                return Ok(Loaded::Done { rows, merged_away: 0, already: false });
            }
            LoadProgress::Loaded { rows } => {
                return failed(format!("{rows} rows of {} committed were loaded", commit.rows));
            }
            LoadProgress::Failed { reason } => return failed(reason.clone()),
        }
        if is_overdue(state, poll_policy.limit) {
            return Err(overdue(commit, progress, poll_policy.limit).with_hint(W::OVERDUE_HINT));
        }
        Ok(Loaded::LookAgain(poll_policy.poll))
    }
}

async fn readable(store: &impl ObjectStore, lake: &LakeId, at: &CommitRef) -> Result<Commit> {
    let commit = log::read_commit(store, &at.table, at.sequence).await?;
    if commit.lake_id != *lake {
        let error = Error::invalid_data("the commit belongs to another lake").with("lake_id", &commit.lake_id);
        return Err(error.as_final());
    }
    Ok(commit)
}

/// Nothing says that the data is at fault, so nothing ends: a load that is paused, or that may not read its files, goes on
/// when somebody has mended it. Each delivery says so until then.
fn overdue(commit: &Commit, progress: LoadProgress, limit: Duration) -> Error {
    let seconds = limit.as_secs();
    let text = format!("the warehouse has not confirmed the files within {seconds} seconds");
    let error = Error::new(Kind::Timeout, text).with("table", &commit.table).with("sequence", commit.sequence);
    match progress {
        LoadProgress::Unread { reason } => error.because(reason),
        _ => error,
    }
}

fn is_overdue(state: &LedgerState, limit: Duration) -> bool {
    matches!(state, LedgerState::Submitted { age } if *age >= limit)
}

/// Says on the bus that a commit will not load without a person.
async fn announce_failure(bus: &impl Bus, run_id: RunId, at: &CommitRef, error: &Error) -> Result<()> {
    bus.announce(event::load_failed(&LoadFailed {
        id: format!("{}#{}", at.table, at.sequence),
        run_id,
        table: at.table.clone(),
        sequence: at.sequence,
        kind: error.kind().as_str().to_owned(),
        reason: error.chain(),
    }))
    .await
}
