//! What is no table's alone: dbt, costs, secrets and functions.

use chrono::{DateTime, Utc};
use sluice_core::sources::Monitor;

use super::{
    Context,
    costs::{self, CostFacts, Month},
};
use crate::{
    baseline::delay,
    finding::{Finding, Kind, Object, Unit, Verdict},
};

/// No run of dbt is slow that takes less.
const LEAST_DBT_MINUTES: f64 = 5.0;

/// A function is silent when it has missed this many of its runs.
const MISSED_RUNS: f64 = 2.0;

#[derive(Debug, Clone, Default)]
pub struct PlatformFacts {
    /// `None` when the ledger did not answer.
    pub dbt: Option<DbtFacts>,
    pub costs: Vec<CostFacts>,
    /// `None` when they were not observed.
    pub secrets: Option<Vec<SecretFacts>>,
    pub functions: Vec<FunctionFacts>,
    /// `None` where the month is judged elsewhere.
    pub month: Option<Month>,
}

/// The newest run of dbt that has ended.
#[derive(Debug, Clone, Default)]
pub struct DbtFacts {
    pub failed: bool,
    /// Where nothing else has failed.
    pub failed_tests: u64,
    pub minutes: f64,
    pub earlier_minutes: Vec<f64>,
}

#[derive(Debug, Clone)]
pub struct SecretFacts {
    pub name: String,
    pub changed_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A function and when it should run.
#[derive(Debug, Clone)]
pub struct FunctionFacts {
    pub name: String,
    pub every_minutes: u32,
    pub newest_run: Option<DateTime<Utc>>,
    /// Since when it has been there to run.
    pub since: DateTime<Utc>,
}

pub(super) fn judge(facts: &PlatformFacts, context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut add = |monitor, object, verdict| {
        findings.push(Finding { monitor, object, at: context.now, verdict });
    };
    let run = Object::whole("dbt");
    add(Monitor::Dbt, run.clone(), facts.dbt.as_ref().map_or_else(no_runs, DbtFacts::outcome));
    add(Monitor::DbtDuration, run, facts.dbt.as_ref().map_or_else(no_runs, |dbt| dbt.duration(context)));
    costs::judge(&facts.costs, facts.month.as_ref(), context, &mut add);
    match &facts.secrets {
        None => add(Monitor::Secrets, Object::whole("secrets"), Verdict::missing("ages of secrets were not observed")),
        Some(secrets) => {
            for secret in secrets {
                add(Monitor::Secrets, Object::whole(&secret.name), secret.verdict(context));
            }
        }
    }
    for function in &facts.functions {
        add(Monitor::Silence, Object::whole(&function.name), function.verdict(context));
    }
}

fn no_runs() -> Verdict {
    Verdict::missing("dbt's runs were not observed")
}

impl DbtFacts {
    fn outcome(&self) -> Verdict {
        let DbtFacts { failed, failed_tests, .. } = self;
        match (failed, failed_tests) {
            // Failed tests say more than that the run failed because of them.
            (_, 1..) => {
                let observed = format!("{failed_tests} tests failed");
                Verdict::breached(Kind::TestsFailed, *failed_tests as f64, observed, "no test fails")
            }
            (true, 0) => Verdict::breached(Kind::RunFailed, 1.0, "the run failed", "a run that succeeds"),
            (false, 0) => Verdict::Healthy,
        }
    }

    fn duration(&self, context: &Context<'_>) -> Verdict {
        let most = f64::from(context.limits.dbt_minutes);
        let limit = delay::limit_minutes(&self.earlier_minutes, LEAST_DBT_MINUTES, most).min(most);
        if self.minutes <= limit {
            return Verdict::Healthy;
        }
        let observed = format!("the run took {}", Unit::Minutes.show(self.minutes));
        Verdict::breached(Kind::RunSlow, self.minutes, observed, format!("at most {}", Unit::Minutes.show(limit)))
    }
}

impl SecretFacts {
    fn verdict(&self, context: &Context<'_>) -> Verdict {
        let days = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).num_hours() as f64 / 24.0;
        let (oldest, notice) =
            (f64::from(context.limits.secret_age_days), f64::from(context.limits.secret_expiry_days));
        if let Some(left) = self.expires_at.map(|end| days(context.now, end)).filter(|left| *left < notice) {
            let observed = if left < 0.0 {
                "it has expired".to_owned()
            } else {
                format!("it expires in {}", Unit::Days.show(left))
            };
            return Verdict::breached(Kind::SecretExpires, notice - left, observed, "a new one in time");
        }
        match self.changed_at.map(|changed| days(changed, context.now)) {
            None => Verdict::missing("its age was not observed"),
            Some(age) if age > oldest => {
                let observed = format!("it is {} old", Unit::Days.show(age));
                Verdict::breached(Kind::SecretOld, age, observed, format!("at most {}", Unit::Days.show(oldest)))
            }
            Some(_) => Verdict::Healthy,
        }
    }
}

impl FunctionFacts {
    fn verdict(&self, context: &Context<'_>) -> Verdict {
        let last = self.newest_run.unwrap_or(self.since);
        let silent = (context.now - last).num_seconds() as f64 / 60.0;
        let missed = (silent / f64::from(self.every_minutes)).floor();
        if missed <= MISSED_RUNS {
            return match self.newest_run {
                Some(_) => Verdict::Healthy,
                None => Verdict::missing("it has not run yet"),
            };
        }
        let observed = format!("no run for {}", Unit::Minutes.show(silent));
        let expected = format!("a run each {}", Unit::Minutes.show(f64::from(self.every_minutes)));
        Verdict::breached(Kind::Silent, missed, observed, expected)
    }
}
