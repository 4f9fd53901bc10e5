//! Snowflake over HTTPS: key-pair tokens, the SQL API, Snowpipe and Snowpipe Streaming.
//!
//! An [`Account`] is one service user's way to one account. [`SqlApi`], [`Snowpipe`] and [`Streaming`] share it, and
//! with it the token. [`sql`] renders every statement and does nothing else; the clients send text and never make any.

mod account;
mod auth;
mod client;
mod config;
mod error;
mod rows;
mod submit;

pub mod pipe;
pub mod sql;
pub mod streaming;

pub use account::{Account, Pace};
pub use auth::Signer;
pub use client::{SqlApi, Until};
pub use config::SnowflakeConfig;
pub use error::classify;
pub use pipe::Snowpipe;
pub use streaming::Streaming;

#[cfg(test)]
mod tests;
