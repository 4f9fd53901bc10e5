//! What a proof has found.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::{Sequence, TableId};

use crate::rebuild::{Compared, Rows};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    pub table: TableId,
    /// Source = committed = loaded = table, as far as the source can be asked.
    pub equal: bool,
    /// The newest commit.
    pub newest: Sequence,
    /// `None` where the source cannot be asked; `source_unproven` says why.
    pub source: Option<u64>,
    pub source_unproven: Option<String>,
    /// Rows of all commits, and of the table that they make.
    pub committed: u64,
    pub built: u64,
    /// Rows that the ledger has as loaded.
    pub loaded: u64,
    pub held: u64,
    /// The first commit whose files were not erased: nothing is proven of rows of earlier ones.
    pub erased_before: Option<Sequence>,
    pub columns: Vec<Column>,
    pub findings: Vec<Finding>,
}

/// Values of one column that are not NULL, and rows in which it differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    pub column: String,
    pub source: Option<u64>,
    pub committed: u64,
    pub table: u64,
    pub source_differs: u64,
    pub table_differs: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub fault: Fault,
    /// None where no commit is told, as of rows that no commit has.
    pub commits: Vec<Sequence>,
    pub rows: u64,
    /// Those that differ.
    pub columns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is not so, from the source to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The source has rows behind the cursor that no commit has.
    NotCommitted,
    /// The source has no more what a commit has read.
    GoneFromSource,
    ChangedInSource,
    NotLoaded,
    /// The ledger has another run or another number of rows.
    RecordedOtherwise,
    RecordedTwice,
    /// The ledger has a commit that the log has not.
    UnknownCommit,
    NotInTable,
    OnlyInTable,
    ChangedInTable,
    TwiceInTable,
}

impl Fault {
    /// After the number of rows and the commits.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::NotCommitted => "are in the source behind the cursor, and in no commit",
            Fault::GoneFromSource => "are no longer in the source",
            Fault::ChangedInSource => "are otherwise in the source, behind the cursor",
            Fault::NotLoaded => "are not loaded",
            Fault::RecordedOtherwise => "are in the ledger with another run or number of rows",
            Fault::RecordedTwice => "are in the ledger more than once",
            Fault::UnknownCommit => "are in the ledger, and their commit is not in the log",
            Fault::NotInTable => "are loaded, and the table lacks them",
            Fault::OnlyInTable => "are in the table, and no commit makes them",
            Fault::ChangedInTable => "are otherwise in the table",
            Fault::TwiceInTable => "are in the table more than once",
        }
    }
}

impl Finding {
    pub(super) fn of(fault: Fault, commits: Vec<Sequence>, rows: u64) -> Self {
        Finding { fault, commits, rows, columns: Vec::new(), reason: None }
    }
}

/// The findings that a comparison makes: for each kind of difference, which commits and how many rows.
pub(super) fn of_rows(compared: &Compared, fault: Fault, rows: impl Fn(&Rows) -> u64) -> Option<Finding> {
    let found: BTreeMap<u64, u64> =
        compared.commits.iter().map(|(commit, of)| (*commit, rows(of))).filter(|(_, rows)| *rows > 0).collect();
    if found.is_empty() {
        return None;
    }
    // 0 stands for rows that no commit has brought.
    let commits = found.keys().filter(|commit| **commit > 0).map(|commit| Sequence(*commit)).collect();
    Some(Finding::of(fault, commits, found.values().sum()))
}
