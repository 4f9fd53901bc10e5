//! Extracts currencies and daily rates from Open Exchange Rates into the lake: schedule → API → Parquet → commit.
//!
//! `handler` serves one event, `source` knows the API, and the order of effects is that of `sluice_pipeline::extract`.

pub mod config;
pub mod deps;
pub mod handler;
pub mod source;

#[cfg(test)]
mod testing;

pub use config::Config;
pub use deps::Deps;
pub use handler::{handle, serve};
