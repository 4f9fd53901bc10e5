//! What is found of the account: told on the bus where it differs from its file, kept in the lake, counted.

use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use sluice_core::{
    Result,
    event::{AccountDrifted, account_drifted},
    lake,
    port::Bus,
};
use sluice_lambda::{Invocation, Metrics, Unit};
use sluice_pipeline::account::{self, AccountStatus, KeyAge};
use tokio::time::Instant;

use crate::{
    config::account::{
        Account, Allowed, AsRoles, Desired, Kind as Of, LetIn, Name, PROVISIONER, Plan, look as plan, slots,
    },
    deps::Deps,
};

/// Kept of an invocation's time for going on in another one, or for answering.
pub(crate) const RESERVE: Duration = Duration::from_secs(30);

/// The metrics that alarms watch.
const DIFFERENCES: &str = "AccountDifferences";
const OLDEST_KEY: &str = "OldestKeyDays";

/// What the schedule's run answers.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    differences: usize,
    summary: String,
}

/// Looks for drift.
pub(crate) async fn drift(deps: &Deps, invocation: &Invocation) -> Result<Found> {
    let desired = Desired::read(&deps.config.file, &deps.config.settings(), &deps.config.sources)?;
    let (time, tag) = (invocation.time_left(RESERVE), tag(invocation));
    let account = AsRoles { api: &deps.api, deadline: Instant::now() + time };
    let (_, found) = Box::pin(plan(&account, &desired, &Allowed::default(), &tag)).await?;
    let keys = keys(&account, &desired, &tag).await;
    let status = record(deps, invocation, &found, keys).await;
    if !found.is_empty() {
        let id = lake::digest(&[found.to_json().to_string().as_bytes()]);
        let AccountStatus { run_id, differences, summary, .. } = status.clone();
        let environment = desired.environment.clone();
        deps.bus.announce(account_drifted(&AccountDrifted { id, run_id, environment, differences, summary })).await?;
    }
    // A deployment may have written the role's trust again.
    if found.changes.is_empty() {
        LetIn::new(&account, &deps.reader, &desired, account.deadline).ensure(&tag).await?;
    }
    tracing::info!(differences = status.differences, summary = status.summary, "looked for drift");
    Ok(Found { differences: status.differences, summary: status.summary })
}

pub(crate) fn tag(invocation: &Invocation) -> String {
    format!("sluice:account:{}", invocation.run_id)
}

/// Since when each service has its key.
pub(crate) async fn keys(account: &impl Account, desired: &Desired, tag: &str) -> Vec<KeyAge> {
    let services = desired.state.of(Of::User).filter(|(_, user)| user.text("type") == "SERVICE");
    let mut keys = Vec::new();
    for user in services.map(|(name, _)| name.clone()).chain([Name::of([PROVISIONER])]) {
        match slots(account, &user, tag).await {
            Ok(slots) => {
                let set = slots.iter().flatten().map(|slot| slot.set_at).min();
                keys.extend(set.map(|set_at| KeyAge { user: user.to_string(), set_at }));
            }
            Err(error) => tracing::warn!(%user, error = error.chain(), "cannot tell the age of the user's key"),
        }
    }
    keys
}

/// Keeps and counts what was found. That it cannot be kept fails nothing: it is for people.
pub(crate) async fn record(deps: &Deps, invocation: &Invocation, found: &Plan, keys: Vec<KeyAge>) -> AccountStatus {
    let status = AccountStatus {
        run_id: invocation.run_id.clone(),
        at: Utc::now(),
        differences: found.changes.len() + found.blocked.len(),
        summary: found.summary(),
        keys,
    };
    if let Err(error) = account::record(&deps.store, &status).await {
        tracing::warn!(error = error.chain(), "cannot keep in the lake what was found of the account");
    }
    let mut metrics = Metrics::new(&[("LakeId", &deps.config.lake_id.0)]).property("run_id", status.run_id.0.as_str());
    metrics = metrics.value(DIFFERENCES, Unit::Count, status.differences as u64);
    if let Some(days) = status.oldest_key().and_then(|key| key.days(status.at)) {
        metrics = metrics.value(OLDEST_KEY, Unit::Count, days.unsigned_abs());
    }
    metrics.emit();
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_of_the_template_watches_the_metric_that_is_written() {
        let template = include_str!("../../../template.yaml");
        let alarm = template.lines().find(|line| line.contains(&format!("Metric: {OLDEST_KEY},"))).expect("an alarm");
        assert!(alarm.contains(&format!("Above: {},", account::KEY_DAYS)), "{alarm}");
    }
}
