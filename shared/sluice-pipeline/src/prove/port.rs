//! What a proof asks of the warehouse and of the source, beside what a replay asks.

use sluice_core::{
    DataFile, Result,
    extract::{Aside, AsideRows},
};

use crate::rebuild::{self, Compared};

/// The warehouse as one proof sees it: a replay's, and a second side table for what the source has.
pub trait Warehouse: rebuild::Warehouse {
    /// Makes the second side table and fills it with what the files hold.
    fn fill_source(&self, behind: &[DataFile], ahead: &[DataFile]) -> impl Future<Output = Result<()>>;

    /// How the side table and what the source has compare, by the table's key. Rows that are only ahead of the cursor are none
    /// of the proof's.
    fn compare_source(&self) -> impl Future<Output = Result<Compared>>;

    /// Drops the second side table, if it is there.
    fn drop_source_table(&self) -> impl Future<Output = Result<()>>;
}

/// The source's rows, read by the function that extracts the table.
pub trait SourceRows {
    fn read(&self, rows: AsideRows) -> impl Future<Output = Result<Aside>>;
}
