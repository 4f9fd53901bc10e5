//! What an extract is asked for, what a source answers, and what the function reports.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{Change, Cursor, DataFile, Rejected, RunId, Sequence, Table, TableId};

/// The event of an extract function: a schedule's input, or a person's `--data-file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractRequest {
    /// The scheduled time. It is "now" and "today" for the run, so that a replay does the same work.
    pub time: DateTime<Utc>,
    pub table: TableId,
    /// Ignore the cursor and read everything again.
    #[serde(default)]
    pub full_refresh: bool,
    /// Dated sources: first day to make sure of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    /// Dated sources: last day to make sure of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<NaiveDate>,
    /// Sources with a cursor column: read every row from this value on, whatever the newest commit has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_cursor: Option<String>,
    /// Say what a run would read; write nothing and commit nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Read rows for a proof: into files that no commit names. Only a source whose cursor tells read rows from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<AsideRows>,
}

/// Which rows a proof asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsideRows {
    /// Those that the newest commit's cursor has behind it: no run reads them again.
    Behind,
    /// Those that the next run would read.
    Ahead,
}

impl ExtractRequest {
    /// What a schedule asks for: everything new at this time.
    pub fn scheduled(table: TableId, time: DateTime<Utc>) -> Self {
        ExtractRequest {
            time,
            table,
            full_refresh: false,
            from: None,
            to: None,
            from_cursor: None,
            dry_run: false,
            aside: None,
        }
    }
}

/// One run of one extract, as its source sees it.
#[derive(Debug, Clone, Copy)]
pub struct ExtractRun<'a> {
    pub request: &'a ExtractRequest,
    pub table: &'a Table,
    pub run_id: &'a RunId,
    /// The sequence the commit will have, if this run is the one that wins it.
    pub sequence: Sequence,
    /// Where the newest commit stands; `None` on the first run, on a full refresh and for a table that is replaced whole.
    pub cursor: Option<&'a Cursor>,
}

/// What a source has made durable and now offers for commit.
#[derive(Debug, Clone, Default)]
pub struct Extracted {
    pub files: Vec<DataFile>,
    pub rejected: Option<Rejected>,
    pub cursor: Option<Cursor>,
    /// As in the commit. Only a source knows where its beginning and its end are.
    pub whole_since: Option<Sequence>,
    pub facts: serde_json::Map<String, serde_json::Value>,
}

impl Extracted {
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// What a run would read, as far as its source can tell without reading it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// `None` when the source cannot count without reading.
    #[serde(default)]
    pub rows: Option<u64>,
    /// The source's own words on what it would read: a range of values, days, a table's size.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// How an extract ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Committed,
    /// The source had nothing after the cursor: no commit, no load.
    NothingNew,
    /// A dry run: nothing was written; `plan` says what a run would read.
    DryRun,
    /// The read is partitioned among further invocations, since this run or an earlier one; the last of them commits it as
    /// `sequence`.
    InParts,
    /// A read for a proof: nothing was committed; `aside` says what was written.
    Aside,
}

impl Outcome {
    /// As in the function's answer and its log.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Committed => "committed",
            Outcome::NothingNew => "nothing_new",
            Outcome::DryRun => "dry_run",
            Outcome::InParts => "in_parts",
            Outcome::Aside => "aside",
        }
    }
}

/// How far a partitioned read has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    pub done: usize,
    pub of: usize,
}

/// What a proof's read has left in the lake. The proof deletes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aside {
    /// The commit whose cursor it read by.
    pub newest: Sequence,
    pub files: Vec<DataFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
}

/// The function's answer and the summary line of its log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractSummary {
    pub outcome: Outcome,
    pub table: TableId,
    pub run_id: RunId,
    pub sequence: Option<Sequence>,
    pub rows: u64,
    pub rejected: u64,
    pub files: usize,
    pub bytes: u64,
    pub cursor_to: Option<Cursor>,
    /// Only of a dry run. `rows` above is then its count, or 0 where the source cannot count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Only of a dry run: how the source differs from its contract, as a run's commit would tell it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Change>,
    /// Only of a read for a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Aside>,
    /// Only of a read in parts, and of a dry run that finds one under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// What the source said about itself and about what remains to be read; as in the commit.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

impl ExtractSummary {
    /// The summary of a run that found nothing.
    pub fn nothing_new(table: TableId, run_id: RunId) -> Self {
        ExtractSummary {
            outcome: Outcome::NothingNew,
            table,
            run_id,
            sequence: None,
            rows: 0,
            rejected: 0,
            files: 0,
            bytes: 0,
            cursor_to: None,
            plan: None,
            drift: Vec::new(),
            aside: None,
            parts: None,
            facts: serde_json::Map::new(),
        }
    }
}
