//! What the platform says on its bus. Delivered at least once; each announcement carries an id to dedupe by.

use serde::{Deserialize, Serialize};

use crate::{Change, LakeId, RunId, Sequence, TableId, change::Severity};

/// An announcement: `source` and `detail_type` route it, `detail` carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    pub source: &'static str,
    pub detail_type: &'static str,
    pub detail: serde_json::Value,
}

/// A commit is in the warehouse, or a channel has moved on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLoaded {
    /// (table, sequence): a repeated announcement has the same id.
    pub id: String,
    pub run_id: RunId,
    pub lake_id: LakeId,
    pub table: TableId,
    pub sequence: Sequence,
    pub rows: u64,
}

/// A commit will not load without a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadFailed {
    pub id: String,
    pub run_id: RunId,
    pub table: TableId,
    pub sequence: Sequence,
    pub kind: String,
    pub reason: String,
}

/// A source is not what its contract says, or not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftDetected {
    /// The table and what has changed: a repeated announcement has the same id.
    pub id: String,
    pub run_id: RunId,
    pub table: TableId,
    pub severity: Severity,
    pub changes: Vec<Change>,
}

/// The warehouse's account is not what its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDrifted {
    /// What differs: a repeated announcement has the same id.
    pub id: String,
    pub run_id: RunId,
    pub environment: String,
    pub differences: usize,
    /// In one line; `sluice warehouse drift` tells all of it.
    pub summary: String,
}

/// A dbt run began, or ended one way or the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbtRun {
    pub id: String,
    pub run_id: RunId,
    pub number: u64,
    #[serde(default)]
    pub cause: String,
    /// Empty means everything.
    pub selectors: Vec<String>,
    #[serde(default)]
    pub full_refresh: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the run did; zero and empty until it has ended.
    #[serde(default)]
    pub models: u64,
    #[serde(default)]
    pub rows: u64,
    #[serde(default)]
    pub seconds: u64,
    /// The models that it has built, by name: what stands behind them has passed its tests.
    #[serde(default)]
    pub built: Vec<String>,
    /// The nodes that failed, by name and never with their message: that may quote a row.
    #[serde(default)]
    pub failed: Vec<String>,
}

/// An activation ended, with all that it had to send, or has stopped before that. One that goes on later tells of its end then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The destination and the run's number: a repeated announcement has the same id.
    pub id: String,
    pub run_id: RunId,
    pub destination: String,
    pub number: u64,
    pub written: u64,
    pub refused: u64,
    /// Records that are still to be sent.
    pub pending: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

macro_rules! announce {
    ($type:ty, $source:literal, $detail_type:literal, $name:ident) => {
        pub fn $name(detail: &$type) -> Announcement {
            announcement($source, $detail_type, detail)
        }
    };
}

announce!(TableLoaded, "sluice.warehouse", "TableLoaded", table_loaded);
announce!(LoadFailed, "sluice.warehouse", "LoadFailed", load_failed);
announce!(DriftDetected, "sluice.warehouse", "DriftDetected", drift_detected);
announce!(AccountDrifted, "sluice.warehouse", "AccountDrifted", account_drifted);
announce!(DbtRun, "sluice.dbt", "RunStarted", run_started);
announce!(DbtRun, "sluice.dbt", "RunSucceeded", run_succeeded);
announce!(DbtRun, "sluice.dbt", "RunFailed", run_failed);
announce!(Activation, "sluice.activation", "SyncCompleted", sync_completed);
announce!(Activation, "sluice.activation", "SyncStopped", sync_stopped);

fn announcement(source: &'static str, detail_type: &'static str, detail: &impl Serialize) -> Announcement {
    // Serialising these structs of strings and numbers cannot fail.
    let detail = serde_json::to_value(detail).unwrap_or_default();
    Announcement { source, detail_type, detail }
}
