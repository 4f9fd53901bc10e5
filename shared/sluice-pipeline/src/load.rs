//! The load loop: a commit that was announced by S3 becomes part of the warehouse, once.
//!
//! Deliveries come late, twice and out of order. What makes a replay a no-op is the ledger, keyed by (lake id, table,
//! sequence), which the load writes in the same transaction as the rows. The announcement comes after, at least once,
//! also when the work was already done: a delivery that died between the two is completed by the next one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_core::{
    Commit, Error, LakeId, Loader, Result, Sequence, TableId,
    event::{self, LoadFailed, TableLoaded},
    port::{Bus, ObjectStore},
};

use crate::log;

/// A commit's place: what a delivery is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRef {
    pub table: TableId,
    pub sequence: Sequence,
}

/// What the ledger says about a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerState {
    Absent,
    /// Handed to Snowpipe, not yet confirmed.
    Submitted,
    Loaded {
        rows: u64,
    },
    Failed {
        reason: String,
    },
}

/// What Snowpipe says about the files of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipeProgress {
    /// It has never heard of some of the files.
    Unknown,
    Pending,
    Loaded {
        rows: u64,
    },
    Failed {
        reason: String,
    },
}

/// The warehouse as the load loop sees it.
pub trait Warehouse {
    fn ledger(&self, lake: &LakeId, commit: &CommitRef) -> impl Future<Output = Result<LedgerState>>;

    /// Loads the commit's files and writes the ledger in one transaction; doing it again changes nothing. Returns the
    /// rows loaded by whoever did it.
    fn copy(&self, commit: &Commit) -> impl Future<Output = Result<u64>>;

    /// Records the commit as submitted, then hands its files to the pipe. Submitting a file twice loads it once.
    fn submit(&self, commit: &Commit) -> impl Future<Output = Result<()>>;

    fn progress(&self, commit: &Commit) -> impl Future<Output = Result<PipeProgress>>;

    /// Records how a submitted commit ended.
    fn settle(&self, commit: &Commit, state: &LedgerState) -> impl Future<Output = Result<()>>;
}

/// How one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    Done {
        rows: u64,
        already: bool,
    },
    /// Snowpipe is at it: look again after this time.
    LookAgain(Duration),
}

/// Brings one commit into the warehouse and announces it.
pub async fn commit(
    store: &impl ObjectStore,
    warehouse: &impl Warehouse,
    bus: &impl Bus,
    lake: &LakeId,
    at: &CommitRef,
    poll: Duration,
) -> Result<Loaded> {
    let state = warehouse.ledger(lake, at).await?;
    if let LedgerState::Failed { reason } = state {
        return Err(Error::invalid_data(format!("this commit failed to load before: {reason}"))
            .with("table", &at.table)
            .with("sequence", at.sequence));
    }
    let commit = log::read_commit(store, &at.table, at.sequence).await?;
    if commit.lake_id != *lake {
        return Err(Error::invalid_data("the commit belongs to another lake").with("lake_id", &commit.lake_id));
    }
    let outcome = match state {
        LedgerState::Loaded { rows } => Loaded::Done { rows, already: true },
        _ => match commit.loader {
            Loader::Copy => Loaded::Done { rows: warehouse.copy(&commit).await?, already: false },
            Loader::Snowpipe => pipe(warehouse, &commit, &state, poll).await?,
            Loader::Streaming => {
                return Err(Error::unsupported("a streaming table takes no commits").with("table", &at.table));
            }
        },
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

/// The pipe's history is asked before every submission: after a lost answer the files may be in already.
async fn pipe(warehouse: &impl Warehouse, commit: &Commit, state: &LedgerState, poll: Duration) -> Result<Loaded> {
    let progress = match (commit.files.is_empty(), state) {
        (true, _) => PipeProgress::Loaded { rows: 0 },
        (false, _) => warehouse.progress(commit).await?,
    };
    match progress {
        PipeProgress::Unknown => {
            warehouse.submit(commit).await?;
            Ok(Loaded::LookAgain(poll))
        }
        PipeProgress::Pending => Ok(Loaded::LookAgain(poll)),
        PipeProgress::Loaded { rows } if rows == commit.rows => {
            warehouse.settle(commit, &LedgerState::Loaded { rows }).await?;
            Ok(Loaded::Done { rows, already: false })
        }
        PipeProgress::Loaded { rows } => {
            let reason = format!("Snowpipe loaded {rows} rows of {} committed", commit.rows);
            fail(warehouse, commit, reason).await
        }
        PipeProgress::Failed { reason } => fail(warehouse, commit, reason).await,
    }
}

async fn fail(warehouse: &impl Warehouse, commit: &Commit, reason: String) -> Result<Loaded> {
    warehouse.settle(commit, &LedgerState::Failed { reason: reason.clone() }).await?;
    Err(Error::invalid_data(format!("the load failed: {reason}"))
        .with("table", &commit.table)
        .with("sequence", commit.sequence))
}

/// Says on the bus that a commit will not load without a person.
pub async fn announce_failure(bus: &impl Bus, run_id: sluice_core::RunId, at: &CommitRef, error: &Error) -> Result<()> {
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

#[cfg(test)]
mod tests;
