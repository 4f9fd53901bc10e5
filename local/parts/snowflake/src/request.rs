//! What every statement of a request needs: the file, the rest of the warehouse, and who asks.

use std::net::IpAddr;

use duckdb::Connection;

use crate::Shared;

/// Who asks, as what, and from where.
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) role: String,
    pub(crate) warehouse: String,
    pub(crate) address: IpAddr,
}

pub(crate) struct Request<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) shared: &'a Shared,
    pub(crate) caller: Caller,
}
