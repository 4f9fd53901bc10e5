//! Events from browsers and servers into Kafka: HTTP → checked against the contract → topic, by way of a queue while
//! Kafka is away.
//!
//! `handler` serves one request, `collector` judges and answers it, `delivery` decides between Kafka and the queue, and
//! `draining` brings back what the queue holds.

pub mod auth;
pub mod body;
pub mod catalogue;
pub mod check;
pub mod collector;
pub mod config;
pub mod cors;
pub mod delivery;
pub mod deps;
mod draining;
pub mod event;
pub mod handler;
pub mod metrics;
pub mod openapi;
pub mod outbox;
pub mod problem;
pub mod rate;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
