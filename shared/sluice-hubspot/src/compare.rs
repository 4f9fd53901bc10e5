//! The comparison of the contacts that are known with the account's list.
//!
//! A contact that is deleted for good, as the law lets a person ask for, is in no search and in no archive: it is only not in
//! the list any more. So every few days the whole list is read, which is sorted by id, and compared with the ids that are known,
//! page by page. An id that is missing is asked for by itself before it is buried: it may have been archived or merged
//! since. The list does not come from the search's index, so a contact that the index never showed is found here too.
//!
//! A large account takes several runs: each goes on where the one before stopped. Nothing that goes wrong here ends a run. If
//! very many contacts are missing, none is buried: then the token is rather that of another account.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sluice_core::{Cursor, Error, Kind, Result, Schema};

use crate::{
    client::{Client, LIST_PAGE, Record},
    known::{IdStore, KnownIds},
    position::{Comparison, INDEX_LAG_MICROS, Position},
    properties::Account,
    read::{Read, Taken},
    row::{merged_ids, modified, vanished},
};

/// As many contacts may be gone since the last comparison, or a tenth of all; never all of several.
const MOST_GONE: usize = 20;

/// When to compare, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparing {
    /// From the beginning of one comparison to that of the next; `None`: never.
    pub every: Option<Duration>,
    /// What one run may take for it.
    pub time: Duration,
}

/// Notes what the run has read among the known contacts and, if it is time, adds what the comparison finds. `standing` is the
/// cursor that the run began with.
#[allow(clippy::too_many_arguments, reason = "a run's own arguments, and where ids are kept")]
pub async fn compare(
    client: &Client,
    account: &Account,
    columns: &Schema,
    standing: Option<&Cursor>,
    read: Read,
    time: DateTime<Utc>,
    comparing: Comparing,
    ids: &impl IdStore,
) -> Result<Read> {
    let Some(cursor) = &read.cursor else { return Ok(read) };
    let mut position: Position = cursor.decode()?;
    let before = position.clone();
    let is_complete = read.facts.get("stopped_early").is_none_or(|stopped| stopped == false);
    let now = account.now.unwrap_or_else(|| time.timestamp_micros());
    let mut run = Run {
        client,
        columns,
        properties: account.wanted(columns)?,
        end: Instant::now().checked_add(comparing.time),
        known: KnownIds::new(position.known.as_ref()),
        known_before: KnownIds::new(position.known.as_ref()),
        taken: Taken::default(),
        since: position.compared.map(|micros| micros - INDEX_LAG_MICROS),
        pages: 0,
        gone: Vec::new(),
    };
    let Read { rows, invalid, whole_since, mut facts, .. } = read;
    for row in rows {
        run.known.note(row.id, !row.archived);
        run.taken.keep(row);
    }
    begin(&mut position, standing.is_none(), comparing.every, is_complete, now);
    if let Some(mut comparison) = position.comparison.take().filter(|_| comparing.every.is_some()) {
        let ended = if is_complete { run.all(&mut comparison, ids).await } else { Ok(false) };
        // Without a page read, nothing has changed that a commit would have to keep.
        let has_begun = !comparison.after.is_empty();
        position.comparison = if has_begun { Some(comparison.clone()) } else { before.comparison.clone() };
        match ended {
            Ok(true) => (position.compared, position.comparison) = (Some(comparison.started), None),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(
                    error = error.chain(),
                    "the comparison with HubSpot's list stopped; the next run goes on"
                );
                facts.insert("comparison_stopped_by".into(), error.kind().as_str().into());
                run.give_up(&error, &mut position, now);
            }
        }
    }
    if run.pages > 0 {
        facts.insert("compared_pages".into(), run.pages.into());
        facts.insert("vanished".into(), run.gone.len().into());
    }
    for id in std::mem::take(&mut run.gone) {
        run.taken.keep(vanished(columns, id, now));
        run.known.note(id, false);
    }
    let Run { known, taken, .. } = run;
    if known.has_changed() {
        position.known = Some(known.keep(ids).await?);
    }
    let cursor = if position == before { read.cursor } else { Some(Cursor::encode(&position)?) };
    let mut invalid = invalid;
    invalid.extend(taken.invalid.into_values());
    Ok(Read { rows: taken.rows.into_values().collect(), invalid, cursor, whole_since, facts })
}

