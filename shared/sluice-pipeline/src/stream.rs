//! The streaming loop: records of Kafka partitions become rows of a table, each exactly once.
//!
//! Delivery is at least once, in batches that are cut again each time, by functions that die, sometimes by two at once.
//! What makes a record count once is the channel: its committed offset becomes durable together with the rows, and
//! opening it ends every earlier holder. So the loop believes the channel alone: it skips what is committed, appends
//! the rest in order, and is done when the channel's status says so. Whatever is unclear ends in opening it again.
//!
//! Before the offset passes a record, the record is in the archive, and a record that breaks its table's contract is
//! in the dead-letter folder too.

mod pace;
mod partition;
mod plain;
mod port;
pub(crate) mod record;
pub(crate) mod row;
mod stamp;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future;
use sluice_core::{
    Batch, Error, LakeId, Result, RunId, Sequence, Sources, TableId,
    event::{self, TableLoaded},
    port::{Bus, Clock, DelayedQueue},
};
use tracing::warn;

pub use port::{Adapters, Appended, Channel, ChannelStatus, Channels, Decode, Limits, Offsets, Opened, Ports, Sleep};
pub use row::{Rejection, check};

use crate::dispatch::Message;

/// The loop's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub lake_id: LakeId,
    /// The cluster and, where a topic was ever created again, which creation of it.
    pub cluster_id: String,
    /// At least this long between two announcements of one table. Rows that come meanwhile wake the dispatch loop when
    /// it is over.
    pub announce_interval: Duration,
}

/// What the loop must know about one invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub run_id: RunId,
    /// When waiting must end, early enough to still answer.
    pub deadline: DateTime<Utc>,
}

/// What became of one partition's batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub topic: String,
    pub partition: i32,
    pub table: TableId,
    /// Everything up to here is durable in the table, or in the dead-letter folder.
    pub committed: Option<i64>,
    pub rows: u64,
    pub dead_letters: u64,
    /// Records that were committed before.
    pub skipped: u64,
    /// Rows that the warehouse took and then refused; they are in the archive.
    pub refused: u64,
    /// Fields of this batch's records that the contract does not know: in the archive, not in the table.
    pub unknown_fields: u64,
    /// When the rows of this batch were seen to be durable; `None` if it brought none.
    pub queryable_at: Option<DateTime<Utc>>,
}

/// A partition that is not done.
#[derive(Debug)]
pub struct Failure {
    pub topic: String,
    pub partition: i32,
    /// The first record of the batch that may not be durable.
    pub offset: i64,
    pub error: Error,
}

/// What became of the batches, partition by partition: one that failed holds up no other.
#[derive(Debug, Default)]
pub struct Report {
    pub done: Vec<Progress>,
    pub failed: Vec<Failure>,
}

/// The loop and what a warm function remembers between invocations. All of it can be lost at any time.
pub struct Stream<P> {
    ports: P,
    sources: Sources,
    settings: Settings,
    /// Channels that were open and quiet after the last invocation, by name. One in use is not here: if its partition
    /// fails or the future is dropped, it is opened again.
    warm: RefCell<HashMap<String, partition::OpenChannel>>,
    announced: RefCell<BTreeMap<TableId, Announced>>,
}

/// What is known about a table's announcements.
#[derive(Debug, Clone, Copy, Default)]
struct Announced {
    last: Option<DateTime<Utc>>,
    /// Rows since then.
    rows: u64,
    /// Whether a message is under way that wakes the dispatch loop when the interval is over.
    wakes: bool,
}

impl<P: Adapters> Stream<P> {
    pub fn new(ports: P, sources: Sources, settings: Settings) -> Self {
        Stream { ports, sources, settings, warm: RefCell::default(), announced: RefCell::default() }
    }

    /// Brings the batches into their tables, all partitions at once. A partition's failure is in the report; an error
    /// means that the rows may be in but the announcement is not out, and the invocation should be repeated.
    pub async fn process(&self, batches: &[Batch], invocation: &Invocation) -> Result<Report> {
        let mut report = Report::default();
        let partitions = batches.iter().filter(|batch| !batch.records.is_empty());
        let partitions = partitions.map(|batch| self.partition(batch, invocation));
        for outcome in future::join_all(partitions).await {
            match outcome {
                Ok(progress) => report.done.push(progress),
                Err(failure) => report.failed.push(failure),
            }
        }
        self.announce(&report.done, invocation).await?;
        Ok(report)
    }

    /// Announces each table with a durable row, also when it was durable before: the delivery that made it so may have
    /// died before it could say so.
    async fn announce(&self, done: &[Progress], invocation: &Invocation) -> Result<()> {
        let now = self.ports.clock().now();
        let mut tables: BTreeMap<&TableId, Vec<(&Progress, i64)>> = BTreeMap::new();
        for progress in done {
            if let Some(committed) = progress.committed {
                tables.entry(&progress.table).or_default().push((progress, committed));
            }
        }
        for (table, partitions) in tables {
            let mut announced = self.announced.borrow().get(table).copied().unwrap_or_default();
            announced.rows += partitions.iter().map(|(progress, _)| progress.rows).sum::<u64>();
            self.announced.borrow_mut().insert(table.clone(), announced);
            let quiet = announced.last.and_then(|last| (now - last).to_std().ok());
            let left = quiet.and_then(|quiet| self.settings.announce_interval.checked_sub(quiet));
            if let Some(left) = left.filter(|left| !left.is_zero()) {
                if !announced.wakes {
                    self.wake_later(table, left).await?;
                    self.announced.borrow_mut().insert(table.clone(), Announced { wakes: true, ..announced });
                }
                continue;
            }
            let offsets: Vec<String> =
                partitions.iter().map(|(p, committed)| format!("{}-{}:{committed}", p.topic, p.partition)).collect();
            let highest = partitions.iter().map(|(_, committed)| *committed).max().unwrap_or_default();
            let detail = TableLoaded {
                id: format!("{table}#{}", offsets.join(",")),
                run_id: invocation.run_id.clone(),
                lake_id: self.settings.lake_id.clone(),
                table: table.clone(),
                sequence: Sequence(highest.unsigned_abs()),
                rows: announced.rows,
            };
            self.ports.bus().announce(event::table_loaded(&detail)).await.inspect_err(|_| {
                warn!(table = %table, run_id = %invocation.run_id, "rows are in the table, but no event was published");
            })?;
            self.announced.borrow_mut().insert(table.clone(), Announced { last: Some(now), rows: 0, wakes: false });
        }
        Ok(())
    }

    /// No further event may come to announce the last rows of a burst, and nobody waits here until the interval is
    /// over: the dispatch loop is woken then, once for all rows of the interval.
    async fn wake_later(&self, table: &TableId, left: Duration) -> Result<()> {
        let message = Message::Wake { cause: format!("{table} streamed"), force: false, resume: false };
        let body = serde_json::to_value(&message)
            .map_err(|error| Error::internal("cannot encode a message to the dispatch loop").because(error))?;
        self.ports.queue().send(&body, left).await
    }
}
