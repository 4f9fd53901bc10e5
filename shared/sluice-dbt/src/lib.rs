//! dbt jobs behind the dispatch loop's port: the dbt Cloud API, and dbt Projects on Snowflake.
//!
//! The first is written from the vendor's OpenAPI description of the v2 API. Neither has an idempotency key: the caller
//! puts a marker into the cause and looks for it among the recent runs, so a trigger is sent once and never resent.

mod client;
mod error;
mod project;

pub use client::{DbtCloud, DbtCloudConfig};
pub use project::{DbtProject, DbtProjectConfig};
