//! What the streaming loop asks of the outside world, beyond the platform's common ports.

use std::time::Duration;

use bytes::Bytes;
use sluice_core::{
    LakeId, Result, RunId, TableId,
    port::{Bus, Clock, DelayedQueue, ObjectStore},
};

/// The adapters that the loop works with, by the port that each is.
#[derive(Debug, Clone)]
pub struct Ports<O, C, D, B, Q, K, Z> {
    pub store: O,
    pub channels: C,
    pub formats: D,
    pub bus: B,
    /// The dispatch loop's queue.
    pub queue: Q,
    pub clock: K,
    pub sleep: Z,
}

/// All ports of the loop as one type, so that no signature lists the seven. [`Ports`] is its only kind.
pub trait Adapters {
    fn store(&self) -> &impl ObjectStore;
    fn channels(&self) -> &impl Channels;
    fn formats(&self) -> &impl Decode;
    fn bus(&self) -> &impl Bus;
    fn queue(&self) -> &impl DelayedQueue;
    fn clock(&self) -> &impl Clock;
    fn sleep(&self) -> &impl Sleep;
}

impl<O, C, D, B, Q, K, Z> Adapters for Ports<O, C, D, B, Q, K, Z>
where
    O: ObjectStore,
    C: Channels,
    D: Decode,
    B: Bus,
    Q: DelayedQueue,
    K: Clock,
    Z: Sleep,
{
    fn store(&self) -> &impl ObjectStore {
        &self.store
    }

    fn channels(&self) -> &impl Channels {
        &self.channels
    }

    fn formats(&self) -> &impl Decode {
        &self.formats
    }

    fn bus(&self) -> &impl Bus {
        &self.bus
    }

    fn queue(&self) -> &impl DelayedQueue {
        &self.queue
    }

    fn clock(&self) -> &impl Clock {
        &self.clock
    }

    fn sleep(&self) -> &impl Sleep {
        &self.sleep
    }
}

/// A channel: one partition's ordered way into one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Unique for lake, cluster, topic and partition. A topic that is created again needs another cluster id: its offsets
    /// begin again, and the old channel would take them for records it already has.
    pub name: String,
    pub table: TableId,
}

impl Channel {
    pub fn new(lake: &LakeId, cluster: &str, topic: &str, partition: i32, table: TableId) -> Self {
        Channel { name: format!("{lake}_{cluster}_{topic}_{partition}"), table }
    }
}

/// A channel that was just opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What the next append must show.
    pub continuation: String,
    pub status: ChannelStatus,
}

/// How an append ended that the warehouse has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Taken, not yet durable.
    Accepted { continuation: String },
    /// Somebody has opened the channel since: nothing was taken, and earlier rows may have been dropped.
    Stale,
}

/// What the warehouse says about a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelStatus {
    /// The last offset whose row is durable in the table; `None` before the first.
    pub committed: Option<i64>,
    /// Rows that the warehouse has refused since the channel was made.
    pub errors: u64,
    /// Why the newest of the refused rows was refused. May quote a value: for a kept copy, never for a log.
    pub last_error: Option<String>,
}

/// The most that a warehouse takes in one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of rows, before compression, that fit whatever the rows hold. A single row may be larger.
    pub append_bytes: usize,
    /// Bytes of one append, and so of one row: before it is compressed, and as it travels.
    pub row_bytes: usize,
    pub packed_bytes: usize,
    /// How hard zstd compresses rows on their way.
    pub level: i32,
}

/// Channels of the warehouse.
pub trait Channels {
    fn limits(&self) -> Limits;

    /// Opens the channel, making it first if need be. Ends its last owner, and drops rows that are not yet durable.
    fn open(&self, channel: &Channel) -> impl Future<Output = Result<Opened>>;

    /// Appends rows, one JSON object per line; a point in time is a text in UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. `last` becomes
    /// the channel's offset in the very commit that makes these rows durable. An error leaves it open whether the rows were
    /// taken; only opening the channel again decides it.
    fn append(
        &self,
        channel: &Channel,
        continuation: &str,
        rows: Bytes,
        offsets: Offsets,
    ) -> impl Future<Output = Result<Appended>>;

    fn status(&self, channel: &Channel) -> impl Future<Output = Result<ChannelStatus>>;

    /// The highest offset among the channel's rows in its table, that is rows whose run id begins with the channel's
    /// name and a slash. Asked by a run when a channel has no offset: the warehouse forgets idle channels, never rows.
    fn max_loaded_offset(&self, channel: &Channel, run_id: &RunId) -> impl Future<Output = Result<Option<i64>>>;
}

/// Formats other than JSON.
pub trait Decode {
    /// The JSON object that a value stands for. The inner error is the reason why the record is bad; the outer one means
    /// that it cannot be told now, and the record must be delivered again.
    fn decode(&self, topic: &str, value: &Bytes) -> impl Future<Output = Result<Result<Bytes, String>>>;
}

/// First and last offset of something, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    pub first: i64,
    pub last: i64,
}

/// Waiting, so that a test does not.
pub trait Sleep {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}
