//! Reads contacts from a cursor on: changed ones by the search, deleted ones by the archive's list.
//!
//! The search pages by offset through at most 10,000 results. An offset is not safe here: the results are sorted by the
//! time of the last change, so a contact that changes meanwhile moves to the end, all later ones move up by one, and
//! the first of the next page is skipped for good. So every page is a search of its own, from the last time seen on: a
//! contact that moves is met again later, nothing is skipped, and no search comes near the cap. What a page shares with
//! the one before it (the contacts of the last millisecond) is met twice and kept once. A page that lies within one
//! millisecond, as after an import, cannot move on by time; that millisecond is then read by ascending id.
//!
//! Times are HubSpot's, so they are measured against HubSpot's clock: the `Date` of the run's first answer.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sluice_core::{Cursor, Error, Kind, Result, Retry, Schema, Sequence};

use crate::{
    client::{Client, Find, Page, Record},
    position::{INDEX_LAG_MICROS, Position, Sweep},
    properties::Account,
    row::{Invalid, Row, archived_at, consumed, decode, modified},
};

/// What one run may take. A run that reaches a limit commits what it has, and the next one goes on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// New contacts, archived and rejected ones included, which are held in memory until the run's end: the newest version
    /// of each is kept.
    pub contacts: usize,
    /// Time for searching.
    pub time: Duration,
}

