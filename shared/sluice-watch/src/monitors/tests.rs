use std::collections::BTreeMap;

use chrono::{Days, Duration, NaiveDate};
use sluice_core::Schedule;

use super::*;
use crate::{
    baseline::{History, Mark},
    finding::{Kind, Why},
};

fn day() -> NaiveDate {
    "2026-05-20".parse().expect("a Wednesday")
}

fn now() -> DateTime<Utc> {
    "2026-05-21T06:00:00Z".parse().expect("a time")
}

fn settings() -> TableSettings {
    let text = "tables:\n  - table: A.B.ORDERS\n    description: d\n    source: {kind: postgres, schema: s, table: orders, cursor: id}\n    \
                loader: copy\n    disposition: merge\n    schedule: hourly\n    key: [id]\n    columns:\n      \
                - {name: id, type: bigint, required: true}\n      - {name: at, type: timestamp, required: true}\n      \
                - {name: email, type: text}\n      - {name: city, type: text}\n      - {name: price, type: \"decimal(12,2)\", required: true}\n    \
                monitors: {event_time: at, distribution_columns: [price]}\n";
    TableSettings::of(&sluice_core::Sources::parse(text).expect("valid sources").tables[0])
}

fn days<T>(value: impl Fn(NaiveDate) -> T) -> Vec<(NaiveDate, T)> {
    (day() - Days::new(60)).iter_days().take(60).map(|day| (day, value(day))).collect()
}

/// The verdict of one monitor over facts.
fn verdict_of(monitor: Monitor, settings: &TableSettings, facts: &TableFacts) -> Option<Verdict> {
    let (calendar, limits) = (Calendar::default(), Limits::default());
    let context = Context { calendar: &calendar, limits: &limits, now: now(), day: day() };
    let findings = judge([(settings, facts)], &PlatformFacts::default(), &context);
    findings.into_iter().find(|finding| finding.monitor == monitor).map(|finding| finding.verdict)
}

fn of_platform(monitor: Monitor, facts: &PlatformFacts, limits: &Limits) -> Verdict {
    let calendar = Calendar::default();
    let context = Context { calendar: &calendar, limits, now: now(), day: day() };
    let findings = judge([], facts, &context);
    findings.into_iter().find(|finding| finding.monitor == monitor).expect("a finding").verdict
}

#[track_caller]
fn breached(verdict: Option<Verdict>, kind: Kind, size: f64) {
    match verdict {
        Some(Verdict::Breached(breach)) => {
            assert_eq!(breach.kind, kind, "{breach:?}");
            assert!((breach.size - size).abs() <= 0.02 * size.max(1.0), "{breach:?} is not of size {size}");
        }
        other => panic!("{kind} expected, and it is {other:?}"),
    }
}

#[test]
fn what_was_not_observed_is_degraded_and_never_healthy() {
    let (calendar, limits) = (Calendar::default(), Limits::default());
    let context = Context { calendar: &calendar, limits: &limits, now: now(), day: day() };
    let mut stream = settings();
    stream.is_streaming = true;
    let facts = TableFacts::default();
    let findings = judge([(&settings(), &facts), (&stream, &facts)], &PlatformFacts::default(), &context);
    let monitors: std::collections::BTreeSet<Monitor> = findings.iter().map(|finding| finding.monitor).collect();
    assert!(monitors.len() >= 14, "{monitors:?}");
    for finding in &findings {
        assert!(matches!(&finding.verdict, Verdict::Degraded(Why::Missing(_))), "{finding:?}");
    }
}

#[test]
fn a_monitor_that_is_off_finds_nothing() {
    let mut settings = settings();
    settings.off = vec![Monitor::Volume];
    assert_eq!(verdict_of(Monitor::Volume, &settings, &TableFacts::default()), None);
}

