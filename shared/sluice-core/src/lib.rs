//! The domain of Sluice: tables, commits, contracts, events, errors, and the ports to the outside world.
//!
//! Nothing here does I/O. Every effect is behind a trait in [`port`], whose doc comment is the contract that an
//! implementation must keep. `sluice-pipeline` orders those effects; adapters carry them out.

pub mod commit;
pub mod contract;
pub mod cursor;
pub mod drift;
pub mod env;
pub mod error;
pub mod event;
pub mod extract;
pub mod hops;
pub mod lake;
pub mod names;
pub mod number;
pub mod port;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod sources;
pub mod split;
pub mod table;
pub mod yaml;

pub use commit::{Commit, DataFile, Disposition, MOST_FILES, Rejected, Reset};
pub use contract::{Cell, Violation};
pub use cursor::Cursor;
pub use drift::{Change, Mode};
pub use error::{Error, Kind, Result, Retry};
pub use hops::{Hops, InChain};
pub use schedule::Schedule;
pub use schema::{Column, ColumnType, Schema};
pub use secret::{Secret, with_secret};
pub use sources::{Loader, Sources, Table};
pub use table::{LakeId, RunId, Sequence, TableId};
