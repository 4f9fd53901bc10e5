//! Makes the warehouse's account what `platform/warehouse.yaml` says when the stack is deployed, and looks for drift on a
//! schedule.
//!
//! `handler` serves one event, `request` answers CloudFormation on every path, `provision` does the work and `look` tells what is
//! found of the account; how an account becomes what its file says is in `account` of the warehouse's crate.

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