#[test]
fn a_table_is_late_after_its_waking_and_its_grace() {
    let arrivals = |minutes: i64| TableFacts {
        arrivals: Some(Arrivals { newest: Some(now() - Duration::minutes(minutes)) }),
        ..TableFacts::default()
    };
    let mut table = settings();
    let late = |table: &TableSettings, facts: TableFacts| verdict_of(Monitor::Freshness, table, &facts);
    // The waking of 05:15 may end until 06:15, that of 04:15 until 05:15.
    assert_eq!(late(&table, arrivals(100)), Some(Verdict::Healthy));
    breached(late(&table, arrivals(106)), Kind::Late, 106.0);
    table.schedule = Some(Schedule::Daily(vec![3]));
    assert_eq!(late(&table, arrivals(160)), Some(Verdict::Healthy));
    breached(late(&table, arrivals(30 * 60)), Kind::Late, 1800.0);
    table.freshness_minutes = Some(90.0);
    breached(late(&table, arrivals(100)), Kind::Late, 100.0);
    (table.freshness_minutes, table.schedule) = (None, None);
    assert_eq!(late(&table, arrivals(90_000)), None, "a table by hand is never late");
    table.is_streaming = true;
    table.grace_minutes = 1440.0;
    breached(late(&table, arrivals(1_500)), Kind::Late, 1_500.0);
    assert_eq!(late(&table, arrivals(1_400)), Some(Verdict::Healthy));
}

#[test]
fn a_known_gap_of_a_table_is_not_judged() {
    let calendar = "events: [{ name: Move, kind: gap, from: 2026-05-20, to: 2026-05-21 }]";
    let calendar = Calendar::parse(calendar).expect("a calendar");
    let limits = Limits::default();
    let context = Context { calendar: &calendar, limits: &limits, now: now(), day: day() };
    let findings = judge([(&settings(), &TableFacts::default())], &PlatformFacts::default(), &context);
    let is_judged = |monitor| findings.iter().any(|finding| finding.monitor == monitor);
    assert!(!is_judged(Monitor::Freshness) && !is_judged(Monitor::Volume) && is_judged(Monitor::Reconciliation));
}

#[test]
fn volume_is_told_by_what_is_learned_and_by_hard_limits() {
    let history: History = days(|_| 1_000.0).into_iter().collect();
    let facts = |rows| TableFacts { rows: Some(RowFacts { rows, history: history.clone() }), ..TableFacts::default() };
    let mut table = settings();
    let volume = |table: &TableSettings, rows| verdict_of(Monitor::Volume, table, &facts(rows));
    breached(volume(&table, 400), Kind::VolumeDrop, 60.0);
    breached(volume(&table, 0), Kind::VolumeDrop, 100.0);
    breached(volume(&table, 2_000), Kind::VolumeRise, 100.0);
    assert_eq!(volume(&table, 1_020), Some(Verdict::Healthy));
    table.volume_change_percent = 70.0;
    assert_eq!(volume(&table, 400), Some(Verdict::Healthy));
    (table.minimum_rows_per_day, table.maximum_rows_per_day) = (Some(500.0), Some(1_500.0));
    breached(volume(&table, 400), Kind::VolumeDrop, 20.0);
    breached(volume(&table, 3_000), Kind::VolumeRise, 100.0);
}

#[test]
fn a_young_table_learns_and_an_empty_day_of_it_is_told() {
    let history: History = days(|_| 100.0).into_iter().skip(45).collect();
    let volume = |rows, skip: usize| {
        let history = history.before(day()).skip(skip).map(|(day, known)| (day, known.value)).collect();
        verdict_of(
            Monitor::Volume,
            &settings(),
            &TableFacts { rows: Some(RowFacts { rows, history }), ..TableFacts::default() },
        )
    };
    assert_eq!(volume(100, 0), Some(Verdict::Degraded(Why::Learning { days: 15, needed: 21 })));
    breached(volume(0, 0), Kind::VolumeDrop, 100.0);
    assert_eq!(volume(0, 5), Some(Verdict::Degraded(Why::Learning { days: 10, needed: 21 })));
}

#[test]
fn keys_and_counts_are_compared_exactly() {
    let keys = |rows, keys| {
        verdict_of(
            Monitor::Duplicates,
            &settings(),
            &TableFacts { keys: Some(Keys { rows, keys }), ..TableFacts::default() },
        )
    };
    assert_eq!(keys(7, 7), Some(Verdict::Healthy));
    breached(keys(9, 7), Kind::Duplicates, 2.0);
    let pair = |left_rows, right_rows| {
        let pairs = vec![Pair { left: "commits", left_rows, right: "loads", right_rows }];
        verdict_of(Monitor::Reconciliation, &settings(), &TableFacts { pairs, ..TableFacts::default() })
    };
    assert_eq!(pair(Some(0), Some(0)), Some(Verdict::Healthy));
    breached(pair(Some(10), Some(7)), Kind::RowsDiffer, 3.0);
    assert!(matches!(pair(Some(10), None), Some(Verdict::Degraded(_))));
}