/// Begins a comparison where it is time for one.
fn begin(position: &mut Position, is_first_run: bool, every: Option<Duration>, is_complete: bool, now: i64) {
    let Some(every) = every else {
        position.comparison = None;
        return;
    };
    if position.comparison.is_some() {
        return;
    }
    let is_due = match position.compared {
        Some(at) => i64::try_from(every.as_micros()).is_ok_and(|every| now - at >= every),
        // A commit of an earlier build: the list tells what there is.
        None if !is_first_run && position.known.is_none() => true,
        None => {
            // Everything has just been read.
            position.compared = is_complete.then_some(now);
            false
        }
    };
    position.comparison = is_due.then(|| Comparison { after: String::new(), last_id: 0, started: now, gone: 0 });
}

struct Run<'a> {
    client: &'a Client,
    columns: &'a Schema,
    properties: Vec<&'a str>,
    end: Option<Instant>,
    known: KnownIds,
    /// Without what this run has read, which may already be of another account.
    known_before: KnownIds,
    taken: Taken,
    /// A contact that was changed since then is taken from the list, in case the index has never shown it. `None` where
    /// nothing has been compared yet: then the list only tells which contacts there are.
    since: Option<i64>,
    pages: u64,
    gone: Vec<i64>,
}

impl Run<'_> {
    /// What a final error leaves of the comparison; after another one the next run goes on where this one stopped.
    fn give_up(&mut self, error: &Error, position: &mut Position, now: i64) {
        match error.kind() {
            _ if !error.is_final() => {}
            // It is not what it is documented to be, or of another account: a later one may be right.
            Kind::SchemaMismatch | Kind::Conflict => {
                (position.compared, position.comparison) = (Some(now), None);
                self.gone.clear();
            }
            // The list no longer knows where it was left.
            _ => position.comparison = None,
        }
    }

    /// Says whether the list has been read to its end.
    async fn all(&mut self, comparison: &mut Comparison, ids: &impl IdStore) -> Result<bool> {
        let known = self.known.all(ids).await?;
        let most_gone = match self.known_before.all(ids).await?.len() {
            several @ 2.. => MOST_GONE.max(several / 10).min(several - 1),
            few => few,
        };
        loop {
            if self.end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
            let after = (!comparison.after.is_empty()).then_some(comparison.after.as_str());
            let page = self.client.live(after, &self.properties).await?;
            self.pages += 1;
            let mut listed = BTreeSet::new();
            let mut last = comparison.last_id;
            for record in &page.results {
                let id = record.id.parse().ok().filter(|id| *id > last);
                let Some(id) = id else {
                    return Err(
                        Error::new(Kind::SchemaMismatch, "the list of contacts is not in the order of ids").as_final()
                    );
                };
                last = id;
                listed.insert(id);
                self.meet(record, id, known.contains(&id));
            }
            let next = page.next();
            let until = if next.is_some() { last } else { i64::MAX };
            let missing = known.range(comparison.last_id.saturating_add(1)..=until).filter(|id| !listed.contains(*id));
            let missing: Vec<i64> = missing.copied().collect();
            for ids in missing.chunks(LIST_PAGE) {
                self.look_for(ids, comparison).await?;
                if comparison.gone > most_gone {
                    let message = "very many contacts are gone; none is buried, as the token may be another account's";
                    return Err(Error::new(Kind::Conflict, message).with("gone", comparison.gone).as_final());
                }
            }
            let Some(next) = next else { return Ok(true) };
            if next == comparison.after {
                return Err(Error::new(Kind::SchemaMismatch, "the list of contacts does not go on").as_final());
            }
            (comparison.after, comparison.last_id) = (next.to_owned(), last);
        }
    }

    fn meet(&mut self, record: &Record, id: i64, is_known: bool) {
        let changed = self.since.zip(modified(record)).is_some_and(|(since, changed)| changed >= since);
        if changed || (self.since.is_some() && !is_known) {
            self.taken.take(self.columns, record);
        }
        if !is_known {
            self.known.note(id, true);
        }
    }

    /// Of contacts that the list does not show, notes those that the account does not know in any form. One that is archived
    /// or was merged is told by the archive and by its survivor.
    async fn look_for(&mut self, missing: &[i64], comparison: &mut Comparison) -> Result<()> {
        let (mut live, mut found) = (BTreeSet::new(), BTreeSet::new());
        for archived in [false, true] {
            for record in self.client.find(missing, archived, &self.properties).await? {
                let id = record.id.parse::<i64>();
                live.extend(id.iter().copied().filter(|_| !archived));
                found.extend(id);
                found.extend(merged_ids(&record));
            }
        }
        for id in missing.iter().filter(|id| !live.contains(*id)) {
            if found.contains(id) {
                self.known.note(*id, false);
            } else {
                self.gone.push(*id);
                comparison.gone += 1;
            }
        }
        Ok(())
    }
}
