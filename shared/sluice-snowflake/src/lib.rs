//! Snowflake over HTTPS: key-pair tokens, the SQL API, Snowpipe and Snowpipe Streaming.
//!
//! [`Snowflake`] and [`Streaming`] are what the pipeline's ports ask for; the functions and the operator's command wire
//! them and name nothing else of here. Begin with `loads`, which brings a commit into its table.
//!
//! An [`Account`] is one service user's way to one account. [`SqlApi`], [`Snowpipe`] and [`Streaming`] share it, and
//! with it the token. [`sql`] renders every statement and does nothing else; the clients send text and never make any.
//!
//! [`account`] makes an account what `platform/warehouse.yaml` says, and needs nothing of the rest but [`SqlApi`] and [`sql`].

pub mod account;
mod activations;
mod answer;
mod aside;
mod auth;
mod client;
mod config;
mod connection;
mod error;
mod fates;
mod ledger;
mod loads;
mod observer;
mod question;
mod rebuild;
mod replay;
mod rows;
mod snowflake;
mod submit;
mod watch;
mod why;

pub mod pipe;
pub mod sql;
pub mod streaming;

pub use activations::Activations;
pub use auth::Signer;
pub use client::{SqlApi, Until};
pub use config::SnowflakeConfig;
pub use connection::{Account, Pace};
pub use error::classify;
pub use ledger::SnowflakeLedger;
pub use loads::{Known, Loads};
pub use observer::Observer;
pub use pipe::Snowpipe;
pub use rebuild::RebuildTable;
pub use replay::ReplayTable;
pub use snowflake::Snowflake;
pub use streaming::Streaming;
pub use watch::Watcher;

#[cfg(test)]
mod tests;
