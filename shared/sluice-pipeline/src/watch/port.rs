//! What a round of watching asks of the warehouse and of the channels.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Result, Table, TableId};
use sluice_watch::{
    alerts::{Message, Receipt},
    monitors::{Profile, Shape},
    settings::TableSettings,
};

/// How a table's commits stand in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loads {
    pub loaded: u64,
    pub failed: u64,
    /// The highest sequence that has an entry, whatever has become of it.
    pub known: u64,
    /// When the oldest was handed over that has not ended.
    pub oldest_submitted: Option<DateTime<Utc>>,
    /// The newest commit with rows that is loaded, and how many rows.
    pub newest: Option<(u64, u64)>,
}

/// A run of dbt that has ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EndedRun {
    pub status: String,
    pub full_refresh: bool,
    /// Names of the failed nodes.
    pub failed: Vec<String>,
    pub seconds: f64,
    pub credits: f64,
    pub finished_at: DateTime<Utc>,
}

/// A day of a table, by the time at which its rows were loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Day {
    pub rows: u64,
    /// Rows that came late, where the table has a time of the event.
    pub late: Option<u64>,
    /// From event to load, the 95th percentile.
    pub delay_seconds: Option<i64>,
    pub columns: BTreeMap<String, ColumnDay>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ColumnDay {
    pub nulls: u64,
    /// Of a column whose distribution is watched.
    pub profile: Option<Profile>,
}

/// What one statement says of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    pub days: BTreeMap<NaiveDate, Day>,
    /// Of a table that only grows those of the measured days, else all.
    pub rows: u64,
    /// Different keys of these; `None` of a table without any.
    pub keys: Option<u64>,
}

/// A change of an incident, for people who query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentChange {
    pub incident: String,
    pub key: String,
    pub monitor: String,
    pub object: String,
    pub kind: String,
    pub severity: u8,
    pub state: String,
    pub size: f64,
    pub observed: String,
    pub expected: String,
    pub cause: Option<String>,
    pub opened_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

/// The warehouse of one lake as the watcher sees it. Tables are named as [`TableId`] shows them.
pub trait Observations {
    /// Statements have this time from now on, all together. One that is still running then fails, here and in the warehouse.
    fn end_within(&self, time: Duration);

    fn loads(&self) -> impl Future<Output = Result<BTreeMap<String, Loads>>>;

    /// Newest first.
    fn dbt_runs(&self, since: NaiveDate) -> impl Future<Output = Result<Vec<EndedRun>>>;

    /// When the newest row of a streaming table was appended.
    fn newest_row(&self, table: &TableId) -> impl Future<Output = Result<Option<DateTime<Utc>>>>;

    /// Columns by the contract and as they are; a table that does not exist has none.
    fn shapes(&self, tables: &[&Table]) -> impl Future<Output = Result<BTreeMap<String, Shape>>>;

    /// Rows that commits have brought on each day; a reset and a replay bring none.
    fn loaded_days(
        &self,
        tables: &[&Table],
        from: NaiveDate,
    ) -> impl Future<Output = Result<BTreeMap<String, BTreeMap<NaiveDate, u64>>>>;

    /// Days that were kept by [`Observations::keep`].
    fn history(
        &self,
        tables: &[&Table],
        from: NaiveDate,
    ) -> impl Future<Output = Result<BTreeMap<String, BTreeMap<NaiveDate, Day>>>>;

    /// One statement over the table: its days from `from` on, and its keys.
    fn measure(
        &self,
        table: &Table,
        settings: &TableSettings,
        from: NaiveDate,
    ) -> impl Future<Output = Result<Measured>>;

    /// Keeps days of a table; what is kept last of a day counts.
    fn keep(&self, table: &TableId, days: &BTreeMap<NaiveDate, Day>) -> impl Future<Output = Result<()>>;

    fn record(&self, changes: &[IncidentChange]) -> impl Future<Output = Result<()>>;
}

/// Where messages go.
pub trait Channels {
    /// The channels of the alert table whose address and secret are there.
    fn available(&self) -> impl Future<Output = Result<BTreeSet<String>>>;

    /// Taken when it returns. The answer says where a message was posted that can be edited later. Tries within seconds and
    /// no longer: what is not taken is due again in the next round.
    fn send(&self, message: &Message) -> impl Future<Output = Result<Option<Receipt>>>;
}
