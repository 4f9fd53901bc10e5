//! The load loop: a commit that was announced by S3 becomes part of the warehouse, once.
//!
//! Deliveries come late, twice and out of order. What makes a replay a no-op is the ledger, keyed by (lake id, table,
//! sequence), which the load writes in the same transaction as the rows. The announcement comes after, at least once,
//! also when the work was already done: a delivery that died between the two is completed by the next one. A commit that
//! can never load ends in the ledger too, so that nothing tries it again until a person has said so.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_core::{
    Commit, Error, Kind, LakeId, Loader, Result, RunId, Sequence, TableId,
    event::{self, LoadFailed, TableLoaded},
    port::{Bus, ObjectStore},
};

use crate::{log, runs};

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
    /// Handed to Snowpipe so long ago, not yet confirmed.
    Submitted {
        age: Duration,
    },
    Loaded {
        rows: u64,
    },
    Failed {
        reason: String,
    },
}

/// How Snowpipe is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// It is asked this often.
    pub poll: Duration,
    /// What it has not confirmed by then is an error of each delivery.
    pub limit: Duration,
}

/// What a load by COPY has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Of the commit's files.
    pub rows: u64,
    /// Those of them that are not in the table, because another one of the commit has their key.
    pub merged_away: u64,
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
    /// Some of its rows were refused.
    Failed {
        reason: String,
    },
    /// Some of the files could not be read. They may be handed in again.
    Unread {
        reason: String,
    },
}

/// The warehouse as the load loop sees it.
pub trait Warehouse {
    fn ledger(&self, lake: &LakeId, commit: &CommitRef) -> impl Future<Output = Result<LedgerState>>;

    /// Brings the target up to the commit's columns, as far as its contract lets it. Doing it again changes nothing, and
    /// an older commit takes nothing back.
    fn prepare(&self, commit: &Commit) -> impl Future<Output = Result<()>>;

    /// Loads the commit's files and writes the ledger in one transaction; doing it again changes nothing. Fails, and loads
    /// nothing, when a column's values are not all there.
    fn copy(&self, commit: &Commit) -> impl Future<Output = Result<Copied>>;

    /// Records the commit as submitted, then hands its files to the pipe. Submitting a file twice loads it once.
    fn submit(&self, commit: &Commit) -> impl Future<Output = Result<()>>;

    fn progress(&self, commit: &Commit) -> impl Future<Output = Result<PipeProgress>>;

    /// Fails when a column of a commit that the pipe has loaded has more or fewer values than the commit says.
    fn compare(&self, commit: &Commit) -> impl Future<Output = Result<()>>;

    /// Records how a commit ended that did not end in [`Warehouse::copy`]. What is loaded stays loaded.
    fn settle(&self, commit: &Commit, state: &LedgerState) -> impl Future<Output = Result<()>>;

    /// Records that there is no reading this commit.
    fn refuse(&self, lake: &LakeId, at: &CommitRef, reason: &str) -> impl Future<Output = Result<()>>;
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
    /// Snowpipe is loading: look again after this time.
    LookAgain(Duration),
    /// It will not load without a person; said on the bus and in the ledger.
    Failed { reason: String, already: bool },
}

