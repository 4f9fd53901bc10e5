//! What a table's replay has found, and what it has done about it.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::{Sequence, TableId};

pub use crate::replay::Outcome;

/// How a side table compares with another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// By the commit that the side table has a row from, or else the other table; 0 is none.
    pub commits: BTreeMap<u64, Rows>,
    /// In the table's order.
    pub columns: Vec<Values>,
}

/// Rows of one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// In the side table.
    pub built: u64,
    /// In the other one.
    pub held: u64,
    pub only_built: u64,
    pub only_held: u64,
    pub differing: u64,
    /// More than once in the other one.
    pub twice: u64,
    /// The columns that differ.
    pub columns: Vec<String>,
}

/// Values of one column that are not NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Values {
    pub column: String,
    pub built: u64,
    pub held: u64,
    /// Rows that are in both and differ here.
    pub differing: u64,
}

impl Compared {
    pub fn total(&self, of: impl Fn(&Rows) -> u64) -> u64 {
        self.commits.values().map(of).sum()
    }

    /// Rows that the other table needs to be what the side table is, and copies too many.
    pub fn changes(&self) -> u64 {
        self.total(Rows::changes)
    }
}

impl Rows {
    pub fn changes(&self) -> u64 {
        self.only_built + self.differing + self.twice
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub table: TableId,
    /// `None` until it has ended, and for good when it broke off: whether rows were swapped in is not known then.
    pub outcome: Option<Outcome>,
    /// Where the lake's rows are, as long as they are there.
    pub side_table: Option<TableId>,
    /// How many commits it was built of, and how many rows they have.
    pub commits: usize,
    pub rows: u64,
    /// Commits that are not loaded, so not built either: they load by themselves.
    pub unloaded: Vec<Sequence>,
    /// The first commit whose files were not erased.
    pub erased_before: Option<Sequence>,
    /// Commits whose rows differ.
    pub differing: BTreeMap<u64, Rows>,
    pub columns: Vec<Values>,
    pub held: Option<u64>,
}

impl Report {
    pub(super) fn new(table: TableId) -> Self {
        Report {
            table,
            outcome: None,
            side_table: None,
            commits: 0,
            rows: 0,
            unloaded: Vec::new(),
            erased_before: None,
            differing: BTreeMap::new(),
            columns: Vec::new(),
            held: None,
        }
    }

    pub(super) fn place(&mut self, compared: Compared) {
        self.held = Some(compared.total(|rows| rows.held));
        self.differing = compared.commits;
        self.differing.retain(|_, rows| rows.changes() + rows.only_held > 0);
        self.columns = compared.columns;
    }

    /// Rows that a swap replaces, adds or takes out.
    pub fn changes(&self) -> u64 {
        self.differing.values().map(Rows::changes).sum::<u64>() + self.only_held()
    }

    /// Rows that only the table holds.
    pub fn only_held(&self) -> u64 {
        self.differing.values().map(|rows| rows.only_held).sum()
    }
}
