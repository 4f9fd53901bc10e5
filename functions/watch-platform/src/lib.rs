//! Watches the platform's data: ledger, lake and tables → findings → incidents → the channels of `platform/alerts.yaml`.
//!
//! `handler` serves one event. A round is that of `sluice_pipeline::watch`, what it judges by is `sluice_watch`; `channels` sends
//! messages, `openlineage` and `prefect` tell others of runs.

// A round's future holds those of every client that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

pub mod channels;
pub mod config;
pub mod deps;
pub mod event;
pub mod handler;
mod keys;
pub mod openlineage;
pub mod prefect;
pub mod surroundings;
mod views;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