fn column(name: &str) -> ColumnFacts {
    ColumnFacts { name: name.to_owned(), rows: 2_000, ..ColumnFacts::default() }
}

#[test]
fn twenty_points_more_nulls_are_told_and_a_day_without_rows_is_not() {
    let history: History = days(|_| 0.02).into_iter().collect();
    let nulls = |rows, nulls| {
        let column = ColumnFacts { rows, nulls, null_history: history.clone(), ..column("email") };
        verdict_of(Monitor::NullRate, &settings(), &TableFacts { columns: vec![column], ..TableFacts::default() })
    };
    breached(nulls(2_000, Some(440)), Kind::NullRise, 20.0);
    assert_eq!(nulls(2_000, Some(41)), Some(Verdict::Healthy));
    assert_eq!(nulls(0, Some(0)), Some(Verdict::Healthy));
    assert!(matches!(nulls(2_000, None), Some(Verdict::Degraded(Why::Missing(_)))));
}

#[test]
fn a_rate_that_stands_still_on_a_workday_is_told_on_the_first_day() {
    let is_weekend = |day: NaiveDate| chrono::Datelike::weekday(&day).num_days_from_monday() >= 5;
    let workdays = |day: NaiveDate| {
        (0..=(day - NaiveDate::default()).num_days())
            .rev()
            .map(|at| NaiveDate::default() + Days::new(at as u64))
            .find(|day| !is_weekend(*day))
    };
    let profile = |day: NaiveDate| {
        let number = workdays(day).map_or(0, |day| (day - NaiveDate::default()).num_days());
        Profile { mean: 100.0 + (number % 7) as f64 * 0.3, minimum: 1.0, maximum: 5.0 }
    };
    let earlier: BTreeMap<NaiveDate, Profile> = days(profile).into_iter().collect();
    let verdict = |day: NaiveDate, today: Profile| {
        let (calendar, limits) = (Calendar::default(), Limits::default());
        let context = Context { calendar: &calendar, limits: &limits, now: now(), day };
        let mut earlier = earlier.clone();
        earlier.retain(|known, _| *known < day);
        let column = ColumnFacts { profile: Some(today), earlier, ..column("price") };
        let facts = TableFacts { columns: vec![column], ..TableFacts::default() };
        let findings = judge([(&settings(), &facts)], &PlatformFacts::default(), &context);
        findings.into_iter().find(|finding| finding.monitor == Monitor::Distribution).map(|finding| finding.verdict)
    };
    assert_eq!(verdict(day(), profile(day())), Some(Verdict::Healthy));
    breached(verdict(day(), profile(day() - Days::new(1))), Kind::Flat, 1.0);
    let sunday = day() - Days::new(3);
    assert_eq!(verdict(sunday, profile(sunday)), Some(Verdict::Healthy), "markets are closed");
    let cents = Profile { mean: 10_000.0, ..profile(day()) };
    assert!(matches!(verdict(day(), cents), Some(Verdict::Breached(breach)) if breach.kind == Kind::DistributionShift));
}

#[test]
fn a_changed_shape_is_told_by_its_worst_difference() {
    let shape = |found: &[(&str, &str)]| {
        let names = |columns: &[(&str, &str)]| columns.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let shape = Some(Shape { contract: names(&[("a", "text"), ("b", "bigint")]), found: names(found) });
        verdict_of(Monitor::Schema, &settings(), &TableFacts { shape, ..TableFacts::default() })
    };
    assert_eq!(shape(&[("a", "text"), ("b", "bigint")]), Some(Verdict::Healthy));
    breached(shape(&[("a", "date"), ("c", "text"), ("d", "text")]), Kind::ColumnGone, 1.0);
    breached(shape(&[("a", "date"), ("b", "bigint"), ("d", "text")]), Kind::ColumnRetyped, 1.0);
    breached(shape(&[("a", "text"), ("b", "bigint"), ("c", "x"), ("d", "y")]), Kind::ColumnAdded, 2.0);
}

