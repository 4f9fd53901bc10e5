//! Streams Kafka records into the warehouse, each exactly once: Kafka event → channel per partition → `TableLoaded`.
//!
//! `handler` serves one batch, `answer` says what the event source mapping delivers again, and the order of effects is that of
//! `sluice_pipeline::stream`.

pub mod answer;
pub mod config;
pub mod deps;
pub mod handler;
pub mod metrics;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
