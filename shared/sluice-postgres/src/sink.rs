//! What takes the rows of a read.

use arrow_array::ArrayRef;
use sluice_core::{Cell, Result};

/// Where rows go, in batches and in no particular order. It lives on a thread of its own and may block: the connection is
/// read only as fast as the sink takes batches, so that nothing piles up between them.
pub trait BatchSink: Send + 'static {
    /// Takes one array per column of the table's contract. The rows in `invalid`, in order, are to be left out and kept
    /// elsewhere: their values in the arrays are placeholders. The sink checks the contract of the others.
    fn batch(&mut self, columns: Vec<ArrayRef>, invalid: &[InvalidRow<'_>]) -> Result<()>;

    /// Called after the last row, and not at all when the read has failed.
    fn finish(self) -> Result<()>;
}

/// A row with values that no column can hold.
#[derive(Debug, Clone, PartialEq)]
pub struct InvalidRow<'a> {
    /// Its place in the batch.
    pub row: usize,
    /// One cell per column, NULL where the value does not fit.
    pub cells: Vec<Cell<'a>>,
    /// Never empty.
    pub values: Vec<Invalid<'a>>,
}

/// A value that exists in PostgreSQL and in no contract type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid<'a> {
    pub column: &'a str,
    pub original: String,
    pub rule: &'static str,
}