#[test]
fn a_partition_is_stuck_before_it_is_behind() {
    let mut table = settings();
    table.is_streaming = true;
    let lag = |pause: i64, behind_minutes, expected_rows| {
        let newest_load = now() - Duration::minutes(pause);
        let partition = Partition { partition: 3, newest_load, behind_minutes, expected_rows };
        let facts = TableFacts { partitions: Some(vec![partition]), ..TableFacts::default() };
        verdict_of(Monitor::Lag, &table, &facts)
    };
    assert_eq!(lag(1, 0.2, 3.0), Some(Verdict::Healthy));
    breached(lag(40, 0.2, 85.0), Kind::PartitionStuck, 40.0);
    breached(lag(2, 40.0, 0.0), Kind::Lag, 40.0);
    breached(lag(16, 40.0, 20.0), Kind::PartitionStuck, 16.0);
    // A quiet topic sticks nobody, a short pause neither, and what came late hours ago is no lag of now.
    assert_eq!(lag(600, 0.2, 0.0), Some(Verdict::Healthy));
    assert_eq!(lag(10, 0.2, 300.0), Some(Verdict::Healthy));
    assert_eq!(lag(61, 40.0, 0.0), Some(Verdict::Healthy));
    let none = TableFacts { partitions: Some(Vec::new()), ..TableFacts::default() };
    assert_eq!(verdict_of(Monitor::Lag, &table, &none), None, "a topic without rows is not judged by them");
    assert!(matches!(verdict_of(Monitor::Lag, &table, &TableFacts::default()), Some(Verdict::Degraded(_))));
}

#[test]
fn shares_of_bad_rows_and_failed_loads_are_told() {
    let table = settings();
    let rejects = |all, bad| {
        verdict_of(
            Monitor::Rejects,
            &table,
            &TableFacts { rejects: Some(Shares { all, bad }), ..TableFacts::default() },
        )
    };
    assert_eq!(rejects(10_000, 50), Some(Verdict::Healthy));
    breached(rejects(10_000, 300), Kind::Rejects, 3.0);
    breached(rejects(0, 3), Kind::Rejects, 100.0);
    let loads = |failed, minutes| {
        let loads = Some(LoadFacts { failed, oldest_waiting: Some(now() - Duration::minutes(minutes)) });
        verdict_of(Monitor::Loads, &table, &TableFacts { loads, ..TableFacts::default() })
    };
    assert_eq!(loads(0, 59), Some(Verdict::Healthy));
    breached(loads(0, 61), Kind::LoadWaiting, 61.0);
    breached(loads(2, 61), Kind::LoadFailed, 2.0);
}

#[test]
fn late_rows_and_the_way_to_the_report_have_limits() {
    let mut table = settings();
    let late = |late| {
        let late_rows = Some(LateRows { rows: 1_000, late });
        verdict_of(Monitor::LateArrival, &table, &TableFacts { late_rows, ..TableFacts::default() })
    };
    assert_eq!(late(49), Some(Verdict::Healthy));
    breached(late(50), Kind::LateRows, 5.0);
    table.event_to_report_minutes = Some(240.0);
    let report = |minutes, earlier: Vec<f64>, table: &TableSettings| {
        let report = Some(ReportDelay { minutes, earlier_minutes: earlier });
        verdict_of(Monitor::EventToReport, table, &TableFacts { report, ..TableFacts::default() })
    };
    breached(report(241.0, Vec::new(), &table), Kind::ReportLate, 241.0);
    table.event_to_report_minutes = None;
    assert_eq!(report(241.0, Vec::new(), &table), Some(Verdict::Healthy));
    breached(report(241.0, vec![60.0; 20], &table), Kind::ReportLate, 241.0);
}

#[test]
fn dbt_is_told_by_its_tests_its_runs_and_its_minutes() {
    let limits = Limits::default();
    let dbt = |failed, failed_tests, minutes| PlatformFacts {
        dbt: Some(DbtFacts { failed, failed_tests, minutes, earlier_minutes: vec![8.0; 20] }),
        ..PlatformFacts::default()
    };
    assert_eq!(of_platform(Monitor::Dbt, &dbt(false, 0, 8.0), &limits), Verdict::Healthy);
    breached(Some(of_platform(Monitor::Dbt, &dbt(true, 0, 8.0), &limits)), Kind::RunFailed, 1.0);
    breached(Some(of_platform(Monitor::Dbt, &dbt(true, 3, 8.0), &limits)), Kind::TestsFailed, 3.0);
    assert_eq!(of_platform(Monitor::DbtDuration, &dbt(false, 0, 15.0), &limits), Verdict::Healthy);
    breached(Some(of_platform(Monitor::DbtDuration, &dbt(false, 0, 17.0), &limits)), Kind::RunSlow, 17.0);
}

