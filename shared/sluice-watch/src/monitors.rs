//! The monitors: from what was observed of tables and of the platform to findings.
//!
//! A monitor whose observation is missing says so; it is never healthy by silence.

mod arrival;
mod columns;
mod costs;
mod loads;
mod platform;
mod rows;
mod stream;
#[cfg(test)]
mod tests;

use chrono::{DateTime, NaiveDate, Utc};
use sluice_core::sources::Monitor;

pub use arrival::{Arrivals, LateRows, ReportDelay};
pub use columns::{ColumnFacts, Profile, Shape};
pub use costs::{CostFacts, Currency, Month};
pub use loads::{LoadFacts, Shares};
pub use platform::{DbtFacts, FunctionFacts, PlatformFacts, SecretFacts};
pub use rows::{Keys, Pair, RowFacts};
pub use stream::Partition;

use crate::{
    calendar::Calendar,
    finding::{Finding, Object, Verdict},
    settings::{Limits, TableSettings},
};

/// What is common to a round.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub calendar: &'a Calendar,
    pub limits: &'a Limits,
    pub now: DateTime<Utc>,
    /// The newest complete day.
    pub day: NaiveDate,
}

/// What was observed of one table. What is `None` was asked for and not answered.
#[derive(Debug, Clone, Default)]
pub struct TableFacts {
    pub arrivals: Option<Arrivals>,
    pub report: Option<ReportDelay>,
    pub rows: Option<RowFacts>,
    pub keys: Option<Keys>,
    pub columns: Vec<ColumnFacts>,
    pub shape: Option<Shape>,
    pub late_rows: Option<LateRows>,
    pub pairs: Vec<Pair>,
    pub partitions: Option<Vec<Partition>>,
    pub dead_letters: Option<Shares>,
    pub rejects: Option<Shares>,
    pub loads: Option<LoadFacts>,
}

/// Judges a whole round.
pub fn judge<'t>(
    tables: impl IntoIterator<Item = (&'t TableSettings, &'t TableFacts)>,
    platform: &PlatformFacts,
    context: &Context<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (settings, facts) in tables {
        judge_table(settings, facts, context, &mut findings);
    }
    platform::judge(platform, context, &mut findings);
    findings
}

/// Judges what days have cost, and the month.
pub fn judge_costs(costs: &[CostFacts], month: &Month, context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    costs::judge(costs, Some(month), context, &mut |monitor, object, verdict| {
        findings.push(Finding { monitor, object, at: context.now, verdict });
    });
    findings
}

/// Judges one table by the monitors that its settings leave on.
pub fn judge_table(settings: &TableSettings, facts: &TableFacts, context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut add = |monitor: Monitor, part: Option<&str>, verdict: Verdict| {
        if settings.judges(monitor) {
            let object = Object { name: settings.table.clone(), part: part.map(str::to_owned) };
            findings.push(Finding { monitor, object, at: context.now, verdict });
        }
    };
    if !context.calendar.is_gap(&settings.table, context.now.date_naive()) {
        arrival::freshness(settings, facts.arrivals.as_ref(), context, &mut add);
    }
    if !context.calendar.is_gap(&settings.table, context.day) {
        rows::volume(settings, facts.rows.as_ref(), context, &mut add);
    }
    if settings.event_time.is_some() {
        arrival::event_to_report(settings, facts.report.as_ref(), &mut add);
        arrival::late_rows(settings, facts.late_rows.as_ref(), &mut add);
    }
    if settings.has_key {
        rows::duplicates(facts.keys.as_ref(), &mut add);
    }
    rows::reconciliation(&facts.pairs, &mut add);
    columns::nulls(settings, &facts.columns, context, &mut add);
    columns::distribution(settings, &facts.columns, context, &mut add);
    columns::schema(facts.shape.as_ref(), &mut add);
    if settings.is_streaming {
        stream::lag(settings, facts.partitions.as_deref(), context, &mut add);
        stream::dead_letters(settings, facts.dead_letters, &mut add);
    } else {
        loads::rejects(settings, facts.rejects, &mut add);
        loads::loads(facts.loads.as_ref(), context, &mut add);
    }
}
