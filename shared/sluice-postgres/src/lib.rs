//! PostgreSQL as a source: one table that only ever grows, read from a cursor on.
//!
//! [`read()`] opens one connection, takes one snapshot, streams what is new through binary `COPY` into a [`RowSink`]
//! and answers with the cursor that the commit will keep. What "new" means while other transactions are in flight, and
//! why no row is ever missed, is told in [`position`].

mod client;
pub mod config;
mod decode;
mod error;
mod observe;
pub mod position;
mod read;
mod sql;
mod tls;
mod type_map;

pub use config::{PostgresConfig, TlsMode};
pub use observe::observe;
pub use read::{Options, Read, RowSink, Unfit, plan, read};
