//! Snowpipe Streaming channels: appends are taken at once, committed a moment later, and dropped if somebody opens the
//! channel in between. Rows and the channel's offset token become durable in one transaction.
//!
//! While the file is away a commit goes to the journal, which is as durable; the rows reach the table when it is back.

mod rows;

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use duckdb::Connection;

use crate::{
    actor::File,
    catalogue::{self, Column},
    journal::{self, Entry, Journal, Record},
    lock,
    names::Name,
};

/// What the default pipe of a table is called after the table.
pub(crate) const DEFAULT_PIPE: &str = "-STREAMING";

/// A refusal: HTTP status and code.
pub(crate) type Refusal = (u16, &'static str);

/// A channel's name and that of its pipe.
pub(crate) type ChannelName = (String, String);

/// A channel's record and whether it still takes rows.
pub(crate) struct Status {
    pub(crate) record: Record,
    pub(crate) code: &'static str,
}

struct Channel {
    record: Record,
    columns: Arc<[Column]>,
    /// Grows with each opening; a continuation token of an earlier one is stale.
    sequencer: u64,
    /// Appends since the opening.
    appends: u64,
    pending: Vec<Batch>,
    /// `SUCCESS`, or why the channel must be opened again.
    code: &'static str,
}

/// One append.
struct Batch {
    rows: Bytes,
    offset: Option<String>,
}

pub(crate) struct Channels {
    /// Part of every continuation token: none outlives the process, as what it chains to does not.
    incarnation: String,
    channels: Mutex<HashMap<ChannelName, Channel>>,
    journal: Mutex<Journal>,
}

impl Channel {
    fn token(&self, incarnation: &str) -> String {
        format!("{incarnation}-{}-{}", self.sequencer, self.appends)
    }

    fn status(&self) -> Status {
        Status { record: self.record.clone(), code: self.code }
    }
}

impl Channels {
    /// The channels of the file, after what journals still hold for it.
    pub(crate) fn read(conn: &Connection, journal: Journal) -> Result<Self> {
        let channels = Channels {
            incarnation: uuid::Uuid::new_v4().simple().to_string(),
            channels: Mutex::default(),
            journal: Mutex::new(journal),
        };
        channels.apply_journals(conn)?;
        let tables = catalogue::tables(conn)?;
        for (_, definition) in catalogue::all(conn, catalogue::Entry::Channel)? {
            let record: Record = serde_json::from_str(&definition).context("a channel's entry does not parse")?;
            let Some(columns) = tables.get(&record.table.listed()).cloned() else { continue };
            let name = found_as(&(record.pipe.clone(), record.channel.clone()));
            let channel = Channel { record, columns, sequencer: 0, appends: 0, pending: Vec::new(), code: "SUCCESS" };
            lock(&channels.channels).insert(name, channel);
        }
        Ok(channels)
    }

    /// The committed offset tokens by channel.
    pub(crate) fn tokens(&self) -> BTreeMap<String, String> {
        let channels = lock(&self.channels);
        let records = channels.values().map(|channel| &channel.record);
        records.filter_map(|record| Some((record.channel.clone(), record.committed.clone()?))).collect()
    }

    /// Opens a channel of a table's default pipe: makes it if need be, ends its holder's right to append and drops what
    /// is not committed. Runs on the warehouse's thread, so never in the middle of a commit.
    pub(crate) fn open(
        &self,
        file: &File,
        pipe: &Name,
        channel: &str,
        offset: Option<String>,
        keep_uncommitted: bool,
    ) -> Result<std::result::Result<(String, Status), Refusal>> {
        let Some(table) = pipe.object.strip_suffix(DEFAULT_PIPE) else {
            return Ok(Err((404, "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED")));
        };
        let table = Name { object: table.to_owned(), ..pipe.clone() };
        let columns = match file {
            File::Open(conn) => catalogue::columns(conn, &table.listed())?,
            File::Away { tables, .. } => tables.get(&table.listed()).cloned(),
        };
        let Some(columns) = columns else { return Ok(Err((404, "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED"))) };
        let mut channels = lock(&self.channels);
        let entry = channels.entry(found_as(&(pipe.to_string(), channel.to_owned()))).or_insert_with(|| Channel {
            record: Record {
                table,
                pipe: pipe.to_string(),
                channel: channel.to_owned(),
                created_on_ms: chrono::Utc::now().timestamp_millis(),
                committed: None,
                rows_parsed: 0,
                rows_inserted: 0,
                rows_error_count: 0,
                last_error_message: None,
                last_error_offset_upper_bound: None,
            },
            columns: columns.clone(),
            sequencer: 0,
            appends: 0,
            pending: Vec::new(),
            code: "SUCCESS",
        });
        if keep_uncommitted && !entry.pending.is_empty() {
            return Ok(Err((409, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA")));
        }
        entry.pending.clear();
        entry.columns = columns;
        entry.sequencer += 1;
        entry.appends = 0;
        entry.code = "SUCCESS";
        if entry.record.committed.is_none() {
            entry.record.committed = offset;
        }
        if let File::Open(conn) = file {
            save(conn, &entry.record)?;
        }
        Ok(Ok((entry.token(&self.incarnation), entry.status())))
    }

    /// Takes rows of the channel's holder; the token of the next append. Nothing is durable yet.
    pub(crate) fn append(
        &self,
        name: &ChannelName,
        token: &str,
        offset: Option<String>,
        rows: Bytes,
    ) -> std::result::Result<String, Refusal> {
        let mut channels = lock(&self.channels);
        let channel = channels.get_mut(&found_as(name)).ok_or((404, "ERR_CHANNEL_DOES_NOT_EXIST_OR_NOT_AUTHORIZED"))?;
        if channel.token(&self.incarnation) != token {
            return Err((400, "STALE_CONTINUATION_TOKEN_SEQUENCER"));
        }
        // Nothing more is said about a channel that is no longer valid.
        if channel.code != "SUCCESS" {
            return Err((409, ""));
        }
        channel.pending.push(Batch { rows, offset });
        channel.appends += 1;
        Ok(channel.token(&self.incarnation))
    }

    /// Makes what was appended durable, channel by channel. Runs on the warehouse's thread.
    pub(crate) fn commit(&self, file: &File) {
        let mut waiting = Vec::new();
        for (name, channel) in lock(&self.channels).iter_mut() {
            if !channel.pending.is_empty() {
                let batches = mem::take(&mut channel.pending);
                waiting.push((name.clone(), channel.record.clone(), channel.columns.clone(), batches));
            }
        }
        for (name, record, columns, batches) in waiting {
            let outcome = self.commit_one(file, record, &columns, &batches);
            if let Some(channel) = lock(&self.channels).get_mut(&name) {
                match outcome {
                    Ok(record) => channel.record = record,
                    // The table may have changed or gone. The rows are lost and the token says so.
                    Err(error) => {
                        channel.code = "ERR_CHANNEL_MUST_BE_REOPENED";
                        channel.record.last_error_message = Some(format!("{error:#}"));
                    }
                }
            }
        }
    }

    fn commit_one(&self, file: &File, mut record: Record, columns: &[Column], batches: &[Batch]) -> Result<Record> {
        let rows: Vec<&[u8]> = batches.iter().map(|batch| batch.rows.as_ref()).collect();
        let offset = batches.iter().rev().find_map(|batch| batch.offset.clone());
        let conn = match file {
            File::Open(conn) => conn,
            File::Away { scratch, .. } => scratch,
        };
        let judged = rows::judge(conn, columns, &rows)?;
        record.rows_parsed += judged.parsed;
        record.rows_inserted += judged.good;
        record.rows_error_count += judged.parsed - judged.good;
        if judged.error.is_some() {
            record.last_error_message = judged.error;
            record.last_error_offset_upper_bound.clone_from(&offset);
        }
        record.committed = offset.or(record.committed);
        match file {
            File::Open(conn) => catalogue::transaction(conn, || {
                rows::insert(conn, &record.table, columns)?;
                save(conn, &record)
            })?,
            File::Away { .. } => {
                let rows = String::from_utf8_lossy(&rows.join(&b'\n')).into_owned();
                let entry = Entry { record, rows };
                lock(&self.journal).append(&entry)?;
                return Ok(entry.record);
            }
        }
        Ok(record)
    }

    /// Drops what is not committed and every holder's right to append. Runs on the warehouse's thread.
    pub(crate) fn forget(&self) {
        for channel in lock(&self.channels).values_mut() {
            channel.pending.clear();
            channel.sequencer += 1;
        }
    }

    /// Deletes a channel and its token.
    pub(crate) fn drop_channel(&self, file: &File, name: &ChannelName) -> Result<()> {
        let removed = lock(&self.channels).remove(&found_as(name));
        if let (File::Open(conn), Some(channel)) = (file, removed) {
            let Record { pipe, channel, .. } = &channel.record;
            catalogue::delete(conn, catalogue::Entry::Channel, &entry_name(pipe, channel))?;
        }
        Ok(())
    }

    /// Names in a list count with their case, unlike those in paths.
    pub(crate) fn status(&self, name: &ChannelName) -> Option<Status> {
        lock(&self.channels)
            .get(&found_as(name))
            .filter(|channel| channel.record.channel == name.1)
            .map(Channel::status)
    }

    /// Brings the file up to date after it was away.
    pub(crate) fn catch_up(&self, conn: &Connection) -> Result<()> {
        self.apply_journals(conn)?;
        // Channels that were opened or dropped meanwhile are in no journal.
        catalogue::transaction(conn, || {
            let channels = lock(&self.channels);
            for (name, _) in catalogue::all(conn, catalogue::Entry::Channel)? {
                catalogue::delete(conn, catalogue::Entry::Channel, &name)?;
            }
            channels.values().try_for_each(|channel| save(conn, &channel.record))
        })
    }

    /// Applies each journal in one transaction that also notes its name: a journal that is found again is not applied
    /// again.
    fn apply_journals(&self, conn: &Connection) -> Result<()> {
        for path in lock(&self.journal).finished()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if catalogue::get(conn, catalogue::Entry::Journal, &name)?.is_none() {
                let tables = catalogue::tables(conn)?;
                let entries = journal::entries(&path)?;
                catalogue::transaction(conn, || {
                    for Entry { record, rows } in &entries {
                        let columns = tables
                            .get(&record.table.listed())
                            .with_context(|| format!("the journal has rows for {}, which is gone", record.table))?;
                        rows::judge(conn, columns, &[rows.as_bytes()])?;
                        rows::insert(conn, &record.table, columns)?;
                        save(conn, record)?;
                    }
                    anyhow::Ok(catalogue::put(conn, catalogue::Entry::Journal, &name, "")?)
                })
                .with_context(|| format!("cannot apply the journal {}", path.display()))?;
            }
            std::fs::remove_file(&path).with_context(|| format!("cannot remove the journal {}", path.display()))?;
            catalogue::delete(conn, catalogue::Entry::Journal, &name)?;
        }
        Ok(())
    }
}

/// How a channel is found: by its name in any case.
fn found_as((pipe, channel): &ChannelName) -> ChannelName {
    (pipe.clone(), channel.to_uppercase())
}

fn save(conn: &Connection, record: &Record) -> Result<()> {
    let name = entry_name(&record.pipe, &record.channel);
    Ok(catalogue::put(conn, catalogue::Entry::Channel, &name, &serde_json::to_string(record)?)?)
}

/// A slash is in no name of ours; a channel that had one would only share another's entry if its pipe had one too.
fn entry_name(pipe: &str, channel: &str) -> String {
    format!("{pipe}/{channel}")
}
