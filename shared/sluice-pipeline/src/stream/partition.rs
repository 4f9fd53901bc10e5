//! One partition's batch: skip, keep, append, confirm.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{
    Batch, Error, Kind, Record, Result, RunId, Sequence, Table,
    event::{self, LoadFailed},
    lake,
    port::{Bus, Clock, ObjectStore},
    sources::{Format, Source},
};
use tracing::{debug, error, info, warn};

use super::{
    Adapters, Appended, Channel, Channels, Decode, Failure, Invocation, Offsets, Progress, Sleep, Stream,
    pace::CommitPace,
    record,
    row::{self, RowWriter},
};

/// What a row takes with the columns that all of them have: the room for a batch is made at once.
const USUAL_ROW_BYTES: usize = 600;
/// Dead letters under way at once.
const DEAD_LETTERS_AT_ONCE: usize = 16;
/// A redelivery reaches back by the batches in flight. One that ends further back than this is another topic under the
/// same name, or a replay: both are something that a person should know of.
const FAR_BELOW: i64 = 100_000;

/// An open channel and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct OpenChannel {
    continuation: String,
    committed: Option<i64>,
    errors: u64,
    pace: CommitPace,
    far_below_reported: bool,
}

/// Rows of one append.
struct Append {
    rows: Bytes,
    offsets: Offsets,
}

/// A batch, or what is left of it, ready to be appended.
#[derive(Default)]
struct Prepared {
    appends: Vec<Append>,
    rows: u64,
    dead_letters: u64,
    unknown_fields: u64,
}

/// Rows that the warehouse took and then refused.
#[derive(Default)]
struct Refused {
    /// Of this batch.
    rows: u64,
    /// In the life of the channel.
    total: u64,
    reason: Option<String>,
}

/// What all steps of one partition share.
struct Work<'a> {
    batch: &'a Batch,
    table: &'a Table,
    channel: Channel,
    invocation: &'a Invocation,
    /// The invocation's run on this channel: rows of one channel are found by the beginning of their run id.
    run_id: RunId,
}

impl<P: Adapters> Stream<P> {
    pub(super) async fn partition(&self, batch: &Batch, invocation: &Invocation) -> Result<Progress, Failure> {
        let (topic, partition) = (batch.topic.as_str(), batch.partition);
        let mut undone = batch.records.first().map_or(0, |record| record.offset);
        let outcome = async {
            let table = self.sources.topic(topic)?;
            let cluster = &self.settings.cluster_id;
            let channel = Channel::new(&self.settings.lake_id, cluster, topic, partition, table.table.clone());
            let run_id = RunId(format!("{}/{}", channel.name, invocation.run_id));
            let work = Work { batch, table, channel, invocation, run_id };
            let held = self.warm.borrow_mut().remove(&work.channel.name);
            match self.advance(&work, held, &mut undone).await? {
                Some(progress) => Ok(progress),
                // Somebody else opened the channel. Once is a handover; the second time we are the one to give way.
                None => self.advance(&work, None, &mut undone).await?.ok_or_else(|| {
                    Error::conflict("another owner holds the channel").with("channel", &work.channel.name)
                }),
            }
        };
        outcome.await.map_err(|error| Failure { topic: topic.to_owned(), partition, offset: undone, error })
    }

    /// One pass over the batch. `None` means that the channel went stale: earlier appends of this pass may be lost, so
    /// the next pass begins again from what is committed.
    async fn advance(&self, work: &Work<'_>, held: Option<OpenChannel>, undone: &mut i64) -> Result<Option<Progress>> {
        let mut held = match held {
            Some(held) => held,
            None => self.open(work).await?,
        };
        let records = &work.batch.records;
        let skipped =
            held.committed.map_or(0, |committed| records.partition_point(|record| record.offset <= committed));
        let fresh = &records[skipped..];
        let mut progress = Progress {
            topic: work.batch.topic.clone(),
            partition: work.batch.partition,
            table: work.table.table.clone(),
            committed: held.committed,
            rows: 0,
            dead_letters: 0,
            skipped: skipped as u64,
            refused: 0,
            unknown_fields: 0,
            queryable_at: None,
        };
        let Some(first) = fresh.first() else {
            self.look_far_below(work, &mut held).await?;
            self.warm.borrow_mut().insert(work.channel.name.clone(), held);
            return Ok(Some(progress));
        };
        *undone = first.offset;

        let prepared = self.keep(work, fresh).await?;
        for Append { rows, offsets } in &prepared.appends {
            match self.ports.channels().append(&work.channel, &held.continuation, rows.clone(), *offsets).await? {
                Appended::Accepted { continuation } => held.continuation = continuation,
                Appended::Stale => return Ok(None),
            }
        }
        let mut refused = Refused::default();
        if let Some(Append { offsets, .. }) = prepared.appends.last() {
            refused = self.confirm(work, &mut held, offsets.last).await?;
            progress.refused = refused.rows;
            progress.queryable_at = Some(self.ports.clock().now());
        }
        progress.committed = held.committed;
        progress.rows = prepared.rows - progress.refused.min(prepared.rows);
        progress.dead_letters = prepared.dead_letters;
        progress.unknown_fields = prepared.unknown_fields;
        info!(
            run_id = %work.run_id, table = %work.table.table, topic = progress.topic, partition = progress.partition,
            rows = progress.rows, skipped, dead_letters = progress.dead_letters, unknown_fields = progress.unknown_fields,
            committed = progress.committed,
            "partition advanced"
        );
        if refused.rows > 0 {
            self.report_refused(work, &refused, fresh).await?;
        }
        self.warm.borrow_mut().insert(work.channel.name.clone(), held);
        Ok(Some(progress))
    }

