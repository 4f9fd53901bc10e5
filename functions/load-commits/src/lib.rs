//! Brings commits of the lake into the warehouse: S3 event → SQS → the warehouse → ledger → `TableLoaded`.

// A message's future holds those of every client that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

pub mod config;
pub mod deps;
pub mod event;
pub mod handler;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
