//! Every row of the shipped table, and what is wrong in a table.

use super::*;

/// A fault that a row takes, of the smallest size that it takes.
fn fault_of(route: &Route) -> (Origin, Object, Kind, f64) {
    let kind = route.kind.unwrap_or(Kind::LateRows);
    let name = route.object.as_deref().map_or("A.B.C".to_owned(), |name| name.replace('*', "X"));
    let source = route.source.or(kind.origin()).unwrap_or(Origin::Cost);
    (source, Object::whole(name), kind, route.at_least.unwrap_or(0.001))
}

#[test]
fn every_row_of_the_table_is_the_first_to_take_some_fault() {
    let table = table();
    assert!(table.routes.len() > 30);
    for (at, route) in table.routes.iter().enumerate().take(table.routes.len() - 1) {
        let (source, object, kind, size) = fault_of(route);
        let fault = Fault { source, object: &object, kind, size };
        let first = table.routes.iter().position(|route| route.takes(fault)).expect("the last row takes all");
        assert_eq!(first, at, "{route:?} is hidden by {:?}", table.routes[first]);
        assert_eq!(table.severity(fault), route.severity);
        if let Some(least) = route.at_least {
            let smaller = Fault { size: least * 0.999, ..fault };
            assert!(!route.takes(smaller), "{route:?} takes less than it says");
            assert!(table.severity(smaller) >= route.severity, "{route:?}: smaller is no worse");
        }
    }
}

/// What the table says, said again by hand: a row that is changed must be changed here too.
#[test]
fn each_kind_and_size_has_the_severity_that_people_expect() {
    let table = table();
    for (kind, object, size, severity) in [
        (Kind::RunFailed, "dbt", 1.0, 1),
        (Kind::TestsFailed, "dbt", 3.0, 2),
        (Kind::TestsFailed, "dbt", 2.0, 3),
        (Kind::RunSlow, "dbt", 90.0, 3),
        (Kind::LoadFailed, "A.B.C", 1.0, 1),
        (Kind::LoadWaiting, "A.B.C", 720.0, 1),
        (Kind::LoadWaiting, "A.B.C", 90.0, 2),
        (Kind::PartitionStuck, "A.B.C", 5.0, 1),
        (Kind::Lag, "A.B.C", 120.0, 1),
        (Kind::Lag, "A.B.C", 20.0, 2),
        (Kind::DeadLetters, "A.B.C", 10.0, 2),
        (Kind::DeadLetters, "A.B.C", 2.0, 3),
        (Kind::RowsDiffer, "A.B.C", 1.0, 2),
        (Kind::Late, "A.B.C", 1_800.0, 1),
        (Kind::Late, "A.B.C", 100.0, 2),
        (Kind::ReportLate, "A.B.C", 500.0, 2),
        (Kind::VolumeDrop, "A.B.C", 60.0, 2),
        (Kind::VolumeDrop, "A.B.C", 20.0, 3),
        (Kind::VolumeRise, "A.B.C", 100.0, 2),
        (Kind::VolumeRise, "A.B.C", 30.0, 3),
        (Kind::NullRise, "A.B.C", 20.0, 2),
        (Kind::NullRise, "A.B.C", 2.0, 3),
        (Kind::Duplicates, "A.B.C", 1.0, 2),
        (Kind::Flat, "A.B.C", 1.0, 2),
        (Kind::DistributionShift, "A.B.C", 50.0, 3),
        (Kind::ColumnGone, "A.B.C", 1.0, 2),
        (Kind::ColumnRetyped, "A.B.C", 1.0, 2),
        (Kind::ColumnAdded, "A.B.C", 1.0, 4),
        (Kind::LateRows, "A.B.C", 10.0, 3),
        (Kind::Rejects, "A.B.C", 30.0, 2),
        (Kind::Rejects, "A.B.C", 3.0, 3),
        (Kind::CostRise, "LOADING", 200.0, 2),
        (Kind::CostRise, "LOADING", 40.0, 3),
        (Kind::Budget, "platform", 110.0, 2),
        (Kind::SecretExpires, "hubspot", 7.0, 1),
        (Kind::SecretExpires, "hubspot", 1.0, 2),
        (Kind::SecretOld, "hubspot", 100.0, 3),
        (Kind::Silent, "extract", 3.0, 1),
        (Kind::ChannelFailing, "page", 3.0, 2),
        (Kind::Canary, "alert channels", 1.0, 4),
        (Kind::NoData, "A.B.C", 2.0, 3),
    ] {
        let object = Object::whole(object);
        let source = kind.origin().unwrap_or(Origin::Dbt);
        assert_eq!(table.severity(Fault { source, object: &object, kind, size }), severity, "{kind} {size}");
    }
    let named = Kind::ALL.iter().filter(|kind| table.routes.iter().any(|route| route.kind == Some(**kind))).count();
    assert_eq!(named, Kind::ALL.len(), "each kind has a row of its own");
}

