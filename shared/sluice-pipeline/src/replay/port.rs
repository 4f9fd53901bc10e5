//! What a replay is asked for, and what it asks of the lake, the warehouse and the person who called it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sluice_core::{Cell, DataFile, LakeId, Result, RunId, Table, TableId};

use super::report::{Compared, Report};
use crate::stream::{Channel, Limits};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub table: &'a Table,
    pub topic: &'a str,
    pub lake_id: &'a LakeId,
    /// The creation of the topic whose records count.
    pub cluster_id: &'a str,
    /// Part of each row's run id, after its channel's name.
    pub run_id: &'a RunId,
    /// Records from this time on and before that one.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Only this partition.
    pub partition: Option<i32>,
    /// Only offsets from the first to the last of these.
    pub offsets: (i64, i64),
    pub mode: Mode,
    /// Those of the stream's channels.
    pub limits: Limits,
}

/// What is done about what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Archive and table are counted; nothing is written, no dead letter either.
    DryRun,
    /// The side table is left for a look.
    Compare,
    /// It is swapped in. Rows that the archive lacks end the replay unless they are to go.
    Swap { delete_unarchived: bool },
}

/// A partition's offsets, first and last included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub partition: i32,
    pub first: i64,
    pub last: i64,
    /// The channel whose rows these are: their run ids begin with its name and a slash.
    pub channel: String,
}

/// What a replay does, in the order in which it does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Listing,
    Reading {
        objects: usize,
    },
    /// In a dry run, which ends with it.
    Counting,
    Filling,
    Comparing,
    Swapping,
    Announcing,
    DeletingFiles,
    Dropping,
}

/// Data files that no commit names, beside those of the extracts.
pub trait Files {
    /// One cell for each of [`super::columns`].
    fn push(&mut self, row: &[Cell<'_>]) -> impl Future<Output = Result<()>>;

    /// Completes them. A row that a file does not take is an error: it has kept its contract before.
    fn finish(self) -> impl Future<Output = Result<Vec<DataFile>>>;
}

/// The warehouse as one replay sees it: the table, and a side table that is nobody else's.
pub trait Warehouse {
    /// The offset up to which each channel's rows are durable, by the channel's name. A channel without an offset is a
    /// forgotten one, which goes on after its highest row, or a new one; a new one is absent.
    fn committed(&self, channels: &[Channel]) -> impl Future<Output = Result<BTreeMap<String, i64>>>;

    /// What the table holds of each range, by partition: what can be told without a side table.
    fn count(&self, ranges: &[Range]) -> impl Future<Output = Result<BTreeMap<i32, Compared>>>;

    fn side_table(&self) -> TableId;

    /// Makes the side table and fills it with what the files hold, whatever it held before. Fails when a column's values
    /// are not all there.
    fn fill(&self, files: &[DataFile]) -> impl Future<Output = Result<()>>;

    /// How the two tables compare, by partition; a partition without a row in either may be absent.
    fn compare(&self, ranges: &[Range]) -> impl Future<Output = Result<BTreeMap<i32, Compared>>>;

    /// Compares again, replaces what differs and writes the ledger in one transaction; doing it again changes nothing.
    /// `Conflict`, and nothing changed, when the table holds rows that the archive lacks, unless they are to go.
    fn swap(&self, ranges: &[Range], files: &[DataFile], delete_unarchived: bool) -> impl Future<Output = Result<()>>;

    /// Drops the side table, if it is there.
    fn drop_side_table(&self) -> impl Future<Output = Result<()>>;
}

/// The person who called.
pub trait Operator {
    fn begins(&self, step: Step);

    /// An object of the partition has been read.
    fn has_read(&self, partition: i32);

    /// Whether to change what the report says.
    fn confirms(&self, report: &Report) -> Result<bool>;
}

impl Request<'_> {
    pub(super) fn channel(&self, partition: i32) -> Channel {
        Channel::new(self.lake_id, self.cluster_id, self.topic, partition, self.table.table.clone())
    }
}
