//! What the model wants against what the destination is known to hold: pure, before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result};

use super::{
    port::{Entry, Field, Seen, State, Values, Wanted},
    value::{canonical, digest},
};

/// How many changes are shown.
const SHOWN: usize = 5;

/// A destination may note a record's last change a little before the time that it answers a write with.
const SAME_WRITE: TimeDelta = TimeDelta::seconds(5);

/// What an extract says of the records that were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Seen since, as they were written.
    pub landed: u64,
    /// Seen since with another value: somebody has overwritten it.
    pub overwritten: u64,
    /// Not seen since.
    pub waiting: u64,
}

/// One property of a record that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub id: String,
    pub property: String,
    /// As an extract has seen it.
    pub from: Option<String>,
    pub to: String,
}

/// A record that may have to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub id: String,
    /// All that it is to hold, in its one form.
    pub values: BTreeMap<String, String>,
    pub entry: Option<Entry>,
}

impl Planned {
    pub(super) fn digests(&self) -> BTreeMap<String, String> {
        self.values.iter().map(|(property, value)| (property.clone(), digest(value))).collect()
    }

    /// The properties whose value is not known to be held.
    pub(super) fn unknown(&self) -> BTreeMap<String, String> {
        let held = self.entry.as_ref().filter(|entry| entry.state == State::Held).map(|entry| &entry.digests);
        let is_held = |property: &String, value: &String| {
            held.and_then(|held| held.get(property)).is_some_and(|held| *held == digest(value))
        };
        let values = self.values.iter().filter(|(property, value)| !is_held(property, value));
        values.map(|(property, value)| (property.clone(), value.clone())).collect()
    }
}

/// What an activation has to do.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub changes: Vec<Planned>,
    /// Records whose values no property can hold.
    pub invalid: Vec<(String, Entry)>,
    pub unchanged: u64,
    /// By reason.
    pub suppressed: BTreeMap<String, u64>,
    /// Refused or gone before, and not changed since.
    pub given_up: u64,
    /// Records that the destination is known to hold, or was known to.
    pub known: u64,
    pub properties: BTreeMap<String, u64>,
    pub proof: Proof,
    pub shown: Vec<Shown>,
}

pub(super) struct Compare<'a> {
    pub fields: &'a BTreeMap<String, Field>,
    /// The properties that a null of the model clears; every other keeps what it has.
    pub clear: &'a BTreeSet<String>,
    /// Whether what was refused is tried again.
    pub retry: bool,
}

/// The properties that the model's rows name.
pub(super) fn properties(rows: &[Wanted]) -> BTreeSet<String> {
    rows.iter().flat_map(|row| row.values.keys().cloned()).collect()
}

/// A record that stands in the model twice could be sent in any order: none of it is sent.
pub(super) fn check_ids(rows: &[Wanted]) -> Result<()> {
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    if ids.len() == rows.len() && !ids.contains("") {
        return Ok(());
    }
    Err(Error::invalid_data("the model has a record twice or one without an id")
        .with_hint("its tests must hold its key: unique and not null"))
}

impl Compare<'_> {
    pub(super) fn rows(&self, rows: Vec<Wanted>, mut ledger: BTreeMap<String, Entry>) -> Difference {
        let mut difference = Difference { known: ledger.len() as u64, ..Difference::default() };
        for row in rows {
            if let Some(reason) = &row.suppressed {
                *difference.suppressed.entry(reason.clone()).or_default() += 1;
                continue;
            }
            let mut entry = ledger.remove(&row.id);
            self.prove(&row, entry.as_mut(), &mut difference.proof);
            match self.wanted(&row.values) {
                Ok(values) => self.plan(row, Planned { id: String::new(), values, entry }, &mut difference),
                Err((reason, digests)) => {
                    let again = entry.is_some_and(|entry| entry.state == State::Refused && entry.digests == digests);
                    if again {
                        difference.given_up += 1;
                    } else {
                        let entry = Entry {
                            state: State::Refused,
                            digests,
                            reason: Some(reason),
                            attempts: 0,
                            written_at: None,
                        };
                        difference.invalid.push((row.id, entry));
                    }
                }
            }
        }
        difference
    }

    fn plan(&self, row: Wanted, planned: Planned, difference: &mut Difference) {
        let planned = Planned { id: row.id, ..planned };
        if let Some(entry) = &planned.entry {
            let given_up = matches!(entry.state, State::Refused | State::Gone) && entry.digests == planned.digests();
            if given_up && !self.retry {
                difference.given_up += 1;
                return;
            }
        }
        let unknown = planned.unknown();
        if unknown.is_empty() {
            difference.unchanged += 1;
            return;
        }
        for (property, to) in unknown {
            *difference.properties.entry(property.clone()).or_default() += 1;
            if difference.shown.len() < SHOWN {
                let from = row.seen.as_ref().and_then(|seen| seen.values.get(&property).cloned().flatten());
                difference.shown.push(Shown { id: planned.id.clone(), property, from, to });
            }
        }
        difference.changes.push(planned);
    }

    /// What a row wants in its one form. A null keeps what is there, unless its property is to be cleared.
    fn wanted(&self, values: &Values) -> Result<BTreeMap<String, String>, (String, BTreeMap<String, String>)> {
        let (mut wanted, mut problem) = (BTreeMap::new(), None);
        for (property, value) in values {
            let text = match value {
                Some(text) => text.as_str(),
                None if self.clear.contains(property) => "",
                None => continue,
            };
            let formed = self.fields.get(property).map_or_else(|| Ok(text.to_owned()), |field| canonical(field, text));
            let formed = formed.unwrap_or_else(|reason| {
                problem.get_or_insert(format!("{property}: {reason}"));
                text.to_owned()
            });
            wanted.insert(property.clone(), formed);
        }
        match problem {
            None => Ok(wanted),
            Some(reason) => Err((reason, wanted.into_iter().map(|(name, text)| (name, digest(&text))).collect())),
        }
    }

    /// Holds what an extract has seen since a write against it. What somebody has overwritten is what is held now.
    fn prove(&self, row: &Wanted, entry: Option<&mut Entry>, proof: &mut Proof) {
        let Some(entry) = entry.filter(|entry| entry.state == State::Held) else { return };
        let (Some(seen), Some(written_at)) = (&row.seen, entry.written_at) else {
            proof.waiting += 1;
            return;
        };
        let now: BTreeMap<String, String> = entry.digests.keys().filter_map(|name| self.seen(seen, name)).collect();
        let is_held = now.iter().all(|(property, digest)| entry.digests.get(property) == Some(digest));
        if is_held && seen.at + SAME_WRITE >= written_at {
            proof.landed += 1;
        } else if seen.at >= written_at {
            proof.overwritten += 1;
            entry.digests.extend(now);
        } else {
            proof.waiting += 1;
        }
    }

    /// The digest of what an extract has seen of a property.
    fn seen(&self, seen: &Seen, property: &str) -> Option<(String, String)> {
        let text = seen.values.get(property)?.as_deref().unwrap_or_default();
        let formed = self.fields.get(property).and_then(|field| canonical(field, text).ok());
        Some((property.to_owned(), digest(&formed.unwrap_or_else(|| text.to_owned()))))
    }
}
