//! The report: what is asked and found, before it is a page.

mod ask;
pub mod csv;
mod format;
mod platform;
mod questions;
mod reach;
mod runs;
pub mod summary;
#[cfg(test)]
pub mod tests;
mod tile;

pub use ask::build;
pub use questions::Questions;
pub use tile::{Cell, Column, Drawn, Entry, Note, Report, Run, Section, Shown, Source, Tile};