    async fn open(&self, work: &Work<'_>) -> Result<OpenChannel> {
        let opened = self.ports.channels().open(&work.channel).await?;
        let committed = match opened.status.committed {
            Some(offset) => Some(offset),
            None => self.ports.channels().max_loaded_offset(&work.channel, &work.invocation.run_id).await?,
        };
        debug!(run_id = %work.run_id, channel = work.channel.name, committed, "channel opened");
        let errors = opened.status.errors;
        if errors > 0 {
            let refused = Refused { rows: 0, total: errors, reason: opened.status.last_error };
            self.catch_up_on_refused(work, &refused, committed).await?;
        }
        Ok(OpenChannel {
            continuation: opened.continuation,
            committed,
            errors,
            pace: CommitPace::default(),
            far_below_reported: false,
        })
    }

    /// Archives the records, dead-letters those that break the contract, and renders the others. When it returns, the
    /// channel's offset may pass all of them.
    async fn keep(&self, work: &Work<'_>, fresh: &[Record]) -> Result<Prepared> {
        let (topic, partition) = (work.batch.topic.as_str(), work.batch.partition);
        let archive_key = self.archive(work, fresh).await?;
        let (now, limits) = (self.ports.clock().now(), self.ports.channels().limits());
        let most = limits.append_bytes;
        let writer = RowWriter::new(&work.table.columns, &work.run_id.0, now, &archive_key, topic, partition);
        let mut prepared = Prepared::default();
        let mut rejected: Vec<(&Record, String)> = Vec::new();
        let mut pending = String::with_capacity(most.min(fresh.len() * USUAL_ROW_BYTES));
        let mut offsets: Option<Offsets> = None;
        for (i, record) in fresh.iter().enumerate() {
            let before = pending.len();
            let written = match self.json(work, record).await? {
                Ok(json) => writer.write(record, json.as_deref(), i + 1, &mut pending),
                Err(reason) => Err(reason.into()),
            };
            let written = written.and_then(|unknown| row::too_large(&pending[before..], limits).map(|()| unknown));
            match written {
                Ok(unknown) => prepared.unknown_fields += unknown,
                Err(reason) => {
                    pending.truncate(before);
                    rejected.push((record, reason.to_string()));
                    continue;
                }
            }
            prepared.rows += 1;
            if pending.len() > most {
                let row = pending.split_off(before);
                let rows = Bytes::from(std::mem::replace(&mut pending, row));
                prepared.appends.extend(offsets.take().map(|offsets| Append { rows, offsets }));
            }
            offsets = Some(Offsets { first: offsets.map_or(record.offset, |o| o.first), last: record.offset });
        }
        if let (Some(Offsets { first, .. }), Some(last)) = (offsets, fresh.last()) {
            // The last record may be a dead letter: the offset passes it with the rows before it.
            let offsets = Offsets { first, last: last.offset };
            prepared.appends.push(Append { rows: Bytes::from(pending), offsets });
        }
        prepared.dead_letters = rejected.len() as u64;
        if let Some((record, reason)) = rejected.first() {
            warn!(
                run_id = %work.run_id, topic, partition, offset = record.offset, reason, count = rejected.len(),
                "records break the contract and go to the dead letters; the first is shown"
            );
        }
        let cluster = &self.settings.cluster_id;
        let puts = stream::iter(rejected).map(|(record, reason)| async move {
            let (key, body) = record::dead_letter(cluster, topic, partition, record, &reason)?;
            self.ports.store().put(&key, body).await.map(drop)
        });
        puts.buffer_unordered(DEAD_LETTERS_AT_ONCE).try_collect::<()>().await?;
        Ok(prepared)
    }

    /// The record's value as JSON, in which the contract judges it. The inner error is the reason for a dead letter.
    async fn json(&self, work: &Work<'_>, record: &Record) -> Result<Result<Option<Bytes>, String>> {
        match (&work.table.source, &record.value) {
            (Source::Kafka { format: Format::Avro, .. }, Some(value)) => {
                let decoded = self.ports.formats().decode(&work.batch.topic, value).await?;
                Ok(decoded.map(Some))
            }
            (_, value) => Ok(Ok(value.clone())),
        }
    }

    async fn archive(&self, work: &Work<'_>, records: &[Record]) -> Result<String> {
        let (topic, partition) = (work.batch.topic.as_str(), work.batch.partition);
        let (key, body) = record::archive(&self.settings.cluster_id, topic, partition, records)?;
        self.ports.store().put(&key, body).await?;
        Ok(key)
    }

