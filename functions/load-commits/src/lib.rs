//! Brings commits of the lake into the warehouse: S3 event → SQS → `COPY INTO` or Snowpipe → ledger → `TableLoaded`.

pub mod config;
pub mod event;
pub mod handler;
pub mod warehouse;

pub use config::Config;
pub use handler::{Deps, handle};