/// Brings one commit into the warehouse and announces it.
pub async fn commit(
    store: &impl ObjectStore,
    warehouse: &impl Warehouse,
    bus: &impl Bus,
    lake: &LakeId,
    at: &CommitRef,
    patience: Patience,
) -> Result<Loaded> {
    let state = warehouse.ledger(lake, at).await?;
    if let LedgerState::Failed { reason } = state {
        return Ok(Loaded::Failed { reason, already: true });
    }
    let commit = match readable(store, lake, at).await {
        Err(error) if error.is_final() => {
            announce_failure(bus, RunId("unreadable".into()), at, &error).await?;
            let reason = error.chain();
            warehouse.refuse(lake, at, &reason).await?;
            return Ok(Loaded::Failed { reason, already: false });
        }
        read => read?,
    };
    runs::follow(&commit.run_id);
    let outcome = match bring_in(warehouse, &commit, state, patience).await {
        // Announced before it is recorded: what dies between the two is announced again, with the same id.
        Err(error) if error.is_final() => {
            announce_failure(bus, commit.run_id.clone(), at, &error).await?;
            let reason = error.chain();
            warehouse.settle(&commit, &LedgerState::Failed { reason: reason.clone() }).await?;
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

async fn readable(store: &impl ObjectStore, lake: &LakeId, at: &CommitRef) -> Result<Commit> {
    let commit = log::read_commit(store, &at.table, at.sequence).await?;
    if commit.lake_id != *lake {
        let error = Error::invalid_data("the commit belongs to another lake").with("lake_id", &commit.lake_id);
        return Err(error.as_final());
    }
    Ok(commit)
}

async fn bring_in(
    warehouse: &impl Warehouse,
    commit: &Commit,
    state: LedgerState,
    patience: Patience,
) -> Result<Loaded> {
    if let LedgerState::Loaded { rows } = state {
        return Ok(Loaded::Done { rows, merged_away: 0, already: true });
    }
    match commit.loader {
        Loader::Copy => {
            warehouse.prepare(commit).await?;
            let Copied { rows, merged_away } = warehouse.copy(commit).await?;
            Ok(Loaded::Done { rows, merged_away, already: false })
        }
        Loader::Snowpipe => pipe(warehouse, commit, &state, patience).await,
        Loader::Streaming => {
            let error = Error::unsupported("a streaming table takes no commits").with("table", &commit.table);
            Err(error.as_final())
        }
    }
}

/// The pipe's history is asked before every submission: after a lost answer the files may be in already.
async fn pipe(warehouse: &impl Warehouse, commit: &Commit, state: &LedgerState, patience: Patience) -> Result<Loaded> {
    let progress = match commit.files.is_empty() {
        true => PipeProgress::Loaded { rows: 0 },
        false => warehouse.progress(commit).await?,
    };
    let failed = |reason: String| {
        let error = Error::invalid_data(format!("the load failed: {reason}"));
        Err(error.with("table", &commit.table).with("sequence", commit.sequence).as_final())
    };
    match &progress {
        PipeProgress::Unknown | PipeProgress::Unread { .. } => {
            warehouse.prepare(commit).await?;
            warehouse.submit(commit).await?;
        }
        PipeProgress::Pending => {}
        &PipeProgress::Loaded { rows } if rows == commit.rows => {
            warehouse.compare(commit).await?;
            warehouse.settle(commit, &LedgerState::Loaded { rows }).await?;
            return Ok(Loaded::Done { rows, merged_away: 0, already: false });
        }
        PipeProgress::Loaded { rows } => {
            return failed(format!("Snowpipe loaded {rows} rows of {} committed", commit.rows));
        }
        PipeProgress::Failed { reason } => return failed(reason.clone()),
    }
    if is_overdue(state, patience.limit) {
        return Err(overdue(commit, progress, patience.limit));
    }
    Ok(Loaded::LookAgain(patience.poll))
}

/// Nothing says that the data is at fault, so nothing ends: a pipe that is paused, or that may not read its stage, loads
/// the files when somebody has mended it. Each delivery says so until then.
fn overdue(commit: &Commit, progress: PipeProgress, limit: Duration) -> Error {
    let seconds = limit.as_secs();
    let text = format!("Snowpipe has not confirmed the files within {seconds} seconds");
    let error = Error::new(Kind::Timeout, text).with("table", &commit.table).with("sequence", commit.sequence);
    let error = match progress {
        PipeProgress::Unread { reason } => error.because(reason),
        _ => error,
    };
    error.with_hint(
        "ask SYSTEM$PIPE_STATUS of the table's pipe and mend what stops it (its owner's grants, the stage, the lake's \
         permissions); the sweep hands the files in again",
    )
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

#[cfg(test)]
mod tests;
