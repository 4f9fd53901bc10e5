//! What a replay has found, and what it has done about it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::TableId;

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The archive holds nothing of the asked time that is committed.
    #[serde(rename = "nothing archived")]
    NothingArchived,
    #[serde(rename = "dry run")]
    DryRun,
    #[serde(rename = "nothing to change")]
    NothingToChange,
    /// The table holds rows that the archive lacks.
    #[serde(rename = "refused")]
    Refused,
    /// The operator did not confirm it.
    #[serde(rename = "refused")]
    Declined,
    /// What differs is left in the side table.
    #[serde(rename = "compared")]
    Compared,
    #[serde(rename = "replayed")]
    Replayed,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub table: TableId,
    pub topic: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// `None` until it has ended, and for good when it broke off: whether rows were swapped in is not known then.
    pub outcome: Option<Outcome>,
    /// Where the archive's rows are, as long as they are there.
    pub side_table: Option<TableId>,
    /// Why data files are left in the lake: they are to be deleted when there is an outcome.
    pub files_problem: Option<String>,
    pub partitions: Vec<Partition>,
}

/// One partition's range, in the archive and in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    pub partition: i32,
    /// `None` when nothing of the asked time is archived and committed.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// What the channel holds as committed: nothing above is touched.
    pub committed: Option<i64>,
    pub objects: usize,
    pub records: u64,
    pub rows: u64,
    pub dead_letters: u64,
    /// Offsets of the range without a record in the archive.
    pub absent: u64,
    /// How often a record was archived again.
    pub repeated: u64,
    #[serde(flatten)]
    pub compared: Compared,
}

/// How the table's rows of a range compare with the archive's; `None` for what was not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Different offsets among the table's rows.
    pub held: Option<u64>,
    pub only_archived: Option<u64>,
    pub only_held: Option<u64>,
    pub differing: Option<u64>,
    /// Rows of the table that are there more than once.
    pub twice: Option<u64>,
}

/// What the archive holds of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Archived {
    pub partition: i32,
    /// The range of offsets; `None` when no record is of the asked time, or none that is committed.
    pub range: Option<(i64, i64)>,
    /// Records in the range.
    pub records: u64,
    /// Those that are rows.
    pub rows: u64,
    /// Those that break the contract.
    pub dead_letters: u64,
    /// How often a record was met again.
    pub repeated: u64,
}

impl Archived {
    /// Offsets of the range without a record: not archived, or taken by Kafka's own markers.
    pub(super) fn absent(&self) -> u64 {
        self.range.map_or(0, |(first, last)| (last - first + 1) as u64 - self.records)
    }
}

impl Report {
    /// Rows that a swap would write or remove.
    pub fn changes(&self) -> u64 {
        let of = |Compared { only_archived, only_held, differing, twice, .. }: Compared| {
            [only_archived, only_held, differing, twice].into_iter().flatten().sum::<u64>()
        };
        self.partitions.iter().map(|partition| of(partition.compared)).sum()
    }

    /// Rows of the table that the archive lacks.
    pub fn unarchived(&self) -> u64 {
        self.partitions.iter().filter_map(|partition| partition.compared.only_held).sum()
    }

    /// Puts what the warehouse says to its partitions.
    pub(super) fn place(&mut self, found: &BTreeMap<i32, Compared>) {
        for partition in &mut self.partitions {
            partition.compared = found.get(&partition.partition).copied().unwrap_or_default();
        }
    }
}

impl Partition {
    pub(super) fn of(archived: &Archived, objects: usize, committed: Option<i64>) -> Self {
        Partition {
            partition: archived.partition,
            first: archived.range.map(|(first, _)| first),
            last: archived.range.map(|(_, last)| last),
            committed,
            objects,
            records: archived.records,
            rows: archived.rows,
            dead_letters: archived.dead_letters,
            absent: archived.absent(),
            repeated: archived.repeated,
            compared: Compared::default(),
        }
    }
}
