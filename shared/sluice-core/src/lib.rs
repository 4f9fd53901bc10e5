//! The domain of Sluice: tables, commits, contracts, events, errors, and the ports to the outside world.
//!
//! Begin with `commit`, which everything else is about, then `sources`, which says what tables there are.
//!
//! Every effect is behind a trait in [`port`], whose doc comment is the contract that an implementation must keep.
//! `sluice-pipeline` orders those effects; adapters carry them out. Two things that every process has are offered here and
//! called by nothing here: the system's clock, [`port::SystemClock`], and the file of entries, [`Sources::read`].

pub mod change;
pub mod commit;
pub mod contract;
pub mod cursor;
pub mod drift;
pub mod env;
pub mod error;
pub mod event;
pub mod extract;
pub mod functions;
pub mod hops;
pub mod judge;
pub mod lake;
pub mod names;
pub mod number;
pub mod port;
pub mod record;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod sources;
pub mod split;
pub mod table;
pub mod time;
pub mod yaml;

pub use change::Change;
pub use commit::{Commit, DataFile, MOST_FILES, Rejected, Reset};
pub use contract::{Cell, Violation};
pub use cursor::Cursor;
pub use error::{Error, Kind, Result, Retry};
pub use hops::Hops;
pub use port::InChain;
pub use record::{Batch, Record};
pub use schedule::Schedule;
pub use schema::{Column, ColumnType, Mode, Schema};
pub use secret::{Secret, with_secret};
pub use sources::{Disposition, Loader, Sources, Table};
pub use table::{LakeId, RunId, Sequence, TableId};