#[test]
fn costs_are_told_upward_and_when_the_month_will_not_do() {
    let mut limits = Limits::default();
    let history: History = days(|_| 11.0).into_iter().collect();
    let cost = |amount| PlatformFacts {
        costs: vec![CostFacts {
            object: "LOADING".to_owned(),
            day: day(),
            amount,
            currency: Currency::Credits,
            history: history.clone(),
        }],
        ..PlatformFacts::default()
    };
    assert_eq!(of_platform(Monitor::Cost, &cost(Some(11.5)), &limits), Verdict::Healthy);
    assert_eq!(of_platform(Monitor::Cost, &cost(Some(1.0)), &limits), Verdict::Healthy);
    breached(Some(of_platform(Monitor::Cost, &cost(Some(33.0)), &limits)), Kind::CostRise, 200.0);
    assert!(
        matches!(of_platform(Monitor::Cost, &cost(None), &limits), Verdict::Degraded(_)),
        "not arrived is not zero"
    );
    limits.budget_credits_per_month = Some(100);
    let month = |credits, dollars| PlatformFacts {
        month: Some(Month { day: day(), credits, dollars }),
        ..PlatformFacts::default()
    };
    assert_eq!(of_platform(Monitor::Cost, &month(Some(60.0), None), &limits), Verdict::Healthy);
    breached(Some(of_platform(Monitor::Cost, &month(Some(80.0), None), &limits)), Kind::Budget, 124.0);
    assert!(matches!(of_platform(Monitor::Cost, &month(None, None), &limits), Verdict::Degraded(_)));
    (limits.budget_credits_per_month, limits.budget_dollars_per_month) = (None, Some(1_000));
    breached(Some(of_platform(Monitor::Cost, &month(None, Some(1_000.0)), &limits)), Kind::Budget, 155.0);
}

#[test]
fn secrets_grow_old_and_expire_and_functions_fall_silent() {
    let limits = Limits::default();
    let secret = |age: i64, left: Option<i64>| PlatformFacts {
        secrets: Some(vec![SecretFacts {
            name: "hubspot".to_owned(),
            changed_at: Some(now() - Duration::days(age)),
            expires_at: left.map(|days| now() + Duration::days(days)),
        }]),
        ..PlatformFacts::default()
    };
    assert_eq!(of_platform(Monitor::Secrets, &secret(90, Some(14)), &limits), Verdict::Healthy);
    breached(Some(of_platform(Monitor::Secrets, &secret(91, None), &limits)), Kind::SecretOld, 91.0);
    breached(Some(of_platform(Monitor::Secrets, &secret(1, Some(4)), &limits)), Kind::SecretExpires, 10.0);
    let function = |minutes: Option<i64>, since: i64| PlatformFacts {
        functions: vec![FunctionFacts {
            name: "extract".to_owned(),
            every_minutes: 60,
            newest_run: minutes.map(|minutes| now() - Duration::minutes(minutes)),
            since: now() - Duration::minutes(since),
        }],
        ..PlatformFacts::default()
    };
    assert_eq!(of_platform(Monitor::Silence, &function(Some(170), 9_000), &limits), Verdict::Healthy);
    breached(Some(of_platform(Monitor::Silence, &function(Some(190), 9_000), &limits)), Kind::Silent, 3.0);
    breached(Some(of_platform(Monitor::Silence, &function(None, 300), &limits)), Kind::Silent, 5.0);
    assert!(matches!(of_platform(Monitor::Silence, &function(None, 30), &limits), Verdict::Degraded(_)));
}

#[test]
fn days_that_were_told_are_left_out_of_the_next_ones() {
    let mut history: History = days(|_| 1_000.0).into_iter().collect();
    for back in 1..=6 {
        history.insert(day() - Days::new(back), 400.0, Mark::Suspect);
    }
    let facts = TableFacts { rows: Some(RowFacts { rows: 400, history }), ..TableFacts::default() };
    breached(verdict_of(Monitor::Volume, &settings(), &facts), Kind::VolumeDrop, 60.0);
}
