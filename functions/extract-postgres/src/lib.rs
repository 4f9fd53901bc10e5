//! Extracts PostgreSQL tables that only ever grow into the lake.
//!
//! `handler` serves one event; `source` makes of the database, which `sluice-postgres` knows, what the loops read from; the order
//! of effects is `sluice_pipeline::split`'s, or for a read that fits into one invocation `sluice_pipeline::extract`'s.

pub mod config;
pub mod deps;
pub mod event;
pub mod handler;
mod source;

pub use config::Config;
pub use deps::Deps;
pub use handler::{handle, serve};
