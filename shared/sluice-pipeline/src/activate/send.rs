//! One part of a difference: read what is there, keep the intent, send each batch once, keep the outcomes.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::{Error, Result};

use super::{
    claim::Report,
    difference::Planned,
    port::{Change, Destination, Entry, Field, Found, Ledger, Outcome, Sent, State, Values},
    value::canonical,
};

/// The share of records that are refused or gone is looked at when there are more of them than this.
const FEW: u64 = 20;

/// More of them than this in a hundred are no accident: the model or the destination is not what it was.
const MOST_FAILED_PERCENT: u64 = 5;

pub(super) enum Progress {
    On,
    /// Nothing more is to be sent, and why.
    Stop(String),
}

/// The ports that sending takes.
pub(super) struct Send<'a, L, D> {
    pub ledger: &'a L,
    pub destination: &'a D,
    pub fields: &'a BTreeMap<String, Field>,
    /// However many records are gone, somebody has looked.
    pub may_be_gone: bool,
}

/// What a look at a part has found.
#[derive(Default)]
struct Looked<'p> {
    held: Vec<(String, Entry)>,
    gone: Vec<(&'p Planned, &'static str)>,
    changes: Vec<Change>,
}

impl<L: Ledger, D: Destination> Send<'_, L, D> {
    /// Sends a part of the difference and, of a canary, reads back what it has become.
    pub(super) async fn part(&self, part: &[Planned], report: &mut Report, is_canary: bool) -> Result<Progress> {
        let mut looked = Looked::default();
        for batch in part.chunks(self.destination.batch()) {
            self.look(batch, &mut looked).await?;
        }
        let Looked { held: mut outcomes, gone, changes } = looked;
        let failed = report.refused + report.gone + gone.len() as u64;
        let tried = report.written + report.already_held + report.refused + report.gone + part.len() as u64;
        if !gone.is_empty() && !self.may_be_gone && is_no_accident(failed, tried) {
            // Not kept: nobody would look for them again.
            let reason = format!("{failed} of {tried} records are refused or not there: is it the right account?");
            return Ok(Progress::Stop(reason));
        }
        report.already_held += outcomes.len() as u64;
        report.pending -= outcomes.len() as u64;
        for (planned, reason) in gone {
            let outcome = Outcome::Gone { reason: reason.to_owned() };
            outcomes.push((planned.id.clone(), ended(planned, outcome, report)));
        }
        let by_id: BTreeMap<&str, &Planned> = part.iter().map(|planned| (planned.id.as_str(), planned)).collect();
        let planned = |id: &str| by_id.get(id).copied().ok_or_else(|| Error::internal("an outcome is of no record"));
        for change in &changes {
            let planned = planned(&change.id)?;
            let reason = Some("its outcome is not known".to_owned());
            outcomes.push((change.id.clone(), entry(planned, State::Sending, reason, 1)));
        }
        self.ledger.keep(&outcomes).await?;

        let mut sent = BTreeMap::new();
        let mut failure = None;
        for batch in changes.chunks(self.destination.batch()) {
            failure = self.send(batch, &mut sent).await;
            if failure.is_some() {
                break;
            }
        }
        let mut kept = Vec::new();
        for (id, outcome) in sent {
            let planned = planned(&id)?;
            kept.push((id, ended(planned, outcome, report)));
        }
        if !kept.is_empty() {
            self.ledger.keep(&kept).await?;
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if is_canary && let Some(reason) = self.unlike(part, &kept).await? {
            return Ok(Progress::Stop(reason));
        }
        let failed = report.refused + if self.may_be_gone { 0 } else { report.gone };
        let tried = report.written + report.already_held + report.refused + report.gone;
        if is_no_accident(failed, tried) {
            return Ok(Progress::Stop(format!("{failed} of {tried} records were refused or gone")));
        }
        Ok(Progress::On)
    }

    /// Reads a batch. What holds the values already, is gone or was merged comes to its end without being sent.
    async fn look<'p>(&self, batch: &'p [Planned], looked: &mut Looked<'p>) -> Result<()> {
        let ids: Vec<String> = batch.iter().map(|planned| planned.id.clone()).collect();
        let properties: BTreeSet<String> = batch.iter().flat_map(|planned| planned.values.keys().cloned()).collect();
        let Some(mut found) = self.destination.read(&ids, &properties).await? else {
            let changes = batch.iter().map(|planned| Change { id: planned.id.clone(), values: planned.unknown() });
            looked.changes.extend(changes);
            return Ok(());
        };
        for planned in batch {
            let id = planned.id.clone();
            match found.remove(&id) {
                None => looked.gone.push((planned, "the destination has no such record")),
                Some(found) if found.id != id => looked.gone.push((planned, "the record was merged into another")),
                Some(found) => match self.differing(&planned.values, &found.values) {
                    values if values.is_empty() => looked.held.push((id, held(planned, &found))),
                    values => looked.changes.push(Change { id, values }),
                },
            }
        }
        Ok(())
    }

    /// The values that a record does not hold.
    fn differing(&self, wanted: &BTreeMap<String, String>, found: &Values) -> BTreeMap<String, String> {
        let holds = |property: &String, value: &String| {
            let text = found.get(property).and_then(Option::as_deref).unwrap_or_default();
            let formed = self.fields.get(property).and_then(|field| canonical(field, text).ok());
            formed.unwrap_or_else(|| text.to_owned()) == *value
        };
        let values = wanted.iter().filter(|(property, value)| !holds(property, value));
        values.map(|(property, value)| (property.clone(), value.clone())).collect()
    }

    /// Sends a batch. One that is refused whole is halved until what is refused stands alone. Gives back why no further
    /// batch is to be sent.
    async fn send(&self, batch: &[Change], sent: &mut BTreeMap<String, Outcome>) -> Option<Error> {
        let mut open = vec![batch];
        while let Some(batch) = open.pop() {
            match self.destination.write(batch).await {
                Sent::Each(outcomes) => {
                    let asked = batch.iter().filter(|change| outcomes.contains_key(&change.id)).count();
                    sent.extend(outcomes.into_iter().filter(|(id, _)| batch.iter().any(|change| change.id == *id)));
                    if asked < batch.len() {
                        let error = Error::unavailable("the destination said nothing of some records of a batch");
                        return Some(error.with("records", batch.len() - asked));
                    }
                }
                Sent::Refused { reason } => match batch {
                    [one] => drop(sent.insert(one.id.clone(), Outcome::Refused { reason })),
                    several => {
                        let (first, second) = several.split_at(several.len() / 2);
                        open.extend([second, first]);
                    }
                },
                Sent::Unsent(error) | Sent::Unknown(error) => return Some(error),
            }
        }
        None
    }

    /// Why the canary is not as it was sent.
    async fn unlike(&self, part: &[Planned], kept: &[(String, Entry)]) -> Result<Option<String>> {
        let written: BTreeSet<&str> =
            kept.iter().filter(|(_, entry)| entry.state == State::Held).map(|(id, _)| id.as_str()).collect();
        let written: Vec<&Planned> = part.iter().filter(|planned| written.contains(planned.id.as_str())).collect();
        let mut unlike = 0;
        for batch in written.chunks(self.destination.batch()) {
            let ids: Vec<String> = batch.iter().map(|planned| planned.id.clone()).collect();
            let properties = batch.iter().flat_map(|planned| planned.values.keys().cloned()).collect();
            let Some(found) = self.destination.read(&ids, &properties).await? else { return Ok(None) };
            let is_like = |planned: &&&Planned| {
                found.get(&planned.id).is_some_and(|found| self.differing(&planned.values, &found.values).is_empty())
            };
            unlike += batch.iter().filter(|planned| !is_like(planned)).count();
        }
        let of = written.len();
        Ok((unlike > 0).then(|| format!("{unlike} of the first {of} records do not hold what was written")))
    }
}

