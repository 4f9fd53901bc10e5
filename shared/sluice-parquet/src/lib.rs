//! Rows in, Parquet files in the lake out, with every row that breaks its contract kept aside.
//!
//! [`TableWriter`] takes one row at a time as [`Cell`](sluice_core::Cell)s, for sources that answer in pages.
//! [`batch_writer`] takes whole columns, for sources that stream: encoding and upload overlap with the reading. Both
//! check the table's contract and encode zstd Parquet with one encoder. Memory is bounded however many rows come.
//! Nothing they put is part of the table before the commit names it.

mod check;
mod columns;
mod dictionary;
mod encoder;
mod error;
#[cfg(test)]
mod fakes;
mod hybrid;
mod interner;
mod layout;
mod original;
mod rejects;
mod row_group;
mod stream;
mod text_chunk;
mod writer;

pub use original::original;
pub use stream::{BatchWriter, RejectedRow, Upload, batch_writer};
pub use writer::TableWriter;
