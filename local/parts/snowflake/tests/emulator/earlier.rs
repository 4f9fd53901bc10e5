//! An account as earlier versions have made it is taken over by this one: nothing is lost, loads go on, and what only a person can
//! decide is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use serde_json::json;
use sluice_core::{
    Result,
    port::{Statements, SystemClock},
};
use sluice_snowflake::{
    Account, SnowflakeConfig, SqlApi,
    account::{Allowed, Applied, Applying, AsRoles, Deployment, Desired, Settings, apply},
    pipe::FileStatus,
    sql,
};
use uuid::Uuid;

use crate::{
    evolve::product,
    snowpipe::rate,
    support::{BUCKET, LAKE, OneSecret, Warehouse, sources, table_id},
};

pub(crate) const SHIPPED: &str = include_str!("../../../../../platform/warehouse.yaml");
/// What the first version sent by a command, before there was a file.
const STATEMENTS: &str = include_str!("earlier/statements.sql");
/// The first file: one resource monitor for all warehouses.
const FILE: &str = include_str!("earlier/warehouse.yaml");

const PRODUCTS: &str = "DLT.APPLICATION_DATA.PRODUCTS";
const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
const COUNT: &str = "SELECT count(*) FROM DLT__APPLICATION_DATA.PRODUCTS";

/// What a file says of the account in one of its environments.
pub(crate) fn desired(yaml: &str, environment: &str) -> Desired {
    let deployment = Deployment {
        lake: LAKE.into(),
        bucket: BUCKET.into(),
        reader_role: "arn:aws:iam::1:role/reader".into(),
        external_id: "ours".into(),
        addresses: Some("127.0.0.1".into()),
    };
    Desired::parse(yaml, &Settings::of(environment, deployment), &sources()).unwrap_or_else(|error| panic!("{error}"))
}

/// Applies it as the user who provisions.
pub(crate) async fn provision(warehouse: &Warehouse, desired: &Desired) -> Result<Applied> {
    let api = SqlApi::new(warehouse.account_of("admin"));
    let limit = Duration::from_secs(300);
    let account = AsRoles { api: &api, deadline: (Instant::now() + limit).into() };
    let until = Utc::now() + TimeDelta::seconds(300);
    let applying = Applying { run: "run-1", allowed: Allowed::default(), until, warehouse: "LOADING" };
    apply(&account, &SystemClock, desired, &applying).await
}

/// The statements of a service, with its own role and under its privileges.
pub(crate) fn as_role(warehouse: &Warehouse, role: &str) -> SqlApi<OneSecret> {
    let config = SnowflakeConfig { role: role.to_owned(), ..warehouse.config_of("loader") };
    SqlApi::new(Arc::new(Account::new(config, OneSecret, sluice_http::Client::new().expect("a client"))))
}

/// From now on privileges count, and the loader is who the file says.
async fn in_earnest(warehouse: &Warehouse) {
    for statement in [
        "GRANT ROLE SLUICE_LOADER TO USER LOADER",
        "ALTER USER LOADER SET DEFAULT_ROLE = SLUICE_LOADER DEFAULT_SECONDARY_ROLES = ()",
    ] {
        warehouse.admin(statement).await;
    }
    warehouse.play("standard", true).await;
}

/// Loads a commit as the loading role.
async fn loads(warehouse: &Warehouse, sequence: u64) {
    let commit = warehouse.commit(PRODUCTS, sequence, 1, &product(sequence, ""));
    let block = sql::load::render(&commit).expect("a block");
    let rows = as_role(warehouse, "SLUICE_LOADER").execute(&block, Uuid::new_v4(), "test").await.expect("a load");
    assert_eq!(rows[0][sql::load::RESULT_COLUMN].as_deref(), Some("loaded"));
}

/// Loads a file through the pipe.
async fn pipes(warehouse: &Warehouse, path: &str) {
    warehouse.put(path, &rate("EUR"));
    let file = sluice_core::DataFile { path: path.into(), rows: 1, bytes: 1, checksum: "x".into(), values: Vec::new() };
    let (pipe, table) = (warehouse.snowpipe(), table_id(RATES));
    pipe.insert_files(&table, &[file], Uuid::new_v4()).await.expect("queued");
    warehouse.admin("SELECT 1 AS A").await;
    let report = pipe.insert_report(&table, None).await.expect("a report");
    let loaded = report.files.iter().find(|loaded| loaded.path.ends_with(path)).expect("the file");
    assert_eq!(loaded.status, FileStatus::Loaded, "{report:?}");
}

fn blocked(applied: &Applied) -> Vec<&str> {
    applied.left.blocked.iter().map(|blocked| blocked.what.as_str()).collect()
}

#[tokio::test]
async fn an_account_of_the_first_statements_is_taken_over_and_loads_go_on() {
    let warehouse = Warehouse::empty().await;
    for statement in STATEMENTS.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        let answer = warehouse.ask("admin", "SYSADMIN", statement.trim_end_matches(';')).await;
        assert_eq!(answer.status, 200, "{statement}: {}", answer.body);
    }
    let first = warehouse.commit(PRODUCTS, 1, 1, &product(1, ""));
    assert_eq!(warehouse.load(&first).await.expect("a load"), "loaded");

    let wanted = desired(SHIPPED, "local");
    let applied = provision(&warehouse, &wanted).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.changes.is_empty(), "{}", applied.left.to_text());
    assert_eq!(blocked(&applied), [format!("pipe {RATES}_PIPE")], "only a replacement gives it the new text");
    let holding = ["database", "schema", "table", "stage", "pipe"];
    let unnamed = applied.left.unnamed.iter().filter(|what| holding.iter().any(|kind| what.starts_with(kind)));
    assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<&String>::new(), "what holds something is known");

    in_earnest(&warehouse).await;
    loads(&warehouse, 2).await;
    assert_eq!(warehouse.column(COUNT).await, ["2"], "what was there stays");
    pipes(&warehouse, "raw/rates/after.parquet").await;

    let again = provision(&warehouse, &wanted).await.expect("nothing to do");
    assert_eq!((again.statements, blocked(&again).len()), (0, 1), "{}", again.left.to_text());
}

#[tokio::test]
async fn an_account_of_the_first_file_is_taken_over_and_its_monitor_is_told() {
    let warehouse = Warehouse::empty().await;
    let earlier =
        provision(&warehouse, &desired(FILE, "local")).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(earlier.left.is_empty(), "{}", earlier.left.to_text());
    in_earnest(&warehouse).await;
    loads(&warehouse, 1).await;

    let applied =
        provision(&warehouse, &desired(SHIPPED, "local")).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
    assert!(applied.left.unnamed.contains(&"resource monitor MONTHLY".to_owned()), "{:?}", applied.left.unnamed);
    // The monitor that the file no longer names stops nothing.
    warehouse.play_with("standard", true, json!({"MONTHLY": 1_000_000})).await;
    loads(&warehouse, 2).await;
    assert_eq!(warehouse.column(COUNT).await, ["2"]);
    assert_eq!(provision(&warehouse, &desired(SHIPPED, "local")).await.expect("nothing to do").statements, 0);
}