#[test]
fn what_is_wrong_in_a_table_is_told_with_its_line() {
    for (right, wrong, told) in [
        ("kind: run_failed", "kind: run_fails", "'run_fails' is no kind of fault; known are late"),
        (
            "source: dbt, kind: run_failed",
            "source: data, kind: run_failed",
            "run_failed is no kind of fault that data has",
        ),
        ("source: dbt, kind: run_failed", "source: dbd, kind: run_failed", "'dbd' is no source of alerts"),
        ("at_least: 3 tests", "at_least: 3 %", "the size of tests_failed is in tests, not in '%'"),
        ("at_least: 3 tests", "at_least: 3", "write the unit too, as in 50 % or 3 tests"),
        ("at_least: 3 tests", "at_least: many tests", "'many tests' is no size"),
        (
            "{ source: dbt, kind: run_failed, severity: 1 }",
            "{ source: dbt, severity: 1 }",
            "takes all that this one does",
        ),
        (
            "  - { kind: no_data, severity: 3 }\n  - { severity: 2 }",
            "  - { kind: no_data, severity: 3 }",
            "must take everything",
        ),
        ("{ severity: 4 }", "{ severity: 5 }", "routes: 4 is none of the severities"),
        (
            "channels: [data-alerts, mail, hook]",
            "channels: [data-alert, mail, hook]",
            "'data-alert' is none of the channels",
        ),
        ("kind: sns", "kind: webhook", "one of kind sns is needed"),
        ("kind: sns", "kind: teams", "'teams' is no kind of channel"),
        ("remind_hours: [24, 72]", "remind_hours: [24, 2]", "each later than the one before"),
        ("hour_utc: 7", "hour_utc: 24", "`hour_utc` is an hour from 0 to 23"),
        ("secret_age_days: 90", "secret_age: 90", "`secret_age` is no setting here"),
        (", channel: \"#data-alerts\"", "", "`channel` is missing"),
        ("name: hook", "name: mail", "'mail' stands twice"),
    ] {
        assert!(SHIPPED.contains(right), "{right}");
        let problem = Table::parse(&SHIPPED.replacen(right, wrong, 1)).expect_err(wrong).to_string();
        assert!(problem.contains(told) && problem.contains("platform/alerts.yaml:"), "{told}: {problem}");
    }
    assert!(Table::parse("").expect_err("empty").to_string().contains("the file is empty"));
}

#[test]
fn a_size_has_a_unit_that_its_kind_can_be_in() {
    for kind in Kind::ALL {
        let (unit, factor) = match kind.unit() {
            Unit::Percent => ("%", 1.0),
            Unit::Points => ("points", 1.0),
            Unit::Minutes => ("hours", 60.0),
            Unit::Days => ("days", 1.0),
            Unit::Count(what) => (what, 1.0),
        };
        let row = format!("routes:\n  - {{ kind: {kind}, at_least: 1000000 {unit}, severity: 1 }}\n");
        let text = SHIPPED.replacen("routes:\n", &row, 1);
        assert_eq!(Table::parse(&text).expect("a table").routes[0].at_least, Some(1e6 * factor), "{kind}");
    }
}
