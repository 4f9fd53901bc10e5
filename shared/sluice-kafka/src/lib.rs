//! Kafka at both ends: the event that Lambda hands to a consumer, and a producer in pure Rust.
//!
//! [`avro`] and [`Registry`] read what producers with a schema registry write; [`topics`] makes topics what their entries say.
//!
//! Nothing here consumes from a broker: on AWS the event source mapping does, on one machine the poller in `local/`.

mod admin;
pub mod avro;
mod cluster;
mod config;
mod datum;
mod ends;
mod error;
mod event;
mod formats;
mod headers;
mod iam;
mod layout;
mod partitioner;
mod producer;
mod registry;
mod response;
mod security;
pub mod topics;

pub use admin::{Admin, Existing, Settings};
pub use cluster::{Cluster, is_away};
pub use config::{Credentials, KafkaConfig, Mechanism, SecurityProtocol};
pub use event::KafkaEvent;
pub use formats::Formats;
pub use iam::Iam;
pub use partitioner::{murmur2, partition_for_key};
pub use producer::{Message, Placed, Producer};
pub use registry::{Registry, RegistryConfig};
pub use response::{BatchResponse, ItemFailure, ItemIdentifier};
