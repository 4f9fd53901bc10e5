//! Runs dbt when data has arrived: `TableLoaded` → what is new in the ledger → a claim → the dbt job → its end.
//!
//! `handler` serves one message, `jobs` chooses the service that runs dbt, and the order of effects is that of
//! `sluice_pipeline::dispatch`.

pub mod config;
pub mod deps;
pub mod event;
pub mod handler;
pub mod jobs;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
