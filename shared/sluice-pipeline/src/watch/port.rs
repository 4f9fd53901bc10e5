//! What a round of watching asks of the warehouse and of the channels.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Result, Table, TableId};
use sluice_watch::{
    Prices,
    alerts::{Message, Receipt},
    monitors::{Profile, SecretFacts, Shape},
    settings::TableSettings,
};

use crate::runs::LastRun;

/// How a table's commits stand in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loads {
    pub loaded: u64,
    /// Sequences of those that failed.
    pub failed: BTreeSet<u64>,
    /// When the table was last made again by a replay.
    pub replayed_at: Option<DateTime<Utc>>,
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

/// Rows of a streaming table of one partition of its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionRows {
    pub partition: u64,
    pub rows: u64,
    pub newest_offset: i64,
    pub newest_load: DateTime<Utc>,
    /// The time of the newest record among them; where no record has one, when it was loaded.
    pub newest_record: DateTime<Utc>,
}

/// The object that is nobody's.
pub const REMAINDER: &str = "remainder to the bill";

/// What one object cost on a day. The remainder to the bill is an object of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct CostDay {
    pub day: NaiveDate,
    /// Who tells it: one may have told of a day while another has not.
    pub source: String,
    pub object: String,
    /// `None` of what is paid in dollars.
    pub credits: Option<f64>,
    pub dollars: f64,
}

/// What was used beside the warehouse on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    pub day: NaiveDate,
    /// A function, or the lake.
    pub object: String,
    pub amount: UsedAmount,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UsedAmount {
    Invocations { requests: f64, gigabyte_seconds: f64, is_arm: bool },
    StoredBytes(f64),
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
    /// Who has acknowledged, confirmed or muted it, or expects it.
    #[serde(default)]
    pub by: Option<String>,
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

    /// By partition, the rows that were loaded since; a partition without any is absent, and so are rows of a replay.
    fn partitions(&self, table: &TableId, since: NaiveDate) -> impl Future<Output = Result<Vec<PartitionRows>>>;

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

    /// Measures what the days from `from` until before `until` cost in the warehouse, query by query, and keeps it with what
    /// is left to its bill; what was measured last of a day counts.
    fn measure_costs(
        &self,
        from: NaiveDate,
        until: NaiveDate,
        prices: &Prices,
        at: DateTime<Utc>,
    ) -> impl Future<Output = Result<()>>;

    /// Keeps what was used beside the warehouse.
    fn keep_costs(&self, used: &[Used], prices: &Prices, at: DateTime<Utc>) -> impl Future<Output = Result<()>>;

    /// What was kept, by day and object.
    fn costs(&self, from: NaiveDate) -> impl Future<Output = Result<Vec<CostDay>>>;

    /// Keeps days of a table; what is kept last of a day counts.
    fn keep(&self, table: &TableId, days: &BTreeMap<NaiveDate, Day>) -> impl Future<Output = Result<()>>;

    fn record(&self, changes: &[IncidentChange]) -> impl Future<Output = Result<()>>;
}

/// A run of an extract that has ended since the last round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedExtract {
    pub table: String,
    pub run: LastRun,
}

/// What a round asks of the platform beside warehouse and lake.
pub trait Surroundings {
    /// The secrets of the platform that have a value, and how old each is. Keys that the platform renews by itself are absent:
    /// an alarm of their own tells of them.
    fn secrets(&self) -> impl Future<Output = Result<Vec<SecretFacts>>>;

    /// What functions and the lake have used on each day; nothing where nobody is paid for it.
    fn used(&self, from: NaiveDate, until: NaiveDate) -> impl Future<Output = Result<Vec<Used>>>;

    /// Tells those who follow runs, best effort. The tables that need not come again in the next round.
    fn ended(&self, extracts: &[EndedExtract]) -> impl Future<Output = BTreeSet<String>>;
}

/// Where messages go.
pub trait Channels {
    /// The channels of the alert table whose address and secret are there.
    fn available(&self) -> impl Future<Output = Result<BTreeSet<String>>>;

    /// Taken when it returns. The answer says where a message was posted that can be edited later. Tries within seconds and
    /// no longer: what is not taken is due again in the next round.
    fn send(&self, message: &Message) -> impl Future<Output = Result<Option<Receipt>>>;
}
