//! Making an account what its file says.
//!
//! Every statement takes effect by itself and may be sent again, so an apply that was interrupted anywhere is finished by
//! the next one: it reads the account, plans what is left and goes on. One apply runs at a time, by a lease; each statement
//! leaves a row in `ADMIN.OBSERVABILITY.ACCOUNT_CHANGES`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_core::{
    Error, Kind as ErrorKind, Result, Retry,
    port::{Clock, Row},
};

use super::{
    file::Desired,
    kinds::{Kind, SYSADMIN},
    lease::{Lease, tag},
    name::Name,
    plan::{Allowed, Change, Plan, Sign, Step, plan},
    port::Account,
    read::{Reader, Scope},
    render::{PIPE_STATUS, Statement},
    state::State,
};
use crate::sql::changes::{self, Identity, Sent};

/// How an apply goes about it.
#[derive(Debug, Clone)]
pub struct Applying<'a> {
    /// The run, in the lease, in each row of changes and in each query's tag.
    pub run: &'a str,
    pub allowed: Allowed,
    /// No statement is begun after that; the next apply goes on.
    pub until: DateTime<Utc>,
    /// The warehouse in which the lease is taken and changes are noted; the file names it.
    pub warehouse: &'a str,
}

/// What an apply has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The changes that were made.
    pub done: Vec<String>,
    pub statements: usize,
    /// Of the changes, how many have taken a grant that the file does not give.
    pub revoked: usize,
    /// Statements that were sent and answered and are planned again: sending them once more does not help.
    pub ineffective: Vec<String>,
    /// What is left, read again after the last statement.
    pub left: Plan,
}

impl Applied {
    /// Whether time ran out before the work was done.
    pub fn is_cut_short(&self) -> bool {
        !self.left.changes.is_empty() && self.ineffective.is_empty()
    }
}

/// Reads the account and compares.
pub async fn look(account: &impl Account, desired: &Desired, allowed: &Allowed, tag: &str) -> Result<(State, Plan)> {
    let reader = Reader { account, tag, enterprise: desired.enterprise };
    let state = reader.read(Scope::Named(&desired.state)).await?;
    let plan = plan(desired, &state, allowed);
    Ok((state, plan))
}

/// Makes the changes of a plan that is made here, under the lease.
pub async fn apply(
    account: &impl Account,
    clock: &impl Clock,
    desired: &Desired,
    applying: &Applying<'_>,
) -> Result<Applied> {
    let tag = tag(applying.run);
    let (_, first) = look(account, desired, &applying.allowed, &tag).await?;
    if first.changes.is_empty() {
        return Ok(Applied { left: first, ..Applied::default() });
    }
    let identity = Identity { lake: &desired.lake.0, environment: &desired.environment };
    let lease = Lease::new(account, clock, applying.run, identity);
    let (sent, done) = (Vec::new(), Vec::new());
    let mut work = Work { account, clock, applying, lease, tag: &tag, sent, done, number: 0, revoked: 0 };
    work.begin(&first).await?;
    let ended = work.rest(desired).await;
    let given_back = work.lease.give_back().await;
    let (left, ineffective) = ended?;
    given_back?;
    Ok(Applied { done: work.done, statements: work.number, revoked: work.revoked, ineffective, left })
}

