//! Snowflake over HTTPS: key-pair tokens, the SQL API, Snowpipe and Snowpipe Streaming.
//!
//! [`sql`] renders every statement and does nothing else; the clients send text and never make any.

pub mod sql;
