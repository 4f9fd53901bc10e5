//! `sluice alerts objectives`: what is promised in platform/alerts.yaml, and what the incidents of the ledger have left of it.

use chrono::{TimeDelta, Utc};
use sluice_core::Error;
use sluice_watch::{
    alerts::{FILE, Table},
    objectives::Kept,
};

use crate::{
    commands::Context,
    failure::Outcome,
    output::{self, Side, table},
    warehouse::Observe,
};

pub(super) async fn run(context: &Context<'_>) -> Outcome {
    let path = context.platform.place.alerts_file();
    let unreadable =
        |error: std::io::Error| Error::config("cannot read the objectives").with("path", path.display()).because(error);
    let objectives = Table::parse(&std::fs::read_to_string(&path).map_err(unreadable)?)?.objectives;
    let now = Utc::now();
    let days = objectives.iter().map(|objective| objective.days).max().unwrap_or_default();
    let warehouse = context.platform.warehouse().await?;
    let asking = warehouse.faults(now - TimeDelta::days(i64::from(days)));
    let faults = context.progress.spin("asking the ledger", asking).await?;
    let kept: Vec<Kept> = objectives.iter().map(|objective| objective.kept(&faults, now)).collect();
    output::print(context.json, &kept, |kept| render(kept))
}

fn render(kept: &[Kept]) -> String {
    if kept.is_empty() {
        return format!("nothing is promised: {FILE} has no `objectives`");
    }
    let row = |kept: &Kept| {
        vec![
            kept.name.clone(),
            kept.days.to_string(),
            format!("{:.3} %", kept.good_percent),
            kept.bad_minutes.to_string(),
            kept.budget_minutes.to_string(),
            kept.left_minutes.to_string(),
        ]
    };
    let columns = [
        ("OBJECTIVE", Side::Left),
        ("DAYS", Side::Right),
        ("GOOD", Side::Right),
        ("BAD MINUTES", Side::Right),
        ("BUDGET", Side::Right),
        ("LEFT", Side::Right),
    ];
    table(&columns, &kept.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_stands_beside_what_was_promised() {
        let kept = Kept {
            name: "data comes in time".into(),
            days: 28,
            budget_minutes: 400,
            bad_minutes: 425,
            left_minutes: -25,
            good_percent: 98.946,
        };
        let text = render(&[kept]);
        assert!(text.ends_with("data comes in time    28  98.946 %          425     400   -25"), "{text}");
        assert!(render(&[]).contains("nothing is promised"));
    }
}
