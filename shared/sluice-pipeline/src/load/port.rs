//! What the load loop asks of a warehouse.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Commit, LakeId, Result, RunId, Schema, Sequence, TableId};

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
    /// Handed to the asynchronous load this long ago, not yet confirmed.
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

/// What a load by COPY has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Of the commit's files.
    pub rows: u64,
    /// Those of them that are not in the table, because another one of the commit has their key.
    pub merged_away: u64,
}

/// What the asynchronous load says about the files of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadProgress {
    /// It has never heard of some of the files.
    Unknown,
    Pending,
    Loaded {
        rows: u64,
    },
    /// One of its values was refused. Only what is known to be about a value is this.
    Failed {
        reason: String,
    },
    /// Some of the files failed for any other reason. They may be handed in again.
    Unread {
        reason: String,
    },
}

/// The warehouse as the load loop sees it.
pub trait Warehouse {
    /// What a person can do about an asynchronous load that confirms nothing.
    const OVERDUE_HINT: &'static str;

    /// `run_id` is of the run that made the commit, if the commit can be read.
    fn ledger(
        &self,
        lake: &LakeId,
        commit: &CommitRef,
        run_id: Option<&RunId>,
    ) -> impl Future<Output = Result<LedgerState>>;

    /// Brings the target up to the commit's columns, as far as its contract lets it: a column that the commit says has
    /// evolved, or one of `contract`, which says that the raw table should have it. Doing it again changes nothing,
    /// and an older commit takes nothing back.
    fn prepare(&self, commit: &Commit, contract: &Schema) -> impl Future<Output = Result<()>>;

    /// Loads the commit's files and writes the ledger in one transaction; doing it again changes nothing. Fails, and loads
    /// nothing, when a column's values are not all there.
    fn copy(&self, commit: &Commit) -> impl Future<Output = Result<Copied>>;

    /// Records the commit as submitted, then hands its files to the asynchronous load. Submitting a file twice loads it once.
    fn submit(&self, commit: &Commit) -> impl Future<Output = Result<()>>;

    fn progress(&self, commit: &Commit) -> impl Future<Output = Result<LoadProgress>>;

    /// Fails when a column of a commit that was loaded asynchronously has more or fewer values than the commit says.
    fn compare(&self, commit: &Commit) -> impl Future<Output = Result<()>>;

    /// Records how a commit ended that did not end in [`Warehouse::copy`]. What is loaded stays loaded.
    fn record_outcome(&self, commit: &Commit, state: &LedgerState) -> impl Future<Output = Result<()>>;

    /// Records that there is no reading this commit.
    fn refuse(&self, lake: &LakeId, at: &CommitRef, reason: &str) -> impl Future<Output = Result<()>>;

    /// Takes back that a commit has failed: the next delivery tries it again. What is loaded stays loaded.
    fn forget_failure(&self, lake: &LakeId, at: &CommitRef) -> impl Future<Output = Result<()>>;

    /// All sequences of a table that the ledger knows the end of, or that were handed over at this time or later.
    fn known(&self, lake: &LakeId, table: &TableId, since: DateTime<Utc>) -> impl Future<Output = Result<Vec<u64>>>;
}
