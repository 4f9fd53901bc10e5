//! Extracts HubSpot contacts into the lake: schedule → search and archive → Parquet → commit.
//!
//! `handler` serves one event, `source` makes of the API, which `sluice_hubspot` knows, what the loop reads from, and the order of
//! effects is that of `sluice_pipeline::extract`.

pub mod config;
pub mod deps;
pub mod handler;
pub mod source;

pub use config::Config;
pub use deps::Deps;
pub use handler::{handle, serve};
pub use source::Contacts;
