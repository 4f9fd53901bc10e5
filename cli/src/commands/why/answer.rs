//! What the command answers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::TableId;
use sluice_pipeline::why::Trace;

/// A number, and the runs that have brought it about.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub conditions: BTreeMap<String, String>,
    #[serde(flatten)]
    pub trace: Trace,
    pub runs: Vec<Run>,
    pub dbt: Option<DbtRun>,
}

/// A run of an extract that has brought rows behind the number, with its commit and its load.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub table: TableId,
    pub sequence: u64,
    pub run_id: String,
    /// Rows of it that count for the number.
    pub rows: u64,
    pub committed_at: Option<DateTime<Utc>>,
    pub cursor_from: Option<serde_json::Value>,
    pub cursor_to: Option<serde_json::Value>,
    /// `loaded`, and since when.
    pub load: Option<String>,
    pub loaded_at: Option<DateTime<Utc>>,
}

/// The newest run that has built the models.
#[derive(Debug, Serialize)]
pub(super) struct DbtRun {
    pub number: u64,
    pub status: String,
    pub finished_at: Option<DateTime<Utc>>,
}