    /// Waits until the rows up to `last` are durable. Returns what the warehouse refused meanwhile.
    async fn confirm(&self, work: &Work<'_>, held: &mut OpenChannel, last: i64) -> Result<Refused> {
        let (appended_at, mut asked) = (self.ports.clock().now(), 0);
        let left = (work.invocation.deadline - appended_at).to_std().unwrap_or_default();
        let mut wait = held.pace.wait(asked).min(left);
        loop {
            if !wait.is_zero() {
                self.ports.sleep().sleep(wait).await;
            }
            let status = self.ports.channels().status(&work.channel).await?;
            if status.committed.is_some_and(|committed| committed >= last) {
                let rows = status.errors.saturating_sub(held.errors);
                held.committed = status.committed;
                held.errors = status.errors;
                held.pace.measured((self.ports.clock().now() - appended_at).to_std().unwrap_or_default());
                return Ok(Refused { rows, total: status.errors, reason: status.last_error });
            }
            asked += 1;
            wait = held.pace.wait(asked);
            let left = work.invocation.deadline - self.ports.clock().now();
            if left.to_std().is_ok_and(|left| left > wait) {
                continue;
            }
            return Err(Error::new(Kind::Timeout, "the rows were appended but not committed in time")
                .with("channel", &work.channel.name)
                .with("appended", last)
                .with("committed", status.committed.unwrap_or(-1)));
        }
    }

    /// Rows that the warehouse refused will not get better by sending them again, and the offset has passed them: they
    /// stay in the archive, and a person is told. That this was done is kept, up to the channel's total.
    async fn report_refused(&self, work: &Work<'_>, refused: &Refused, fresh: &[Record]) -> Result<()> {
        let (rows, kept) = (refused.rows, refused.key(work));
        let reason = format!(
            "the warehouse refused {rows} rows of a batch; they are in the archive, not in the table, and its reason is \
             in {kept}"
        );
        self.alarm(work, fresh, reason).await?;
        let [first, last] = [fresh.first(), fresh.last()].map(|record| record.map(|record| record.offset));
        self.keep_told(work, refused, first, last).await
    }

    /// The last owner of the channel may have died after the commit that refused rows, before anybody was told. The channel
    /// counts its refused rows, and the lake knows up to which count they were announced.
    async fn catch_up_on_refused(&self, work: &Work<'_>, refused: &Refused, committed: Option<i64>) -> Result<()> {
        let (total, kept) = (refused.total, refused.key(work));
        if self.ports.store().get(&kept).await?.is_some() {
            return Ok(());
        }
        let reason = format!(
            "the warehouse has refused {total} rows since the channel was made, some of them without an event; they \
             are in the archive, not in the table, and its newest reason is in {kept}"
        );
        self.alarm(work, &work.batch.records, reason).await?;
        self.keep_told(work, refused, None, committed).await
    }

    /// Keeps the warehouse's own words, which may quote a value and so are for nobody's mailbox, and between which
    /// offsets the rows were: from no known one on, if somebody else appended them. Of two who tell the same the first
    /// is kept.
    async fn keep_told(&self, work: &Work<'_>, refused: &Refused, first: Option<i64>, last: Option<i64>) -> Result<()> {
        let body = serde_json::json!({
            "channel": work.channel.name, "refused": refused.total, "reason": refused.reason, "first_offset": first,
            "last_offset": last,
        });
        self.ports.store().put_if_absent(&refused.key(work), body.to_string().into()).await.map(drop)
    }

    /// A whole batch far below the committed offset: skipped, because that is what the channel says, but kept and
    /// reported, because a topic that was created again looks the same.
    async fn look_far_below(&self, work: &Work<'_>, held: &mut OpenChannel) -> Result<()> {
        let records = &work.batch.records;
        let Some((committed, last)) = held.committed.zip(records.last()) else { return Ok(()) };
        if committed - last.offset <= FAR_BELOW {
            return Ok(());
        }
        self.archive(work, records).await?;
        if !held.far_below_reported {
            let reason = format!(
                "records up to {} were skipped, the channel has {committed}: a replay, or a topic created again that \
                 needs a new cluster id; the records are in the archive",
                last.offset
            );
            self.alarm(work, records, reason).await?;
            held.far_below_reported = true;
        }
        Ok(())
    }

    async fn alarm(&self, work: &Work<'_>, records: &[Record], reason: String) -> Result<()> {
        let kind = Kind::InvalidData;
        let last = records.last().map_or(0, |record| record.offset);
        error!(run_id = %work.run_id, channel = work.channel.name, offset = last, kind = kind.as_str(), reason, "rows are missing");
        let failed = LoadFailed {
            id: format!("{}#{}-{}:{last}", work.table.table, work.batch.topic, work.batch.partition),
            run_id: work.invocation.run_id.clone(),
            table: work.table.table.clone(),
            sequence: Sequence(last.unsigned_abs()),
            kind: kind.as_str().to_owned(),
            reason,
        };
        self.ports.bus().announce(event::load_failed(&failed)).await
    }
}

impl Refused {
    /// Where it is kept how many were announced.
    fn key(&self, work: &Work<'_>) -> String {
        lake::refused_key(&work.channel.name, self.total)
    }
}
