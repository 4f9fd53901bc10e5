//! What the template wakes and `sources.yaml` schedules comes in an order in which nothing is a day late.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_core::{Sources, sources::Source};

use crate::project::read;

#[test]
fn all_times_are_utc() {
    let template = read("template.yaml");
    let count = |text: &str| template.lines().filter(|line| line.trim().starts_with(text)).count();
    assert!(count("ScheduleExpression: ") >= 5);
    assert_eq!(count("ScheduleExpression: "), count("ScheduleExpressionTimezone: UTC"));
}

#[test]
fn yesterdays_final_rates_come_just_after_midnight_and_todays_provisional_ones_in_the_morning() {
    let sources = Sources::parse(&read("platform/sources.yaml")).expect("valid sources");
    let rates = sources.tables.iter().find(|table| matches!(table.source, Source::ExchangeRates { .. }));
    let schedule = rates.and_then(|table| table.schedule.as_ref()).expect("rates have a schedule");
    // Extracts are woken a quarter past each hour.
    let first: DateTime<Utc> = "2026-10-30T00:15:00Z".parse().expect("a time");
    let due: Vec<i64> = (0..24).filter(|hour| schedule.is_due(first + TimeDelta::hours(*hour))).collect();
    assert_eq!(due, [0, 9]);
}
