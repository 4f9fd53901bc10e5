//! What a person asks of the warehouse: how loads, streams and runs of dbt stand. Nothing here changes anything.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sluice_core::{Result, Sequence, TableId};
use sluice_watch::objectives::Fault;

use crate::{
    activate::State,
    stream::{Channel, ChannelStatus},
};

/// What the ledger says of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableLoads {
    /// The highest loaded sequence.
    pub newest: Option<u64>,
    pub loaded: u64,
    pub failed: u64,
}

/// A commit that failed to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadFailure {
    pub sequence: u64,
    pub reason: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

/// A commit that is loaded, and of which its table has not taken rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untaken {
    pub sequence: u64,
    /// How many rows, and why.
    pub reason: String,
    pub at: Option<DateTime<Utc>>,
}

/// A ledger entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub status: String,
    pub rows: u64,
    pub reason: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

impl Entry {
    /// Whether nothing more is done for the commit.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "loaded" | "failed")
    }
}

/// A record of a destination that does not hold what the model says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsent {
    pub record: String,
    pub state: State,
    pub reason: String,
    pub at: Option<DateTime<Utc>>,
}

/// A run of dbt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DbtRun {
    pub number: u64,
    pub status: String,
    pub selectors: String,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// The rows of one partition in a streaming table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRows {
    pub topic: String,
    pub partition: u64,
    pub rows: u64,
    pub highest_offset: u64,
    pub newest_event: Option<DateTime<Utc>>,
    pub newest_row: Option<DateTime<Utc>>,
}

/// Rows that have reached their table within this many seconds are recent.
pub const RECENT_SECONDS: u64 = 300;

/// How fast a streaming table grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    pub recent_rows: u64,
    /// Of the last hour.
    pub hour_rows: u64,
    /// From the record's time to its append, over the rows of the last hour; `None` without rows.
    pub latency_ms: Option<Latency>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
}

/// Who the platform is to the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// The role that its statements name.
    pub role: String,
}

/// How long a statement of the platform waits for a table that another one holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWait {
    pub limit: Duration,
    /// Where it is set, in the warehouse's word; `None` where nobody has set it.
    pub level: Option<String>,
}

/// What a person asks in the warehouse's own language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub statement: String,
    /// The role to ask as; `None` is the platform's.
    pub role: Option<String>,
    /// No more rows than this are read.
    pub rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub columns: Vec<AnswerColumn>,
    /// As texts, whatever their type; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerColumn {
    pub name: String,
    pub kind: AnswerKind,
}

/// What a program must know of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    Number,
    Boolean,
    /// Everything else; times in UTC.
    Text,
}

/// What costs are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostsBy {
    Part,
    Day,
    Object,
    Work,
    Run,
    Model,
    User,
}

impl CostsBy {
    pub const ALL: [(CostsBy, &str); 7] = [
        (CostsBy::Part, "part"),
        (CostsBy::Day, "day"),
        (CostsBy::Object, "object"),
        (CostsBy::Work, "work"),
        (CostsBy::Run, "run"),
        (CostsBy::Model, "model"),
        (CostsBy::User, "user"),
    ];
}

/// A sum of what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    pub name: String,
    /// `None` of what is paid in dollars.
    pub credits: Option<f64>,
    pub dollars: f64,
}

/// What the warehouse has not told yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The newest day of which the bill is known.
    pub billed_until: Option<NaiveDate>,
    /// What was done since, the dearest first; of dbt also when it has not run.
    pub works: Vec<EstimatedWork>,
}

/// Runs of one kind, and their credits by their own time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EstimatedWork {
    /// `dbt`, `load`, `watch`: as query tags name it.
    pub work: String,
    pub runs: u64,
    pub credits: f64,
}

/// The warehouse as a person sees it, who knows it as one lake's.
pub trait Observe {
    /// Tables by name.
    fn loads(&self) -> impl Future<Output = Result<BTreeMap<String, TableLoads>>>;

    /// The newest failed commit of each table, by its name.
    fn failures(&self) -> impl Future<Output = Result<BTreeMap<String, LoadFailure>>>;

    /// The newest such commit of each table within two weeks, by its name.
    fn untaken(&self) -> impl Future<Output = Result<BTreeMap<String, Untaken>>>;

    /// A table's newest entries, by sequence.
    fn recent(&self, table: &TableId, limit: usize) -> impl Future<Output = Result<BTreeMap<u64, Entry>>>;

    fn entry(&self, table: &TableId, sequence: Sequence) -> impl Future<Output = Result<Option<Entry>>>;

    /// The newest run of dbt that has ended.
    fn last_dbt_run(&self) -> impl Future<Output = Result<Option<DbtRun>>>;

    fn partitions(&self, table: &TableId) -> impl Future<Output = Result<Vec<PartitionRows>>>;

    fn pace(&self, table: &TableId) -> impl Future<Output = Result<Pace>>;

    /// How channels of one table stand, by name; one that does not exist is absent. One that tells no offset of ours is an
    /// error of its own.
    fn channels(&self, channels: &[Channel]) -> impl Future<Output = Result<BTreeMap<String, Result<ChannelStatus>>>>;

    /// As [`crate::stream::Channels::max_loaded_offset`].
    fn max_loaded_offset(&self, channel: &Channel) -> impl Future<Output = Result<Option<i64>>>;

    /// What a destination does not hold although the model says so, the newest first.
    fn unsent(&self, destination: &str) -> impl Future<Output = Result<Vec<Unsent>>>;

    /// What was measured of the days from then on, the dearest first.
    fn costs(&self, from: NaiveDate, by: CostsBy, limit: usize) -> impl Future<Output = Result<Vec<Cost>>>;

    /// Incidents that were open at some time since then.
    fn faults(&self, since: DateTime<Utc>) -> impl Future<Output = Result<Vec<Fault>>>;

    fn estimate(&self, from: NaiveDate) -> impl Future<Output = Result<Estimate>>;

    /// Refuses what may change something.
    fn ask(&self, question: &Question) -> impl Future<Output = Result<Answer>>;

    fn user(&self) -> &User;

    /// What the user runs as where no role is named.
    fn default_role(&self) -> impl Future<Output = Result<Option<String>>>;

    fn lock_wait(&self) -> impl Future<Output = Result<LockWait>>;
}
