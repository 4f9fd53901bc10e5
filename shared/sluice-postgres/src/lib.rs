//! PostgreSQL as a source: one table that only ever grows, read from a cursor on.
//!
//! [`read()`] opens one connection, takes one snapshot, streams what is new through binary `COPY` into a [`BatchSink`]
//! and answers with the cursor that the commit will keep. What "new" means while other transactions are in flight, and
//! why no row is ever missed, is told in [`position`]. A read of more rows than one invocation should take is cut into
//! ranges of the cursor by [`partition()`], and [`read_chunk`] reads one of them.

mod client;
mod columns;
pub mod config;
mod connect;
mod copy;
mod decode;
mod encoding;
mod error;
mod frames;
mod identifier;
mod interceptor;
mod lengths;
mod observe;
mod partition;
pub mod position;
mod read;
mod reading;
mod server;
mod sink;
mod sql;
mod tls;
mod type_map;

pub use config::{PostgresConfig, TlsMode};
pub use observe::observe;
pub use partition::{partition, read_chunk};
pub use read::{Read, plan, read};
pub use reading::Options;
pub use sink::{BatchSink, Invalid, InvalidRow};
