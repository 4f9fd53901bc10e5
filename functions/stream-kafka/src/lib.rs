//! Streams Kafka records into the warehouse, each exactly once: Kafka event → channel per partition → `TableLoaded`.

pub mod answer;
pub mod config;
pub mod figures;
pub mod handler;

pub use config::Config;
pub use handler::{Deps, serve};
