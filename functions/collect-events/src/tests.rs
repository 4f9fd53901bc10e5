//! The function through its handler, with Kafka, the outbox and the secrets as ports that can fail.

mod access;
mod broker;
mod draining;
mod events;
mod topics;
mod world;
