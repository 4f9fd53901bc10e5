//! What does not get into the warehouse: rejected rows, and commits that fail or wait.

use chrono::{DateTime, Utc};
use sluice_core::sources::Monitor;

use super::Context;
use crate::{
    finding::{Kind, Unit, Verdict},
    settings::TableSettings,
};

/// Of this many rows or records, this many broke the contract.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    pub all: u64,
    pub bad: u64,
}

/// Commits of one table.
#[derive(Debug, Clone, Default)]
pub struct LoadFacts {
    pub failed: u64,
    /// When the oldest commit was made that is neither loaded nor failed.
    pub oldest_waiting: Option<DateTime<Utc>>,
}

impl Shares {
    pub(super) fn verdict(self, kind: Kind, what: &str, limit_percent: f64) -> Verdict {
        let Shares { all, bad } = self;
        let percent = 100.0 * bad as f64 / all.max(bad).max(1) as f64;
        if bad == 0 || percent < limit_percent {
            return Verdict::Healthy;
        }
        let observed = format!("{bad} of {} {what} broke the contract", all.max(bad));
        Verdict::breached(kind, percent, observed, format!("less than {limit_percent} %"))
    }
}

pub(super) fn rejects(
    settings: &TableSettings,
    rejects: Option<Shares>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let verdict = match rejects {
        None => Verdict::missing("rejected rows were not counted"),
        Some(rejects) => rejects.verdict(Kind::Rejects, "rows", settings.rejected_percent),
    };
    add(Monitor::Rejects, None, verdict);
}

pub(super) fn loads(
    facts: Option<&LoadFacts>,
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let verdict = match facts {
        None => Verdict::missing("the ledger of loads was not read"),
        Some(LoadFacts { failed, .. }) if *failed > 0 => {
            let observed = format!("{failed} commits have failed to load");
            Verdict::breached(Kind::LoadFailed, *failed as f64, observed, "each commit loads")
        }
        Some(LoadFacts { oldest_waiting, .. }) => {
            let age = oldest_waiting.map_or(0.0, |oldest| (context.now - oldest).num_seconds() as f64 / 60.0);
            let limit = f64::from(context.limits.load_waiting_minutes);
            if age > limit {
                let observed = format!("a commit has waited for {}", Unit::Minutes.show(age));
                Verdict::breached(Kind::LoadWaiting, age, observed, format!("at most {}", Unit::Minutes.show(limit)))
            } else {
                Verdict::Healthy
            }
        }
    };
    add(Monitor::Loads, None, verdict);
}
