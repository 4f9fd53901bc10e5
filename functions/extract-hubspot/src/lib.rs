//! Extracts HubSpot contacts into the lake: schedule → search and archive → Parquet → commit.
//!
//! `handler` serves one event, `sluice_hubspot` knows the API, and the order of effects is that of
//! `sluice_pipeline::extract`.

pub mod config;
pub mod handler;

pub use config::Config;
pub use handler::{Contacts, Deps, handle};
