//! What the template schedules is what the functions take, and comes in an order in which nothing is a day late.

use std::collections::BTreeMap;

use sluice_core::{Sources, extract::ExtractRequest, sources::Source};

use crate::project::read;

/// Each schedule that names a table: its expression and its input with a time in it.
fn schedules() -> Vec<(String, String)> {
    let template = read("template.yaml");
    let (mut expression, mut found) = (String::new(), Vec::new());
    for line in template.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("ScheduleExpression: ") {
            text.clone_into(&mut expression);
        }
        if let Some(input) = line.strip_prefix("Input: '").filter(|input| input.contains("\"table\"")) {
            let input = input.trim_end_matches('\'').replace("<aws.scheduler.scheduled-time>", "2026-10-30T07:00:00Z");
            found.push((expression.clone(), input));
        }
    }
    found
}

fn sources() -> Sources {
    Sources::parse(&read("platform/sources.yaml")).expect("valid sources")
}

#[test]
fn every_schedule_gives_its_function_all_that_it_needs() {
    let (sources, mut scheduled) = (sources(), BTreeMap::new());
    for (expression, input) in schedules() {
        let request: ExtractRequest = serde_json::from_str(&input).unwrap_or_else(|error| panic!("{input}: {error}"));
        let table = sources.table(&request.table).unwrap_or_else(|error| panic!("{input}: {error}"));
        assert!(!request.full_refresh && request.from.is_none(), "{input} is not one for every day");
        scheduled.entry(table.table.clone()).or_insert_with(Vec::new).push(expression);
    }
    for table in sources.tables.iter().filter(|table| !matches!(table.source, Source::Kafka { .. })) {
        assert!(scheduled.contains_key(&table.table), "{} is never extracted", table.table);
    }
}

#[test]
fn all_times_are_utc() {
    let template = read("template.yaml");
    let count = |text: &str| template.lines().filter(|line| line.trim().starts_with(text)).count();
    assert!(count("ScheduleExpression: ") >= 5);
    assert_eq!(count("ScheduleExpression: "), count("ScheduleExpressionTimezone: UTC"));
}

#[test]
fn yesterdays_final_rates_come_just_after_midnight_and_todays_provisional_ones_in_the_morning() {
    let rates = |(_, input): &(String, String)| input.contains("EXCHANGE_RATES.EXCHANGE_RATES");
    let times: Vec<String> = schedules().into_iter().filter(rates).map(|(expression, _)| expression).collect();
    assert_eq!(times, ["cron(15 0 * * ? *)", "cron(0 9 * * ? *)"]);
}
