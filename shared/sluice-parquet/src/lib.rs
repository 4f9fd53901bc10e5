//! Rows in, Parquet files in the lake out, with every row that breaks its contract kept aside.
//!
//! [`TableWriter`] takes one row at a time as [`Cell`](sluice_core::Cell)s, checks it against the table's contract,
//! gathers rows into Arrow batches, encodes them as zstd Parquet and puts each full part into the lake. Memory is
//! bounded by one batch and one part, however many rows come. Nothing it puts is part of the table before the commit
//! names it.

mod columns;
mod original;
mod rejects;
mod writer;

pub use original::original;
pub use writer::TableWriter;