/// The changes that the lease and the notes need: their tables with what these lie in, the warehouse, and the monitors that
/// may have stopped it. Each of these may be made twice.
fn prerequisites<'p>(plan: &'p Plan, warehouse: &str) -> Vec<&'p Change> {
    let own = Name::of(["ADMIN", "OBSERVABILITY"]);
    let is_it = |change: &&Change| {
        let Some((kind, name)) = &change.object else { return false };
        let says_only = |known: &[&str]| change.fields.iter().all(|field| known.contains(&field.field));
        let is_first = change.sign == Sign::Add || change.step == Step::Owners;
        match kind {
            Kind::ResourceMonitor => change.step == Step::Objects(*kind),
            Kind::Warehouse => name.to_string() == warehouse && (is_first || says_only(&["resource_monitor"])),
            Kind::Database => is_first && *name == own.up_to(1),
            Kind::Schema => is_first && *name == own,
            Kind::Table => {
                let is_kept = name.is_within(&own) && [changes::LEASE, changes::CHANGES].contains(&name.last());
                is_kept && (is_first || says_only(&["columns"]))
            }
            _ => false,
        }
    };
    let needed: Vec<&Change> = plan.changes.iter().filter(is_it).collect();
    // Who is to own some of it may have to be made first.
    let roles = needed.iter().any(|change| change.step == Step::Owners);
    let is_role = |change: &&Change| roles && matches!(change.step, Step::Roles | Step::RoleTree);
    plan.changes.iter().filter(is_role).chain(needed).collect()
}

struct Work<'w, A, C> {
    account: &'w A,
    clock: &'w C,
    applying: &'w Applying<'w>,
    lease: Lease<'w, A, C>,
    tag: &'w str,
    /// Statements that are noted once there is a table for notes.
    sent: Vec<(Statement, String, String)>,
    done: Vec<String>,
    number: usize,
    revoked: usize,
}

impl<A: Account, C: Clock> Work<'_, A, C> {
    /// Everything that is left once the lease is ours, planned again until nothing changes any more; what is left then, and the
    /// statements that were sent for it without effect.
    async fn rest(&mut self, desired: &Desired) -> Result<(Plan, Vec<String>)> {
        self.note_sent().await?;
        let (_, mut plan) = look(self.account, desired, &self.applying.allowed, self.tag).await?;
        // What a statement makes may bring more: a new table its grants, a schema what is in it.
        let mut known: BTreeSet<String> = BTreeSet::new();
        while !plan.changes.is_empty() {
            for change in &plan.changes {
                self.lease.keep().await?;
                if self.clock.now() >= self.applying.until {
                    let left = look(self.account, desired, &self.applying.allowed, self.tag).await?.1;
                    return Ok((left, Vec::new()));
                }
                self.make(change).await?;
                self.note_sent().await?;
            }
            known.extend(texts(&plan));
            plan = look(self.account, desired, &self.applying.allowed, self.tag).await?.1;
            // A statement that has been sent and is planned again changes nothing.
            let again = texts(&plan);
            if again.iter().all(|text| known.contains(text)) {
                return Ok((plan, again));
            }
        }
        Ok((plan, Vec::new()))
    }

    async fn make(&mut self, change: &Change) -> Result<()> {
        for statement in &change.statements {
            let answer = self.account.run(&statement.role, &statement.text, self.tag).await;
            let outcome = outcome_of(statement, answer);
            self.number += 1;
            let answer = match &outcome {
                Ok(answer) => answer.clone(),
                Err(error) => error.to_string(),
            };
            tracing::info!(role = statement.role, what = change.what, answer, "a statement of the account has ended");
            self.sent.push((statement.clone(), change.what.clone(), answer));
            if let Err(error) = outcome {
                let failed = self.sent.pop();
                if let Some((statement, what, answer)) = failed {
                    // That it cannot be noted must not hide what went wrong.
                    let _ = self.note(&statement, &what, "failed", &answer).await;
                }
                return Err(error
                    .with("change", &change.what)
                    .with("role", &statement.role)
                    .with("statement", &statement.text)
                    .with_hint(
                        "fix what the message says and apply again: what was done stays, and the rest follows",
                    ));
            }
        }
        self.revoked += usize::from(change.is_revocation());
        self.done.push(change.what.clone());
        Ok(())
    }

    async fn note_sent(&mut self) -> Result<()> {
        for (statement, what, answer) in std::mem::take(&mut self.sent) {
            self.note(&statement, &what, "done", &answer).await?;
        }
        Ok(())
    }

    async fn note(&self, statement: &Statement, what: &str, status: &str, answer: &str) -> Result<()> {
        let sent = Sent {
            run: self.applying.run,
            number: self.number,
            role: &statement.role,
            object: what,
            statement: &statement.text,
            status,
            answer,
        };
        self.account.run(SYSADMIN, &changes::record(&sent), self.tag).await.map(drop)
    }

    /// Takes the lease. What keeps it from being taken may be what the plan mends: then that comes first.
    async fn begin(&mut self, plan: &Plan) -> Result<()> {
        let mendable = [ErrorKind::NotFound, ErrorKind::Config, ErrorKind::Auth, ErrorKind::RateLimited];
        let error = match self.lease.take().await {
            Ok(taken) => return taken,
            Err(error) if mendable.contains(&error.kind()) => error,
            Err(error) => return Err(error),
        };
        let prerequisites = prerequisites(plan, self.applying.warehouse);
        if prerequisites.is_empty() {
            return Err(error);
        }
        for change in prerequisites {
            self.make(change).await?;
        }
        self.lease.take().await?
    }
}