fn is_no_accident(failed: u64, of: u64) -> bool {
    failed > FEW && failed * 100 > of * MOST_FAILED_PERCENT
}

/// What the ledger keeps of a record that came to its end.
fn ended(planned: &Planned, outcome: Outcome, report: &mut Report) -> Entry {
    report.pending -= 1;
    match outcome {
        Outcome::Written { at } => {
            report.written += 1;
            Entry { written_at: at, ..entry(planned, State::Held, None, 1) }
        }
        Outcome::Refused { reason } => {
            report.refused += 1;
            *report.reasons.entry(reason.clone()).or_default() += 1;
            entry(planned, State::Refused, Some(reason), 1)
        }
        Outcome::Gone { reason } => {
            report.gone += 1;
            *report.reasons.entry(reason.clone()).or_default() += 1;
            entry(planned, State::Gone, Some(reason), 0)
        }
    }
}

fn held(planned: &Planned, found: &Found) -> Entry {
    Entry { written_at: found.changed_at, ..entry(planned, State::Held, None, 0) }
}

fn entry(planned: &Planned, state: State, reason: Option<String>, tried: u32) -> Entry {
    let before = planned.entry.as_ref().map_or(0, |entry| entry.attempts);
    Entry { state, digests: planned.digests(), reason, attempts: before + tried, written_at: None }
}
