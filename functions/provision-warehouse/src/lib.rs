//! Makes the warehouse's account what `platform/warehouse.yaml` says when the stack is deployed, and looks for drift on a
//! schedule.

// The future of a request holds those of every client that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

pub mod answer;
pub mod config;
mod deps;
pub mod event;
pub mod handler;
mod look;
mod provision;
mod request;
mod trust;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