fn texts(plan: &Plan) -> Vec<String> {
    plan.changes.iter().flat_map(|change| &change.statements).map(|statement| statement.text.clone()).collect()
}

/// What an answer means. A grant may be answered with success and not have been given.
fn outcome_of(statement: &Statement, answer: Result<Vec<Row>>) -> Result<String> {
    let verb = statement.text.split(' ').next().unwrap_or_default();
    let rows = match answer {
        Ok(rows) => rows,
        // Gone already, or made by somebody meanwhile: the next plan says what is left to do.
        Err(error) if error.kind() == ErrorKind::NotFound && matches!(verb, "REVOKE" | "DROP") => {
            return Ok("there was nothing to take".to_owned());
        }
        Err(error) if error.kind() == ErrorKind::Conflict && verb == "CREATE" => {
            return Ok("it was there already".to_owned());
        }
        Err(error) => return Err(error),
    };
    let text = rows.first().and_then(|row| row.values().next().cloned().flatten()).unwrap_or_default();
    if statement.text.contains(PIPE_STATUS) {
        return drained(text);
    }
    let is_refused = ["not executed", "partially executed"].iter().any(|words| text.contains(words));
    if is_refused {
        let error = Error::new(ErrorKind::Auth, format!("the warehouse answered success and says: {text}"));
        return Err(error.with_hint("the role may not give all of it: give the role what it lacks, and apply again"));
    }
    Ok(text)
}

/// Whether a pipe that is to be replaced has loaded all of its files: a new one knows nothing of them.
fn drained(status: String) -> Result<String> {
    let read: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
    if read["pendingFileCount"] == 0 {
        return Ok(status);
    }
    let error = Error::new(ErrorKind::Unavailable, "the pipe still has files to load, so it was not replaced");
    let error = error.with("pending", &read["pendingFileCount"]).with_retry(Retry::Exhausted);
    Err(error.with_hint("it stands still and loads them; apply again in a few minutes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_success_that_says_otherwise_is_a_failure() {
        let answer = |text: &str| Ok(vec![Row::from([("status".to_owned(), Some(text.to_owned()))])]);
        let grant = Statement::of("SECURITYADMIN", "GRANT USAGE ON WAREHOUSE W TO ROLE R");
        assert!(outcome_of(&grant, answer("Statement executed successfully.")).is_ok());
        for text in
            ["Grant not executed: Insufficient privileges.", "Grant partially executed: privileges [X] not granted."]
        {
            let error = outcome_of(&grant, answer(text)).expect_err("not granted");
            assert_eq!(error.kind(), ErrorKind::Auth, "{text}");
        }
        let gone = || Err(Error::new(ErrorKind::NotFound, "gone"));
        assert!(outcome_of(&grant, gone()).is_err());
        assert!(outcome_of(&Statement::of("X", "REVOKE USAGE ON WAREHOUSE W FROM ROLE R"), gone()).is_ok());
        assert!(outcome_of(&Statement::of("X", "DROP ROLE IF EXISTS R"), gone()).is_ok());
    }
}
