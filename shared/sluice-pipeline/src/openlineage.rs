//! OpenLineage events of the platform's runs, from what the lake and the ledger keep of them.
//!
//! Events follow the runs and are no part of them: a round of watching looks at which commits, loads and runs of dbt have ended since
//! the last one, makes their events ([`events`]) and sends them ([`round`]). What the other side does not take is due again in the
//! next round, and no run knows of it.

mod dataset;
mod event;
pub mod events;
mod facet;
pub mod round;
#[cfg(test)]
mod tests;

pub use dataset::{Dataset, Names, Statistics};
pub use event::{Phase, Run};
