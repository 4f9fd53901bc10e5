//! Publishes a report after each dbt run that succeeded: charts of `dbt/lightdash` → queries → one page under `reports/`.
//!
//! `handler` serves one event; `lightdash` compiles charts to SQL, `report` asks the warehouse, `page` writes HTML.

// An invocation's future holds those of every client that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

pub mod config;
pub mod deps;
pub mod event;
pub mod files;
pub mod handler;
pub mod lightdash;
pub mod page;
pub mod report;

pub use config::Config;
pub use deps::Deps;
pub use handler::serve;
