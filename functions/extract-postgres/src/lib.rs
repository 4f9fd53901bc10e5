//! Extracts PostgreSQL tables that only ever grow into the lake.
//!
//! `handler` serves one event; `sluice-postgres` knows the database; the order of effects is
//! `sluice_pipeline::split`'s, or for a read that fits into one invocation `sluice_pipeline::extract`'s.

pub mod config;
pub mod event;
pub mod handler;