/// What a run has found.
#[derive(Debug)]
pub struct Read {
    /// One per contact, by id.
    pub rows: Vec<Row>,
    pub invalid: Vec<Invalid>,
    /// `None` as long as the account has shown nothing at all.
    pub cursor: Option<Cursor>,
    /// Set where the run has come to the end of a read of the whole account: the commit that began it.
    pub whole_since: Option<Sequence>,
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// Time that the archive's list may take beyond [`Limits::time`].
const SWEEP_TIME: Duration = Duration::from_secs(45);

/// Reads what is new after the cursor, for the commit of this sequence. `account` is the run's first answer; `time` is the
/// run's "now" where HubSpot does not tell its own.
pub async fn read(
    client: &Client,
    account: &Account,
    columns: &Schema,
    (cursor, sequence): (Option<&Cursor>, Sequence),
    time: DateTime<Utc>,
    limits: Limits,
) -> Result<Read> {
    let standing: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
    let whole_since = if cursor.is_none() { Some(sequence) } else { standing.whole_since };
    let mut run = Run {
        client,
        columns,
        properties: account.wanted(columns)?,
        now: account.now.unwrap_or_else(|| time.timestamp_micros()),
        start: Instant::now(),
        limits,
        reached: Position { behind: false, from: None, within: None, ..standing.clone() },
        standing,
        taken: Taken::default(),
        searches: 0,
        lists: 0,
    };
    let end = run.all().await?;
    run.finish(end, whole_since, account.facts(columns))
}

/// How many contacts a run would look at: those changed since the cursor, the overlap of the index's lag included.
pub async fn count(client: &Client, columns: &Schema, cursor: Option<&Cursor>) -> Result<Option<u64>> {
    let standing: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
    let properties = client.account().await?.wanted(columns)?;
    Ok(client.search(Find::ChangedSince { millis: standing.search_from_millis() }, &properties).await?.total)
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything has been read.
    Complete,
    /// Not all changes; why.
    Changes(&'static str),
    /// All changes, not all of the archive; why.
    Archive(&'static str),
}

/// A limit of the run itself, as against one of HubSpot's.
const OWN_LIMIT: &str = "the run's limit";

struct Run<'a> {
    client: &'a Client,
    columns: &'a Schema,
    properties: Vec<&'a str>,
    /// HubSpot's clock when the run began, in microseconds.
    now: i64,
    start: Instant,
    limits: Limits,
    /// Where the last commit stands: what is new is measured against it.
    standing: Position,
    /// Where this run stands.
    reached: Position,
    taken: Taken,
    searches: u64,
    lists: u64,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<End> {
        match self.changed().await {
            Ok(true) => {}
            Ok(false) => return Ok(End::Changes(OWN_LIMIT)),
            // What has been read is a whole beginning, since changes come in the order of time: it is kept, or the next
            // run would ask for the same pages again.
            Err(error) if passes(&error) && self.has_found() => {
                tracing::warn!(error = error.chain(), "stopping early; the changes so far are kept");
                return Ok(End::Changes(error.kind().as_str()));
            }
            Err(error) => return Err(error),
        }
        match self.archived().await {
            Ok(true) => Ok(End::Complete),
            Ok(false) => Ok(End::Archive(OWN_LIMIT)),
            Err(error) if passes(&error) && (self.has_found() || self.lists > 0) => {
                tracing::warn!(error = error.chain(), "stopping early; the archive is read on by the next run");
                Ok(End::Archive(error.kind().as_str()))
            }
            Err(error) => Err(error),
        }
    }

    /// Searches to the end, or to a limit; says whether it was the end.
    async fn changed(&mut self) -> Result<bool> {
        let mut millis = self.standing.search_from_millis();
        if let Some(after_id) = self.standing.within {
            if !self.one_millisecond(millis, after_id).await? {
                return Ok(false);
            }
            millis += 1;
        }
        loop {
            self.reached.from = Some(millis);
            let page = self.search(Find::ChangedSince { millis }).await?;
            if page.next().is_none() {
                return Ok(true);
            }
            let times = || page.results.iter().filter_map(modified).map(|micros| micros.div_euclid(1_000));
            match times().min().zip(times().max()) {
                Some((first, last)) if first < last => millis = last,
                Some((_, last)) => {
                    if !self.one_millisecond(last, 0).await? {
                        return Ok(false);
                    }
                    millis = last + 1;
                }
                None => return Err(Error::new(Kind::SchemaMismatch, "no contact of a page says when it was changed")),
            }
            self.reached.from = Some(millis);
            if self.is_over() {
                return Ok(false);
            }
        }
    }

    /// Reads all that changed in one millisecond, or as much as the run may take; says whether it was all.
    async fn one_millisecond(&mut self, millis: i64, mut after_id: i64) -> Result<bool> {
        self.reached.from = Some(millis);
        loop {
            self.reached.within = (after_id > 0).then_some(after_id);
            let page = self.search(Find::ChangedAt { millis, after_id }).await?;
            if page.next().is_none() {
                self.reached.within = None;
                return Ok(true);
            }
            let highest = page.results.iter().filter_map(|record| record.id.parse().ok()).max();
            match highest {
                Some(highest) if highest > after_id => after_id = highest,
                _ => return Err(Error::new(Kind::SchemaMismatch, "a page of contacts does not go on by id")),
            }
            if self.is_over() {
                self.reached.within = Some(after_id);
                return Ok(false);
            }
        }
    }

    fn has_found(&self) -> bool {
        self.taken.count() > 0
    }

    fn is_full(&self) -> bool {
        self.taken.count() >= self.limits.contacts
    }

    fn is_over(&self) -> bool {
        self.is_full() || self.start.elapsed() >= self.limits.time
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
        self.taken.take(self.columns, record);
    }

    /// The whole list, from where the last run left it: it is not sorted by the time of archiving, so the mark moves only
    /// when all of it has been read. Says whether it has. It holds 90 days.
    async fn archived(&mut self) -> Result<bool> {
        let fresh = Sweep { after: String::new(), started: self.now, found: self.standing.archived.clone() };
        let mut sweep = self.standing.sweep.clone().unwrap_or_else(|| fresh.clone());
        let mut end = self.sweep(&mut sweep).await;
        if self.lists == 0 && self.standing.sweep.is_some() && end.as_ref().is_err_and(Error::is_final) {
            // The list no longer knows where the last run left it.
            sweep = fresh;
            end = self.sweep(&mut sweep).await;
        }
        if matches!(end, Ok(true)) {
            self.reached.archived = sweep.found.held_at(sweep.started, &self.standing.archived);
            self.reached.sweep = None;
        } else if !sweep.after.is_empty() {
            self.reached.sweep = Some(Sweep { found: sweep.found.trimmed(self.now, false), ..sweep });
        }
        end
    }

    async fn sweep(&mut self, sweep: &mut Sweep) -> Result<bool> {
        loop {
            let after = (!sweep.after.is_empty()).then_some(sweep.after.as_str());
            let page = self.client.archived(after, &self.properties).await?;
            self.lists += 1;
            for record in &page.results {
                // The list holds archived records only, whatever the field says.
                let record = Record { archived: true, ..record.clone() };
                if let (Ok(id), Some(micros)) = (record.id.parse(), archived_at(&record)) {
                    if !self.standing.archived.is_new(id, micros) {
                        continue;
                    }
                    sweep.found.note(id, micros);
                }
                self.taken.take(self.columns, &record);
            }
            let Some(next) = page.next() else { return Ok(true) };
            if next == sweep.after {
                return Err(Error::new(Kind::SchemaMismatch, "the list of archived contacts does not go on"));
            }
            sweep.after = next.to_owned();
            if self.is_full() || self.start.elapsed() >= self.limits.time.saturating_add(SWEEP_TIME) {
                return Ok(false);
            }
        }
    }

    fn finish(self, end: End, whole_since: Option<Sequence>, mut facts: Map<String, Value>) -> Result<Read> {
        let Position { changed, archived, from, within, sweep, known, compared, comparison, .. } = self.reached;
        // Only what is older than the index's lag is surely all there; nearer to now the window is read again as usual.
        let settled = from.is_some_and(|millis| millis.saturating_mul(1_000) < self.now - INDEX_LAG_MICROS);
        let behind = matches!(end, End::Changes(_)) && settled;
        let is_complete = end == End::Complete;
        let mut reached = Position {
            changed: changed
                .held_at(self.now, &self.standing.changed)
                .trimmed(self.now, !matches!(end, End::Changes(_))),
            archived: archived.trimmed(self.now, true),
            behind,
            from: from.filter(|_| behind),
            within: within.filter(|_| behind),
            whole_since: None,
            sweep,
            known,
            compared,
            comparison,
        };
        facts.insert("searches".into(), self.searches.into());
        facts.insert("archive_pages".into(), self.lists.into());
        facts.insert("stopped_early".into(), (!is_complete).into());
        if let End::Changes(why) | End::Archive(why) = end {
            facts.insert("stopped_by".into(), why.into());
        }
        let has_shown_nothing = reached == Position::default();
        reached.whole_since = whole_since.filter(|_| !is_complete);
        Ok(Read {
            rows: self.taken.rows.into_values().collect(),
            invalid: self.taken.invalid.into_values().collect(),
            cursor: if has_shown_nothing { None } else { Some(Cursor::encode(&reached)?) },
            whole_since: whole_since.filter(|_| is_complete),
            facts,
        })
    }
}

/// What a run has taken so far.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub rows: BTreeMap<i64, Row>,
    /// By record id, because a record is met twice where pages share a millisecond.
    pub invalid: BTreeMap<String, Invalid>,
}

impl Taken {
    /// Keeps the newest version of a contact, or the reason why it is none, and buries what it has consumed.
    pub(crate) fn take(&mut self, columns: &Schema, record: &Record) {
        match decode(columns, record) {
            Err(invalid) => drop(self.invalid.insert(record.id.clone(), invalid)),
            Ok(row) => {
                for tombstone in consumed(columns, record, &row) {
                    self.keep(tombstone);
                }
                self.keep(row);
            }
        }
    }

    pub(crate) fn keep(&mut self, row: Row) {
        if self.rows.get(&row.id).is_none_or(|known| row.supersedes(known)) {
            self.rows.insert(row.id, row);
        }
    }

    fn count(&self) -> usize {
        self.rows.len() + self.invalid.len()
    }
}

/// Whether what ended a run is over by itself some time: what has been read is then worth keeping.
fn passes(error: &Error) -> bool {
    error.kind() == Kind::RateLimited || error.retry() == Retry::Exhausted
}

#[cfg(test)]
mod tests;
