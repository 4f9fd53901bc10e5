//! What the demo and the tests know about the data: a seeded generator, readers for the user's own files, and an oracle
//! that computes the `sales` mart in plain Rust, so that the warehouse's SQL is never its own judge. And ports in memory that
//! fail at a chosen call, a lake of them in which the tests of whole functions let runs die, and a Kafka cluster that producers
//! look at.

pub mod fake;
pub mod formats;
pub mod generate;
pub mod kafka;
pub mod lake;
pub mod oracle;
pub mod ports;
