//! dbt jobs: the dbt Cloud API behind the dispatch loop's port.
//!
//! Written from the vendor's OpenAPI description of the v2 API. Triggering a job has no idempotency key: the caller puts
//! a marker into the cause and looks for it among the recent runs, so a trigger is sent once and never resent.

mod client;
mod error;

pub use client::{DbtCloud, DbtCloudConfig};
