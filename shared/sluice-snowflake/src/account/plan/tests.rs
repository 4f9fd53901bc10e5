//! How a plan is shown.

use sluice_core::{LakeId, Sources};

use crate::account::{
    Desired, Kind, Name, Settings, Value,
    file::tests::{EVERY_FIELD, parsed, settings, sources},
    plan::{Allowed, Sign, plan},
    state::{Object, State},
};

const HOSTILE: &str = r#"
tables:
  - table: ORDER.GROUP.TABLE
    description: Names that only quoting keeps apart.
    source: { kind: exchange_rates, base: USD, first_date: 2025-01-01 }
    loader: snowpipe
    disposition: append
    columns:
      - { name: "it's \"quoted\"", type: text, required: true }
      - { name: a.b, type: "decimal(38,0)" }
      - { name: select, type: date }
      - { name: "🦀; drop table x --", type: boolean }
      - { name: 'back\slash', type: bigint }
"#;

/// The least that a file may say.
const LEAST: &str = r#"
edition: standard
environments: { dev: {} }
storage_integrations:
  SLUICE_LAKE:
    role_arn: ${lake_role_arn}
    external_id: ${lake_external_id}
    allowed_locations: ["s3://${lake_bucket}/"]
"#;

/// What the tables of these sources need, in an account that has nothing.
fn foundation(sources: &Sources, lake: &str, bucket: &str) -> Vec<String> {
    let (lake, bucket) = (LakeId(lake.to_owned()), bucket.to_owned());
    let mut settings = Settings { lake, bucket: bucket.clone(), ..settings("dev") };
    settings.values.insert("lake_bucket".to_owned(), bucket);
    let desired = Desired::parse(LEAST, &settings, sources).unwrap_or_else(|error| panic!("{error}"));
    let kinds = [Kind::Database, Kind::Schema, Kind::FileFormat, Kind::Stage, Kind::Table, Kind::Pipe];
    let plan = plan(&desired, &State::default(), &Allowed::default());
    let changes =
        plan.changes.iter().filter(|change| change.object.as_ref().is_some_and(|(kind, _)| kinds.contains(kind)));
    changes.flat_map(|change| &change.statements).map(|statement| statement.text.clone()).collect()
}

#[test]
fn the_foundation_of_the_shipped_sources_and_of_hostile_names() {
    let statements = foundation(&sources(), "sluice-local", "sluice-local-lake");
    crate::sql::snapshot::check("foundation", &statements);
    let hostile = Sources::parse(HOSTILE).expect("hostile, but valid, sources");
    let statements = foundation(&hostile, r"o'lake\", "b'; DROP STAGE x; --");
    crate::sql::snapshot::check("foundation_hostile", &statements);
}

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

#[test]
fn a_stage_that_holds_files_is_dropped_only_when_asked_about_twice() {
    let desired = parsed(EVERY_FIELD).unwrap_or_else(|error| panic!("{error}"));
    let stage = |name: &str, url: &str| {
        let mut stage = Object::default();
        stage.set("url", Some(Value::text(url)));
        ((Kind::Stage, Name::of(["ADMIN", "SECURITY", name])), stage)
    };
    let objects = [stage("INTERNAL", ""), stage("EXTERNAL", "s3://other/")].into();
    let drop = ["stage ADMIN.SECURITY.INTERNAL", "stage ADMIN.SECURITY.EXTERNAL"].map(str::to_owned).into();
    let allowed = Allowed { drop, ..Allowed::default() };
    let plan = plan(&desired, &State { objects, ..State::default() }, &allowed);
    let dropped = plan.changes.iter().filter(|change| change.sign == Sign::Remove);
    let loses: Vec<_> = dropped.map(|change| (change.what.as_str(), change.loses)).collect();
    let expected = [("stage ADMIN.SECURITY.EXTERNAL", None), ("stage ADMIN.SECURITY.INTERNAL", Some("its files"))];
    assert_eq!(loses, expected);
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
