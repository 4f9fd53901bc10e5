//! What a table's replay asks of the warehouse and of the person who called it.

use sluice_core::{Commit, LakeId, Result, RunId, Sequence, Table, TableId};

use super::{
    build::Scope,
    report::{Compared, Report},
};
pub use crate::replay::Mode;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub table: &'a Table,
    pub lake_id: &'a LakeId,
    pub run_id: &'a RunId,
    pub mode: Mode,
}

/// What a replay does, in the order in which it does it. It begins again where the table was loaded meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Reading,
    Filling { commits: usize },
    Comparing,
    Swapping,
    Announcing,
    Dropping,
}

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub sequence: Sequence,
    pub run_id: RunId,
    pub status: Status,
    pub rows: u64,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Submitted,
    Loaded,
    Failed,
}

/// How a table's loads stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of commits; replays have none here.
    pub entries: Vec<Entry>,
    /// Changes with every load of the table. `None` where its loads do not stand in line: their rows come at any time.
    pub mark: Option<String>,
}

/// How a swap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    Done,
    /// Nothing was changed: the table was loaded since its standing was asked.
    Moved,
}

/// The warehouse as one replay sees it: the raw table, and a side table that is nobody else's.
pub trait Warehouse {
    fn side_table(&self) -> TableId;

    /// Never older than the table: a load that is in it is told, or the call fails for now.
    fn look(&self) -> impl Future<Output = Result<Standing>>;

    /// Makes the side table with the raw table's columns of now, and empty, whatever it held.
    fn begin(&self) -> impl Future<Output = Result<()>>;

    /// Adds a commit's rows as its load adds them to the raw table.
    fn add(&self, commit: &Commit) -> impl Future<Output = Result<()>>;

    /// How the side table and the raw table compare, within the scope.
    fn compare(&self, scope: &Scope) -> impl Future<Output = Result<Compared>>;

    /// Compares again, replaces what differs and writes the ledger in one transaction; doing it again changes nothing.
    /// `Conflict`, and nothing changed, when the table holds rows that the side table lacks, unless they are to go.
    fn swap(&self, scope: &Scope, mark: Option<&str>, delete: bool) -> impl Future<Output = Result<Swapped>>;

    /// Drops the side table, if it is there.
    fn drop_side_table(&self) -> impl Future<Output = Result<()>>;
}

/// The person who called.
pub trait Operator {
    fn begins(&self, step: Step);

    /// A commit has been added.
    fn has_added(&self);

    /// Whether to change what the report says.
    fn confirms(&self, report: &Report) -> Result<bool>;
}
