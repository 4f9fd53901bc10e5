//! Reads contacts from a cursor on: changed ones by the search, deleted ones by the archive's list.
//!
//! The search pages by offset through at most 10,000 results. An offset is not safe here: the results are sorted by the
//! time of the last change, so a contact that changes meanwhile moves to the end, all later ones move up by one, and
//! the first of the next page is skipped for good. So every page is a search of its own, from the last time seen on: a
//! contact that moves is met again later, nothing is skipped, and no search comes near the cap. What a page shares with
//! the one before it (the contacts of the last millisecond) is met twice and kept once. A page that lies within one
//! millisecond, as after an import, cannot move on by time; that millisecond is then read by ascending id.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::json;
use sluice_core::{Cursor, Error, Kind, Result, Schema};

use crate::{
    client::{Client, Find, Page, Record},
    position::{INDEX_LAG_MICROS, Position},
    row::{Row, Unfit, archived_at, decode, modified, property_of},
};

/// What one run may take. A run that reaches a limit commits what it has, and the next one goes on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// New contacts, which are held in memory until the run's end: the newest version of each is kept.
    pub contacts: usize,
    /// Time for searching.
    pub time: Duration,
}

/// What a run has found.
#[derive(Debug)]
pub struct Read {
    /// One per contact, by id.
    pub rows: Vec<Row>,
    pub unfit: Vec<Unfit>,
    /// `None` as long as the account has shown nothing at all.
    pub cursor: Option<Cursor>,
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// Reads what is new after the cursor. `time` is the run's "now".
pub async fn read(
    client: &Client,
    columns: &Schema,
    cursor: Option<&Cursor>,
    time: DateTime<Utc>,
    limits: Limits,
) -> Result<Read> {
    let standing: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
    let properties: Vec<&str> = columns.columns().iter().filter_map(|column| property_of(&column.name)).collect();
    check_properties(client, &properties).await?;

    let mut run = Run {
        client,
        columns,
        properties,
        reached: standing.clone(),
        standing,
        rows: BTreeMap::new(),
        unfit: BTreeMap::new(),
        searches: 0,
        lists: 0,
    };
    let complete = run.changed(limits).await?;
    if complete {
        run.archived().await?;
    }
    run.finish(complete, time)
}

/// A property that does not exist is left out of every answer without a word: a column of nulls, not an error.
async fn check_properties(client: &Client, wanted: &[&str]) -> Result<()> {
    let existing = client.properties().await?;
    match wanted.iter().find(|name| !existing.contains(**name)) {
        None => Ok(()),
        Some(missing) => {
            Err(Error::new(Kind::SchemaMismatch, "contacts have no such property").with("property", missing))
        }
    }
}

struct Run<'a> {
    client: &'a Client,
    columns: &'a Schema,
    properties: Vec<&'a str>,
    /// Where the last commit stands: what is new is measured against it.
    standing: Position,
    /// Where this run stands.
    reached: Position,
    rows: BTreeMap<i64, Row>,
    /// By record id, because a record is met twice where pages share a millisecond.
    unfit: BTreeMap<String, Unfit>,
    searches: u64,
    lists: u64,
}

impl Run<'_> {
    /// Searches to the end, or to a limit; says which.
    async fn changed(&mut self, limits: Limits) -> Result<bool> {
        let start = Instant::now();
        let mut millis = self.standing.search_from_millis();
        loop {
            let page = self.search(Find::ChangedSince { millis }).await?;
            if page.next().is_none() {
                return Ok(true);
            }
            let last = page.results.iter().filter_map(modified).max().map(|micros| micros.div_euclid(1_000));
            match last {
                Some(last) if last > millis => millis = last,
                Some(_) => {
                    self.one_millisecond(millis).await?;
                    millis += 1;
                }
                None => return Err(Error::new(Kind::SchemaMismatch, "no contact of a page says when it was changed")),
            }
            if self.rows.len() >= limits.contacts || start.elapsed() >= limits.time {
                return Ok(false);
            }
        }
    }

    /// Reads all that changed in one millisecond.
    async fn one_millisecond(&mut self, millis: i64) -> Result<()> {
        let mut after_id = 0;
        loop {
            let page = self.search(Find::ChangedAt { millis, after_id }).await?;
            if page.next().is_none() {
                return Ok(());
            }
            let highest = page.results.iter().filter_map(|record| record.id.parse().ok()).max();
            match highest {
                Some(highest) if highest > after_id => after_id = highest,
                _ => return Err(Error::new(Kind::SchemaMismatch, "a page of contacts does not go on by id")),
            }
        }
    }

    async fn search(&mut self, find: Find) -> Result<Page> {
        let page = self.client.search(find, &self.properties).await?;
        self.searches += 1;
        for record in &page.results {
            self.take_changed(record);
        }
        Ok(page)
    }

    fn take_changed(&mut self, record: &Record) {
        if let (Ok(id), Some(micros)) = (record.id.parse(), modified(record)) {
            if !self.standing.changed.is_new(id, micros) {
                return;
            }
            self.reached.changed.note(id, micros);
        }
        self.take(record);
    }

    /// The whole list, every time: it is not sorted by the time of archiving. It holds 90 days.
    async fn archived(&mut self) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = self.client.archived(after.as_deref(), &self.properties).await?;
            self.lists += 1;
            for record in &page.results {
                // The list holds archived records only, whatever the field says.
                let record = Record { archived: true, ..record.clone() };
                if let (Ok(id), Some(micros)) = (record.id.parse(), archived_at(&record)) {
                    if !self.standing.archived.is_new(id, micros) {
                        continue;
                    }
                    self.reached.archived.note(id, micros);
                }
                self.take(&record);
            }
            let next = page.next().map(str::to_owned);
            if next.is_none() {
                return Ok(());
            }
            if next == after {
                return Err(Error::new(Kind::SchemaMismatch, "the list of archived contacts does not go on"));
            }
            after = next;
        }
    }

    /// Keeps the newest version of a contact, or the reason why it is none.
    fn take(&mut self, record: &Record) {
        match decode(self.columns, record) {
            Err(unfit) => drop(self.unfit.insert(record.id.clone(), unfit)),
            Ok(row) => {
                if self.rows.get(&row.id).is_none_or(|known| row.supersedes(known)) {
                    self.rows.insert(row.id, row);
                }
            }
        }
    }

    fn finish(self, complete: bool, time: DateTime<Utc>) -> Result<Read> {
        // Only what is older than the index's lag is surely all there; nearer to now the window is read again as usual.
        let settled = self.reached.changed.at.is_some_and(|at| at < time.timestamp_micros() - INDEX_LAG_MICROS);
        let reached = Position {
            changed: self.reached.changed.trimmed(),
            archived: self.reached.archived.trimmed(),
            behind: !complete && settled,
        };
        let facts = json!({ "searches": self.searches, "archive_pages": self.lists, "stopped_early": !complete });
        let serde_json::Value::Object(facts) = facts else { return Err(Error::internal("facts are an object")) };
        Ok(Read {
            rows: self.rows.into_values().collect(),
            unfit: self.unfit.into_values().collect(),
            cursor: if reached == Position::default() { None } else { Some(Cursor::encode(&reached)?) },
            facts,
        })
    }
}

#[cfg(test)]
mod tests;
