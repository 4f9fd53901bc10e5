//! Reading the archive back: what a topic's records of some time are as rows of its table, each record once.
//!
//! The archive holds batches as they were delivered, so its objects overlap, and a record may lie in several. Here each
//! partition is read in the order of its offsets; a record that comes again is counted and dropped, and two different
//! records under one offset end the replay. Records are judged by the code of the stream, with the contract of today.
//!
//! What is read is a range of offsets: from the first to the last record of the asked time, with everything between.
//! It ends at the channel's committed offset, because rows above it may still be under way.

mod merge;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::RangeInclusive};

use bytes::Bytes;
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{
    Cell, Column, ColumnType, Error, Record, Result, Schema, Table,
    lake::{self, Archive},
    port::{Listing, ObjectStore},
    sources::{Format, Source},
};

use super::{
    port::{Files, Mode, Request},
    report::Archived,
};
use crate::stream::{
    Decode,
    record::{self, Kept},
    row::{self, Fields},
};
use merge::{Merge, Placed};

/// Objects under way at once: those are a few megabytes each.
const FETCHES_AT_ONCE: usize = 8;
/// Dead letters under way at once.
const PUTS_AT_ONCE: usize = 16;

/// What a row has beside the contract's columns. The writer adds when it reached the table.
const ORIGIN: [(&str, ColumnType); 8] = [
    ("_sluice_run_id", ColumnType::Text),
    ("_sluice_sequence", ColumnType::Bigint),
    ("_sluice_source_file", ColumnType::Text),
    ("_sluice_row_number", ColumnType::Bigint),
    ("_kafka_topic", ColumnType::Text),
    ("_kafka_partition", ColumnType::Bigint),
    ("_kafka_offset", ColumnType::Bigint),
    ("_kafka_timestamp", ColumnType::Timestamp),
];

/// The columns of the rows that a replay makes.
pub fn columns(table: &Table) -> Schema {
    let own = table.columns.columns().iter().cloned();
    Schema(own.chain(ORIGIN.map(|(name, column_type)| Column::optional(name, column_type))).collect())
}

/// The archive's objects that may hold what is asked for, by partition, in the order in which they are read.
pub(super) async fn find(store: &impl Listing, request: &Request<'_>) -> Result<BTreeMap<i32, Vec<Archive>>> {
    let creation = lake::digest(&[request.cluster_id.as_bytes()]);
    let mut found: BTreeMap<i32, Vec<Archive>> = BTreeMap::new();
    for key in store.keys(&lake::archive_prefix(request.topic)).await? {
        let Some(archive) = Archive::parse(request.topic, &key) else { continue };
        let is_asked_for = request.partition.is_none_or(|partition| partition == archive.partition)
            && archive.first <= request.offsets.1
            && archive.last >= request.offsets.0;
        if is_asked_for && archive.creation.as_ref().is_none_or(|of| *of == creation) {
            found.entry(archive.partition).or_default().push(archive);
        }
    }
    let dates = dates(request.from, request.to);
    found.values_mut().for_each(|archives| retain_range(archives, &dates));
    found.retain(|_, archives| !archives.is_empty());
    Ok(found)
}

/// Keeps the objects of these dates, and those of any other whose offsets lie between them: a record may be days earlier
/// or later than its neighbours, and what is replayed is a range of offsets without holes.
fn retain_range(archives: &mut Vec<Archive>, dates: &RangeInclusive<NaiveDate>) {
    let of_dates = || archives.iter().filter(|archive| dates.contains(&archive.date));
    let range = of_dates().map(|archive| archive.first).min().zip(of_dates().map(|archive| archive.last).max());
    archives.retain(|archive| range.is_some_and(|(first, last)| archive.first <= last && archive.last >= first));
    archives.sort();
}

/// An object lies under the date of its first record: those of the days around may hold records of the asked time, too.
fn dates(from: DateTime<Utc>, to: DateTime<Utc>) -> RangeInclusive<NaiveDate> {
    let one = Days::new(1);
    let (first, last) = (from.date_naive(), to.date_naive());
    first.checked_sub_days(one).unwrap_or(first)..=last.checked_add_days(one).unwrap_or(last)
}

/// Reads one partition. `committed` is the channel's offset; `step` is called after each object.
pub(super) async fn read<S: ObjectStore, D: Decode>(
    store: &S,
    formats: &D,
    request: &Request<'_>,
    (partition, archives): (i32, &[Archive]),
    committed: Option<i64>,
    rows: &mut impl Files,
    step: impl Fn(),
) -> Result<Archived> {
    let Some(committed) = committed else { return Ok(Archived { partition, ..Archived::default() }) };
    let last = request.offsets.1.min(committed);
    let mut reader = Reader {
        store,
        formats,
        request,
        partition,
        run_id: format!("{}/{}", request.channel(partition).name, request.run_id),
        last,
        archived: Archived { partition, ..Archived::default() },
        beyond: Archived::default(),
        letters: Vec::new(),
    };
    let mut merge = Merge::default();
    let wanted = archives.iter().filter(|archive| archive.first <= last);
    let fetch = |archive| async move { Ok::<_, Error>((archive, fetch(store, request.topic, archive).await?)) };
    let mut fetched = stream::iter(wanted).map(fetch).buffered(FETCHES_AT_ONCE);
    while let Some((archive, (key, records))) = fetched.try_next().await? {
        for placed in merge.take_below(archive.first) {
            reader.take(placed, rows).await?;
        }
        merge.add(&key, records)?;
        step();
    }
    let repeated = merge.repeated();
    for placed in merge.take_below(i64::MAX) {
        reader.take(placed, rows).await?;
    }
    reader.keep_letters().await?;
    Ok(Archived { repeated, ..reader.archived })
}

