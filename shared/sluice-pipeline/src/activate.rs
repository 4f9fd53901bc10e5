//! The activation loop: a tested model goes back to where people work, and only what changed.
//!
//! An event only wakes the loop. What there is to do is the difference between the published model and the ledger of what
//! the destination is known to hold, so a lost, doubled or late event changes nothing. Of each part of the difference the
//! order is: read what the destination holds, keep the intent, send once, keep the outcome. A run that dies in between
//! leaves an intent, and whatever has an intent is read before it is sent again; what the destination holds by then is not
//! sent. Values are absolute, so that the same twice would do no harm where a destination cannot be read.
//!
//! One run at a time sends: it has claimed its number by an object that is put if absent. A claim without an end is in
//! force for as long as an invocation may live.

mod claim;
mod difference;
mod policy;
mod port;
mod send;
#[cfg(test)]
mod tests;
mod value;

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Result, RunId,
    event::{self, Activation},
    port::{Bus, Clock, DelayedQueue, ObjectStore},
};
use tracing::{info, warn};

pub use claim::{Report, Status, Switch, last, stopped, switch};
pub use difference::{Proof, Shown};
pub use policy::Policy;
pub use port::{
    Change, Destination, Entry, Field, FieldKind, Found, Ledger, Model, Outcome, Seen, Sent, Size, State, Values,
    Wanted,
};

use claim::Claim;
use difference::{Compare, Difference};
use policy::{needs_a_person, wait};
use send::{Progress, Send};

/// How long a run waits before it looks whether another one has ended: most end within seconds.
const ANOTHER_ENDS: Duration = Duration::from_secs(10);

/// Whose models have passed their tests, and what a person wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub cause: String,
    /// Send although the difference is larger than the limits, or the first one.
    #[serde(default)]
    pub allow: bool,
    /// Try again what was refused or gone.
    #[serde(default)]
    pub retry: bool,
    /// Say what would be sent; send nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Of our own messages: the run that has left the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on: Option<u64>,
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Activated {
    /// Another run is under way: woken again later.
    Deferred,
    /// A newer run has taken over what this one would go on with, and wakes what goes on itself.
    TakenOver,
    Ended(Box<Report>),
}

/// The ports of the loop.
pub struct Activate<'a, S, M, L, D, B, Q, C> {
    pub destination_name: &'a str,
    pub store: &'a S,
    pub model: &'a M,
    pub ledger: &'a L,
    pub destination: &'a D,
    pub bus: &'a B,
    pub queue: &'a Q,
    pub clock: &'a C,
    pub policy: Policy,
}

