//! The account's lease: one apply or rotation at a time. It lies in the account, in `ADMIN.OBSERVABILITY.ACCOUNT_LEASE`.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_core::{
    Error, Kind, Result, Retry,
    port::{Clock, Row},
};

use super::{file::Settings, kinds::SYSADMIN, port::Account};
use crate::sql::changes::{self, Identity};

/// How long a lease holds, and what is left of it when it is taken for as long again. A run that was killed keeps others out
/// no longer than that.
const LASTS: TimeDelta = TimeDelta::seconds(300);
const RENEWED_AT: TimeDelta = TimeDelta::seconds(200);

pub(super) struct Lease<'l, A, C> {
    account: &'l A,
    clock: &'l C,
    run: &'l str,
    identity: Identity<'l>,
    held_until: DateTime<Utc>,
}

/// Does what takes less time than a lease, while no apply and no other rotation is under way.
pub(super) async fn under_lease<T>(
    account: &impl Account,
    clock: &impl Clock,
    run: &str,
    settings: &Settings,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let identity = Identity { lake: &settings.lake.0, environment: &settings.environment };
    let mut lease = Lease::new(account, clock, run, identity);
    lease.take().await??;
    let ended = work.await;
    let given_back = lease.give_back().await;
    let ended = ended?;
    given_back?;
    Ok(ended)
}

/// Gives back the lease of a run that somebody has ended, so that the next one need not wait for it to run out.
pub async fn release(account: &impl Account, run: &str) -> Result<()> {
    account.run(SYSADMIN, &changes::give_back(run), &tag(run)).await.map(drop)
}

/// A run's statements in the query history.
pub(super) fn tag(run: &str) -> String {
    format!("sluice:account:{run}")
}

impl<'l, A: Account, C: Clock> Lease<'l, A, C> {
    /// Not taken yet.
    pub(super) fn new(account: &'l A, clock: &'l C, run: &'l str, identity: Identity<'l>) -> Self {
        Lease { account, clock, run, identity, held_until: clock.now() }
    }

    /// Asks for the lease; what comes back is whether it was given.
    pub(super) async fn take(&mut self) -> Result<Result<()>> {
        let held_until = self.clock.now() + LASTS;
        if self.update(&changes::take(self.run, &self.identity, LASTS.num_seconds())).await? {
            self.held_until = held_until;
            return Ok(Ok(()));
        }
        let holder = self.account.run(SYSADMIN, &changes::holder(), &tag(self.run)).await?;
        let cell = |column: &str| holder.first().and_then(|row| row.get(column).cloned().flatten()).unwrap_or_default();
        let (lake, environment) = (cell("lake"), cell("environment"));
        let is_other = |held: &str, own: &str| !held.is_empty() && held != own;
        if is_other(&lake, self.identity.lake) || is_other(&environment, self.identity.environment) {
            let error = Error::config("the account belongs to another lake or environment; nothing was changed");
            let error = error.with("lake", lake).with("environment", environment);
            return Ok(Err(error.with_hint(
                "name the stack and the environment that made it; if it changes hands, empty LAKE and ENVIRONMENT in \
                 ADMIN.OBSERVABILITY.ACCOUNT_LEASE",
            )));
        }
        // It runs out: unlike another conflict, this one ends by itself.
        let error = Error::new(Kind::Conflict, "another apply or rotation is under way");
        let error = error.with_retry(Retry::Transient);
        let error = error.with("run", cell("holder")).with("until", cell("held_until"));
        Ok(Err(error.with_hint("wait for it to end, or until its lease has run out")))
    }

    /// Takes it for as long again, before it runs out.
    pub(super) async fn keep(&mut self) -> Result<()> {
        let now = self.clock.now();
        if self.held_until - now > RENEWED_AT {
            return Ok(());
        }
        if !self.update(&changes::renew(self.run, LASTS.num_seconds())).await? {
            let error = Error::new(Kind::Conflict, "another apply has taken over").with_retry(Retry::Transient);
            return Err(error.with_hint("what was done stays; apply again when the other one has ended"));
        }
        self.held_until = now + LASTS;
        Ok(())
    }

    pub(super) async fn give_back(&self) -> Result<()> {
        release(self.account, self.run).await
    }

    /// Whether the row was updated.
    async fn update(&self, statement: &str) -> Result<bool> {
        let answer = self.account.run(SYSADMIN, statement, &tag(self.run)).await?;
        let updated = |row: &Row| row.get("number of rows updated")?.as_deref().map(|count| count == "1");
        Ok(answer.first().and_then(updated).unwrap_or_default())
    }
}
