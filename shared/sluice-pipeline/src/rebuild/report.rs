//! What a table's replay has found, and what it has done about it.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::{Sequence, TableId};

use super::port::{Compared, Rows, Values};
pub use crate::replay::Outcome;

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