impl<S: ObjectStore, M: Model, L: Ledger, D: Destination, B: Bus, Q: DelayedQueue, C: Clock>
    Activate<'_, S, M, L, D, B, Q, C>
{
    /// Brings the destination to the model, or says what that would take.
    pub async fn handle(&self, request: &Request, run_id: &RunId) -> Result<Activated> {
        if request.dry_run {
            let mut report = self.report(request, run_id, 0);
            self.account().await?;
            let (difference, _) = self.difference(request).await?;
            count(&mut report, &difference);
            report.reason = self.policy.objection(report.pending, difference.known, request.allow);
            report.shown = difference.shown;
            (report.status, report.ended_at) = (Status::DryRun, self.clock.now());
            return Ok(Activated::Ended(Box::new(report)));
        }
        let newest = claim::newest(self.store, self.destination_name).await?;
        match self.standing(newest.as_ref()).await? {
            Standing::Ended | Standing::UnderWay if is_taken_over(request, newest.as_ref()) => {
                return Ok(Activated::TakenOver);
            }
            Standing::UnderWay => return self.defer(request).await,
            Standing::Ended | Standing::Over => {}
        }
        let number = newest.map_or(1, |newest| newest.number + 1);
        let Some(claim) = self.claim(number, request, run_id).await? else { return self.defer(request).await };
        let mut report = self.report(request, run_id, claim.number);
        let error = self.run(request, &mut report).await.err();
        if let Some(error) = &error {
            let status = if needs_a_person(error) { Status::Stopped } else { Status::Waiting };
            (report.status, report.reason) = (status, Some(error.to_string()));
        }
        self.end(report, request, error).await
    }

    /// How the newest run stands.
    async fn standing(&self, newest: Option<&Claim>) -> Result<Standing> {
        let Some(claim) = newest else { return Ok(Standing::Over) };
        if claim::end(self.store, self.destination_name, claim.number).await?.is_some() {
            return Ok(Standing::Ended);
        }
        let in_force = TimeDelta::from_std(self.policy.claim).unwrap_or(TimeDelta::MAX);
        let is_over = claim.claimed_at.checked_add_signed(in_force).is_none_or(|until| until <= self.clock.now());
        Ok(if is_over { Standing::Over } else { Standing::UnderWay })
    }

    /// The right to send; `None` where another run has taken this number.
    async fn claim(&self, number: u64, request: &Request, run_id: &RunId) -> Result<Option<Claim>> {
        let Request { allow, retry, .. } = *request;
        let claim = Claim { number, run_id: run_id.clone(), claimed_at: self.clock.now(), allow, retry };
        Ok(claim::put(self.store, self.destination_name, &claim).await?.then_some(claim))
    }

    /// Looks again when the other run has ended.
    async fn defer(&self, request: &Request) -> Result<Activated> {
        self.again(request, ANOTHER_ENDS).await?;
        Ok(Activated::Deferred)
    }

    /// The account that is sent to, which is the one that was.
    async fn account(&self) -> Result<String> {
        let account = self.destination.account().await?;
        claim::check_account(self.store, self.destination_name, &account).await?;
        Ok(account)
    }

    /// Fails where model and ledger are more than a run can hold: it would die without a word.
    async fn check_size(&self) -> Result<()> {
        let (Size { rows, columns }, known) = (self.model.size().await?, self.ledger.count().await?);
        let most = self.policy.most_values;
        if rows.max(known).saturating_mul(columns) <= most {
            return Ok(());
        }
        let text = format!(
            "the model has {rows} rows of {columns} columns and the ledger {known} records, of at most {most} values that fit \
             into memory; nothing was sent"
        );
        Err(Error::unsupported(text).with_hint(
            "give the function more memory, or take out of the model what no longer changes (docs/how-to/activate.md)",
        ))
    }

    async fn difference(&self, request: &Request) -> Result<(Difference, BTreeMap<String, Field>)> {
        self.check_size().await?;
        let rows = self.model.rows().await?;
        difference::check_ids(&rows)?;
        let fields = self.destination.fields(&difference::properties(&rows)).await?;
        let ledger = self.ledger.entries().await?;
        let compare = Compare { fields: &fields, clear: &self.policy.clear, retry: request.retry };
        Ok((compare.rows(rows, ledger), fields))
    }

    async fn run(&self, request: &Request, report: &mut Report) -> Result<()> {
        if self.is_stopped(report).await? {
            return Ok(());
        }
        let account = self.account().await?;
        let (difference, fields) = self.difference(request).await?;
        count(report, &difference);
        if let Some(objection) = self.policy.objection(report.pending, difference.known, request.allow) {
            (report.status, report.reason) = (Status::Stopped, Some(objection));
            return Ok(());
        }
        let Difference { changes, invalid, known, .. } = difference;
        if !changes.is_empty() {
            claim::keep_account(self.store, self.destination_name, &account).await?;
        }
        if !invalid.is_empty() {
            self.ledger.keep(&invalid).await?;
        }
        let deadline = self.clock.now() + TimeDelta::from_std(self.policy.time).unwrap_or(TimeDelta::MAX);
        // Of the first run nothing says that it is the right account.
        let may_be_gone = request.allow && known > 0;
        let sending = Send { ledger: self.ledger, destination: self.destination, fields: &fields, may_be_gone };
        let mut rest = &changes[..];
        let mut is_canary = changes.len() > self.policy.canary;
        while !rest.is_empty() {
            if self.is_stopped(report).await? {
                return Ok(());
            }
            if self.clock.now() >= deadline {
                (report.status, report.reason) = (Status::Waiting, Some("the run's time was over".to_owned()));
                return Ok(());
            }
            let size = if is_canary { self.policy.canary } else { self.policy.part };
            let (part, after) = rest.split_at(size.min(rest.len()));
            let progress = sending.part(part, report, is_canary).await?;
            (rest, is_canary) = (after, false);
            match progress {
                Progress::On => {}
                Progress::Stop(reason) => {
                    (report.status, report.reason) = (Status::Stopped, Some(reason));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn is_stopped(&self, report: &mut Report) -> Result<bool> {
        let Some(switch) = claim::stopped(self.store, self.destination_name).await? else { return Ok(false) };
        (report.status, report.reason) =
            (Status::Stopped, Some(format!("stopped by {}: {}", switch.by, switch.reason)));
        Ok(true)
    }

    fn report(&self, request: &Request, run_id: &RunId, number: u64) -> Report {
        let now = self.clock.now();
        Report {
            destination: self.destination_name.to_owned(),
            number,
            run_id: run_id.clone(),
            cause: request.cause.clone(),
            status: Status::Completed,
            reason: None,
            started_at: now,
            ended_at: now,
            changed: 0,
            written: 0,
            already_held: 0,
            refused: 0,
            gone: 0,
            pending: 0,
            unchanged: 0,
            given_up: 0,
            suppressed: BTreeMap::new(),
            properties: BTreeMap::new(),
            reasons: BTreeMap::new(),
            proof: Proof::default(),
            shown: Vec::new(),
        }
    }

    /// Wakes what goes on, says how it ended, and keeps that, in this order: a run that dies before the last of it is
    /// delivered again by its queue, and what it has announced is announced twice. What needs a person is not tried again by
    /// itself: it would meet the same, and tell of it each time.
    async fn end(&self, mut report: Report, request: &Request, error: Option<Error>) -> Result<Activated> {
        report.ended_at = self.clock.now();
        if report.status == Status::Waiting {
            let rest = Request { goes_on: Some(report.number), ..request.clone() };
            self.again(&rest, wait(error.as_ref())).await?;
        }
        let detail = Activation {
            id: format!("{}#{}", report.destination, report.number),
            run_id: report.run_id.clone(),
            destination: report.destination.clone(),
            number: report.number,
            written: report.written,
            refused: report.refused + report.gone,
            pending: report.pending,
            reason: report.reason.clone(),
        };
        let announcement = match report.status {
            Status::Completed => Some(event::sync_completed(&detail)),
            Status::Stopped => Some(event::sync_stopped(&detail)),
            // The run that goes on tells of its end.
            Status::Waiting | Status::DryRun => None,
        };
        if let Some(announcement) = announcement {
            self.bus.announce(announcement).await?;
        }
        claim::put_end(self.store, &report).await?;
        let Report { number, changed, written, already_held, refused, gone, pending, .. } = report;
        let reason = report.reason.as_deref().unwrap_or_default();
        match report.status {
            Status::Completed => info!(number, changed, written, already_held, refused, gone, "activation completed"),
            _ => warn!(
                number,
                changed, written, already_held, refused, gone, pending, reason, "activation did not complete"
            ),
        }
        Ok(Activated::Ended(Box::new(report)))
    }

    async fn again(&self, request: &Request, delay: Duration) -> Result<()> {
        let body =
            serde_json::to_value(request).map_err(|error| Error::internal("cannot encode a request").because(error))?;
        self.queue.send(&body, delay).await
    }
}

/// How the newest run stands, as its claim and its end say.
enum Standing {
    Ended,
    UnderWay,
    /// There was none, or it has died.
    Over,
}

/// Whether the newest run does what this message was to go on with.
fn is_taken_over(request: &Request, newest: Option<&Claim>) -> bool {
    let (Some(left), Some(newest)) = (request.goes_on, newest) else { return false };
    newest.takes_over(left, request.allow, request.retry)
}

fn count(report: &mut Report, difference: &Difference) {
    let invalid = difference.invalid.len() as u64;
    report.changed = difference.changes.len() as u64 + invalid;
    report.pending = difference.changes.len() as u64;
    report.refused = invalid;
    for (_, entry) in &difference.invalid {
        *report.reasons.entry(entry.reason.clone().unwrap_or_default()).or_default() += 1;
    }
    report.unchanged = difference.unchanged;
    report.given_up = difference.given_up;
    report.suppressed.clone_from(&difference.suppressed);
    report.properties.clone_from(&difference.properties);
    report.proof = difference.proof;
}
