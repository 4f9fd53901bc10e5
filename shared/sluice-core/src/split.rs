//! A read that is partitioned among invocations: its plan, what each part has left behind, and its end.
//!
//! Each is one object under `splits/`, put only if absent. None of them makes a row part of the table: that is still the
//! one commit, which names the files of all parts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    Change, Column, Cursor, DataFile, Error, Rejected, Result, RunId, Schema, Sequence, TableId,
    extract::ExtractRequest,
};

/// The version this code writes. A reader refuses a higher one rather than guess.
pub const FORMAT_VERSION: u32 = 1;

/// The share of one part, in the words of the source that cut it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chunk(pub Value);

impl Chunk {
    pub fn encode(share: &impl Serialize) -> Result<Self> {
        serde_json::to_value(share)
            .map(Chunk)
            .map_err(|error| Error::internal("cannot encode a part's share").because(error))
    }

    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.0)
            .map_err(|error| Error::invalid_data("a part's share does not fit this source").because(error).as_final())
    }
}

/// How a source would partition a read: together the chunks hold every row of it, and no two hold the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Partitioning {
    pub chunks: Vec<Chunk>,
    /// Where the run after this read starts. It must be what was true when the partitioning was made: a part is read later
    /// and may see more, which the next run then reads again.
    pub cursor: Cursor,
    /// Whether the chunks are the whole source, from its very beginning.
    pub is_whole: bool,
    pub facts: Map<String, Value>,
}

/// A partitioned read of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitPlan {
    pub format_version: u32,
    /// Counts the plans of a table from 1.
    pub number: u64,
    pub table: TableId,
    /// The place in the table's log that all parts together take.
    pub sequence: Sequence,
    pub run_id: RunId,
    pub planned_at: DateTime<Utc>,
    pub request: ExtractRequest,
    /// The columns as the contract let them stand when the plan was made; every part reads these.
    pub columns: Schema,
    /// As in the commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_from: Option<Cursor>,
    pub cursor_to: Cursor,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_whole: bool,
    pub chunks: Vec<Chunk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Change>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub facts: Map<String, Value>,
}

impl SplitPlan {
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let broken = |error| Error::invalid_data("the object is not a valid plan of a partitioned read").because(error);
        let Version { format_version } = serde_json::from_slice(bytes).map_err(broken)?;
        if format_version > FORMAT_VERSION {
            return Err(Error::unsupported(format!(
                "the plan has format version {format_version}, this build reads up to {FORMAT_VERSION}; deploy a newer build"
            )));
        }
        serde_json::from_slice(bytes).map_err(broken)
    }
}

/// What one part has made durable. The first attempt that says so counts; the files of others are never named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartResult {
    pub part: usize,
    /// The invocation that read it.
    pub attempt: RunId,
    pub files: Vec<DataFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
    pub ended_at: DateTime<Utc>,
}

/// That the missing parts of a plan have been queued again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedAgain {
    pub number: u64,
    pub parts: Vec<usize>,
    pub at: DateTime<Utc>,
}

/// That a plan will not be carried out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    pub number: u64,
    pub reason: String,
    pub at: DateTime<Utc>,
}

/// A message to ourselves about a plan: read this part, or, without one, look whether the plan needs anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitMessage {
    pub table: TableId,
    pub number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<usize>,
}
