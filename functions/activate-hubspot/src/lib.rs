//! Brings HubSpot's contacts to a tested model: `RunSucceeded` → the difference from what is held → batches of changes.
//!
//! `handler` serves one message or request, `destination` is HubSpot as the loop sees it, and the order of effects is that of
//! `sluice_pipeline::activate`.

pub mod config;
pub mod deps;
pub mod destination;
pub mod event;
pub mod handler;

pub use config::Config;
pub use deps::Deps;
pub use destination::Portal;
pub use handler::serve;