async fn fetch(store: &impl ObjectStore, topic: &str, archive: &Archive) -> Result<(String, Vec<Record>)> {
    let key = archive.key(topic);
    let body = store.get(&key).await?;
    let body = body.ok_or_else(|| Error::not_found("an archive went away while it was read").with("key", &key))?;
    let records = Kept::read_archive(&body, topic, archive.partition).map_err(|error| error.with("key", &key))?;
    Ok((key, records))
}

/// One partition's records on their way to rows.
struct Reader<'a, S, D> {
    store: &'a S,
    formats: &'a D,
    request: &'a Request<'a>,
    partition: i32,
    run_id: String,
    /// The highest offset that may be replayed.
    last: i64,
    archived: Archived,
    /// What came after the last record of the asked time: part of the range only if another one follows.
    beyond: Archived,
    letters: Vec<(String, Bytes)>,
}

impl<S: ObjectStore, D: Decode> Reader<'_, S, D> {
    async fn take(&mut self, placed: Placed, rows: &mut impl Files) -> Result<()> {
        let offset = placed.record.offset;
        if offset < self.request.offsets.0 || offset > self.last {
            return Ok(());
        }
        let at = DateTime::from_timestamp_millis(placed.record.timestamp_ms);
        let is_of_the_time = at.is_some_and(|at| self.request.from <= at && at < self.request.to);
        if self.archived.range.is_none() && !is_of_the_time {
            return Ok(());
        }
        self.beyond.records += 1;
        match self.judge(&placed, rows).await? {
            Ok(()) => self.beyond.rows += 1,
            Err(reason) => {
                self.beyond.dead_letters += 1;
                self.reject(&placed.record, &reason).await?;
            }
        }
        if is_of_the_time {
            let beyond = std::mem::take(&mut self.beyond);
            self.archived.records += beyond.records;
            self.archived.rows += beyond.rows;
            self.archived.dead_letters += beyond.dead_letters;
            let first = self.archived.range.map_or(offset, |(first, _)| first);
            self.archived.range = Some((first, offset));
        }
        Ok(())
    }

    /// The record as a row, or why it is none.
    async fn judge(&self, placed: &Placed, rows: &mut impl Files) -> Result<std::result::Result<(), String>> {
        let Placed { record, key, line } = placed;
        let decoded = match (&self.request.table.source, &record.value) {
            (Source::Kafka { format: Format::Avro, .. }, Some(value)) => {
                match self.formats.decode(self.request.topic, value).await? {
                    Ok(json) => Some(json),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            (_, value) => value.clone(),
        };
        let schema = &self.request.table.columns;
        let fields = match Fields::read(schema, decoded.as_deref()) {
            Ok(fields) => fields,
            Err(reason) => return Ok(Err(reason.to_string())),
        };
        if let Err(reason) = row::check_size(schema, record, decoded.as_deref(), self.request.limits) {
            return Ok(Err(reason.to_string()));
        }
        let mut cells = fields.cells();
        cells.extend([
            Cell::Text(&self.run_id),
            Cell::Bigint(record.offset),
            Cell::Text(key),
            Cell::Bigint(*line),
            Cell::Text(self.request.topic),
            Cell::Bigint(i64::from(self.partition)),
            Cell::Bigint(record.offset),
            row::timestamp(record).map_or(Cell::Null, Cell::Timestamp),
        ]);
        rows.push(&cells).await.map(Ok)
    }

    async fn reject(&mut self, record: &Record, reason: &str) -> Result<()> {
        if self.request.mode != Mode::DryRun {
            let (cluster, topic) = (self.request.cluster_id, self.request.topic);
            self.letters.push(record::dead_letter(cluster, topic, self.partition, record, reason)?);
        }
        if self.letters.len() >= PUTS_AT_ONCE { self.keep_letters().await } else { Ok(()) }
    }

    async fn keep_letters(&mut self) -> Result<()> {
        let (store, letters) = (self.store, std::mem::take(&mut self.letters));
        let puts = stream::iter(letters).map(|(key, body)| async move { store.put(&key, body).await.map(drop) });
        puts.buffer_unordered(PUTS_AT_ONCE).try_collect().await
    }
}
