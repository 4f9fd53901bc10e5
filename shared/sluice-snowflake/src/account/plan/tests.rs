//! How a plan is shown.

use crate::account::{
    file::tests::{EVERY_FIELD, parsed},
    plan::{Allowed, plan},
    state::State,
};

#[test]
fn a_plan_reads_as_people_read_one() {
    let desired = parsed(EVERY_FIELD).unwrap_or_else(|error| panic!("{error}"));
    let plan = plan(&desired, &State::default(), &Allowed::default());
    let text = plan.to_text();
    assert!(text.contains("+ warehouse LOADING\n    size: SMALL\n    auto_suspend: 120\n"), "{text}");
    assert!(
        text.contains("+ usage, operate on warehouse LOADING to role ANALYSTS")
            || text.contains("operate, usage on warehouse LOADING to role ANALYSTS"),
        "{text}"
    );
    assert!(text.lines().last().is_some_and(|line| line.contains(" to add, ") && line.ends_with(".")), "{text}");
    let sql = plan.to_sql();
    assert!(sql.starts_with("USE ROLE USERADMIN;\nCREATE ROLE IF NOT EXISTS ANALYSTS;\n"), "{sql}");
    let json = plan.to_json();
    assert_eq!(json["changes"][0]["sign"], "add");
    assert!(plan.summary().contains(" differences: role ANALYSTS, "), "{}", plan.summary());
    let position = |text: &str| sql.find(text).unwrap_or_else(|| panic!("no {text} in {sql}"));
    // Grants on what will be made come before it, and what may lock somebody out comes last.
    assert!(position("ON FUTURE TABLES IN DATABASE DLT") < position("CREATE TABLE IF NOT EXISTS DLT."));
    assert!(position("ON INTEGRATION SLUICE_LAKE TO ROLE SYSADMIN") < position("CREATE STAGE"));
    assert!(position("CREATE USER IF NOT EXISTS SLUICE_LOADER") < position("SET NETWORK_POLICY = SERVICES"));
}

/// Every statement that makes the example, one snapshot for other parsers to judge.
#[test]
fn the_statements_that_make_the_example() {
    let desired = parsed(EVERY_FIELD).unwrap_or_else(|error| panic!("{error}"));
    let plan = plan(&desired, &State::default(), &Allowed::default());
    let statements: Vec<String> =
        plan.changes.iter().flat_map(|change| &change.statements).map(|statement| statement.text.clone()).collect();
    crate::sql::snapshot::check("account", &statements);
}
