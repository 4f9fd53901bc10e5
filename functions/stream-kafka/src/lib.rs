//! Streams Kafka records into the warehouse, each exactly once: Kafka event → channel per partition → `TableLoaded`.

pub mod answer;
pub mod config;
pub mod deps;
pub mod handler;
pub mod metrics;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
