//! What a trace asks of the warehouse.

use sluice_core::Result;

use super::{Again, Step};
use crate::observe::Answer;

/// A cell: a row of the first step by values of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub column: String,
    /// Column and value.
    pub conditions: Vec<(String, String)>,
}

/// A question about the rows of the n-th of these steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inquiry<'a> {
    pub cell: &'a Cell,
    pub steps: &'a [Step],
    pub at: usize,
    pub ask: Ask<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    /// These columns of the rows.
    Rows(&'a [String]),
    /// VALUE (a formula over all rows) and ROW_COUNT.
    Over(&'a Again),
    /// ROW_COUNT, and for each column with its formula how many rows differ from it: D0, D1, …
    Compare(&'a [(&'a str, &'a Again)]),
    /// Of a table filled by commits: SEQUENCE, RUN_ID, ROW_COUNT.
    Commits,
    /// Of a stream: TOPIC, NUMBER (of the partition), FIRST_OFFSET, LAST_OFFSET, ROW_COUNT.
    Offsets,
}

/// The warehouse, for a person who may ask as a role of their own.
pub trait Traces {
    /// Reads no more rows than this.
    fn answer(&self, inquiry: &Inquiry<'_>, role: Option<&str>, rows: u64) -> impl Future<Output = Result<Answer>>;
}
