//! What is extracted when: `platform/sources.yaml` says it, in an order in which nothing is a day late.

use sluice_core::{Sources, schedule::Schedule, sources::Source};

use crate::{expanded, project::read};

fn sources() -> Sources {
    Sources::parse(&read("platform/sources.yaml")).expect("valid sources")
}

#[test]
fn every_shipped_table_of_a_batch_source_has_a_schedule() {
    for table in sources().tables.iter().filter(|table| !matches!(table.source, Source::Kafka { .. })) {
        assert!(table.schedule.is_some(), "{} is never extracted", table.table);
    }
}

#[test]
fn all_times_are_utc() {
    let schedules = expanded::of_type("::Scheduler::Schedule");
    assert!(schedules.len() >= 5, "{schedules:?}");
    for schedule in schedules {
        assert_eq!(expanded::properties(schedule)["ScheduleExpressionTimezone"], "UTC", "{schedule}");
    }
}

#[test]
fn final_rates_come_after_midnight_and_provisional_ones_in_the_morning() {
    let sources = sources();
    let rates = sources.tables.iter().find(|table| matches!(table.source, Source::ExchangeRates { .. }));
    let schedule = rates.expect("a table of rates").schedule.as_ref().expect("a schedule");
    assert_eq!(*schedule, Schedule::Daily(vec![0, 9]));
    // The minute of the waking: the source has closed its day by then.
    assert_eq!(schedule.expression(), "cron(15 0,9 * * ? *)");
}
