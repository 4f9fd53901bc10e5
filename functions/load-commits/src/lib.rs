//! Brings commits of the lake into the warehouse: S3 event → SQS → the warehouse → ledger → `TableLoaded`.
//!
//! `handler` serves one message, and the order of effects is that of `sluice_pipeline::load`.

pub mod config;
pub mod deps;
pub mod event;
pub mod handler;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
