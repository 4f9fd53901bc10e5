//! What a team relies on in an account that the shipped file has made, as its services: who reads and makes what, who gets in from
//! where, what is loaded once, and which warehouse stands still when its credits are used up.

use std::net::IpAddr;

use serde_json::{Value, json};
use sluice_snowflake::pipe::FileStatus;
use uuid::Uuid;

use crate::{
    earlier::{SHIPPED, desired, provision},
    snowpipe::rate,
    support::{Answer, Warehouse, private_key, public_key, sources, table_id, token_of},
};

/// An account as the file says it for an environment, with a key for each service and a user for each role of people.
pub(crate) async fn account(environment: &str) -> Warehouse {
    account_of(SHIPPED, environment).await
}

/// The same of another file.
pub(crate) async fn account_of(yaml: &str, environment: &str) -> Warehouse {
    let warehouse = Warehouse::empty().await;
    let yaml = yaml.replace(
        "  prod: { loading: 40,",
        "  prod: { operators: [127.0.0.9/32], dbt: [127.0.0.2/32], lightdash: [127.0.0.3/32], loading: 40,",
    );
    let wanted = desired(&yaml, environment);
    let applied = provision(&warehouse, &wanted).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    assert!(applied.left.is_empty(), "{}", applied.left.to_text());
    let again = provision(&warehouse, &wanted).await.expect("a second plan");
    assert_eq!(again.statements, 0, "the second plan is empty");
    let key = public_key();
    for user in ["SLUICE_LOADER", "SVC_DBT", "SVC_LIGHTDASH", "SVC_REPORT"] {
        warehouse.admin(&format!("ALTER USER {user} SET RSA_PUBLIC_KEY = '{key}' DEFAULT_SECONDARY_ROLES = ()")).await;
    }
    for (user, role) in [("ANNA", "ANALYTICS_DEVELOPER"), ("BEN", "ANALYTICS_REPORTER")] {
        warehouse
            .admin(&format!("CREATE USER {user} TYPE = PERSON RSA_PUBLIC_KEY = '{key}' DEFAULT_ROLE = {role}"))
            .await;
        warehouse.admin(&format!("GRANT ROLE {role} TO USER {user}")).await;
    }
    warehouse.play("standard", true).await;
    warehouse
}

/// The code of a refusal, or that it was done.
pub(crate) async fn code(warehouse: &Warehouse, user: &str, role: &str, in_warehouse: &str, statement: &str) -> String {
    let body = json!({"statement": statement, "role": role, "warehouse": in_warehouse});
    let (status, body) = warehouse.post("/api/v2/statements", &token_of(user, &private_key()), body).await;
    if status == 200 { "done".to_owned() } else { body["code"].as_str().unwrap_or_default().to_owned() }
}

#[tokio::test]
async fn a_raw_table_made_later_is_read_by_transformers_and_not_by_reporters() {
    let warehouse = account("local").await;
    let mut schemas: Vec<(String, String)> =
        sources().tables.iter().map(|table| (table.table.database.clone(), table.table.schema.clone())).collect();
    schemas.sort();
    schemas.dedup();
    assert!(schemas.len() >= 4, "{schemas:?}");
    for (database, schema) in schemas {
        let table = format!("{database}.{schema}.MADE_LATER");
        let make = format!("CREATE TABLE IF NOT EXISTS {table} (A VARCHAR)");
        assert_eq!(code(&warehouse, "sluice_loader", "SLUICE_LOADER", "LOADING", &make).await, "done", "{table}");
        let select = format!("SELECT A FROM {table}");
        for (user, role, compute, answer) in [
            ("svc_dbt", "SVC_DBT", "TRANSFORMING", "done"),
            ("anna", "ANALYTICS_DEVELOPER", "DEVELOPER", "done"),
            ("ben", "ANALYTICS_REPORTER", "REPORTING", "002003"),
            ("svc_lightdash", "SVC_LIGHTDASH", "REPORTING", "002003"),
            ("svc_report", "SVC_REPORT", "REPORTING", "002003"),
        ] {
            assert_eq!(code(&warehouse, user, role, compute, &select).await, answer, "{role} {table}");
        }
    }
}

#[tokio::test]
async fn what_dbt_makes_is_read_by_developers_and_by_reporters_in_reporting() {
    let warehouse = account("dev").await;
    let dbt = async |statement: &str| code(&warehouse, "svc_dbt", "SVC_DBT", "TRANSFORMING", statement).await;
    for statement in [
        "CREATE SCHEMA ANALYTICS.CI_PR_7_MARTS",
        "CREATE TABLE IF NOT EXISTS ANALYTICS.CI_PR_7_MARTS.T (A VARCHAR)",
        "CREATE TABLE IF NOT EXISTS ANALYTICS.STAGING.T (A VARCHAR)",
        "CREATE TABLE IF NOT EXISTS ANALYTICS.INTERMEDIATE.T (A VARCHAR)",
        "CREATE TABLE IF NOT EXISTS ANALYTICS.MARTS.T (A VARCHAR)",
        "CREATE TABLE IF NOT EXISTS ANALYTICS.REPORTING.T (A VARCHAR)",
        "INSERT INTO ANALYTICS.REPORTING.T (A) VALUES ('x')",
        "SELECT STATUS FROM ADMIN.OBSERVABILITY.LOADS",
    ] {
        assert_eq!(dbt(statement).await, "done", "{statement}");
    }
    for statement in [
        "CREATE DATABASE MINE",
        "CREATE SCHEMA DLT.MINE",
        "CREATE TABLE IF NOT EXISTS DLT.APPLICATION_DATA.MINE (A VARCHAR)",
        "INSERT INTO DLT.APPLICATION_DATA.PRODUCTS (PRODUCT_NAME) VALUES ('x')",
        "DELETE FROM ADMIN.OBSERVABILITY.LOADS WHERE STATUS = 'loaded'",
        "CREATE TABLE IF NOT EXISTS ADMIN.OBSERVABILITY.MINE (A VARCHAR)",
    ] {
        assert_ne!(dbt(statement).await, "done", "{statement}");
    }
    for schema in ["CI_PR_7_MARTS", "STAGING", "INTERMEDIATE", "MARTS", "REPORTING"] {
        let select = format!("SELECT A FROM ANALYTICS.{schema}.T");
        let read = async |user: &str, role: &str, compute: &str| code(&warehouse, user, role, compute, &select).await;
        assert_eq!(read("anna", "ANALYTICS_DEVELOPER", "DEVELOPER").await, "done", "{schema}");
        // `sluice query` and `sluice why` ask as the functions do.
        assert_eq!(read("sluice_loader", "SLUICE_LOADER", "LOADING").await, "done", "{schema}");
        let published = if schema == "REPORTING" { "done" } else { "002003" };
        for (user, role) in
            [("ben", "ANALYTICS_REPORTER"), ("svc_lightdash", "SVC_LIGHTDASH"), ("svc_report", "SVC_REPORT")]
        {
            assert_eq!(read(user, role, "REPORTING").await, published, "{role} {schema}");
        }
    }
    let insert = "INSERT INTO ANALYTICS.REPORTING.T (A) VALUES ('y')";
    assert_eq!(code(&warehouse, "ben", "ANALYTICS_REPORTER", "REPORTING", insert).await, "003001");
    assert_eq!(code(&warehouse, "sluice_loader", "SLUICE_LOADER", "LOADING", insert).await, "003001");
}

#[tokio::test]
async fn a_service_logs_in_from_its_own_or_an_operators_address_by_its_key() {
    let warehouse = account("prod").await;
    let from = async |user: &str, address: &str| {
        let address: IpAddr = address.parse().expect("an address");
        let client = reqwest::Client::builder().user_agent("test/1").local_address(address).build().expect("a client");
        let request = client.post(format!("{}/api/v2/statements", warehouse.url)).header("accept", "*/*");
        let request = request.bearer_auth(token_of(user, &private_key()));
        let answer = request.json(&json!({"statement": "SELECT CURRENT_ROLE() AS A"})).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        if status == 200 { "in".to_owned() } else { body["code"].as_str().unwrap_or_default().to_owned() }
    };
    for (user, own) in [
        ("sluice_loader", ["127.0.0.1", "127.0.0.9"]),
        ("svc_report", ["127.0.0.1", "127.0.0.9"]),
        ("svc_dbt", ["127.0.0.2", "127.0.0.9"]),
        ("svc_lightdash", ["127.0.0.3", "127.0.0.9"]),
    ] {
        for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.9", "127.0.0.77"] {
            let answer = if own.contains(&address) { "in" } else { "390422" };
            assert_eq!(from(user, address).await, answer, "{user} from {address}");
        }
        let password = format!("ALTER USER {user} SET PASSWORD = 'secret'");
        assert_ne!(warehouse.ask("admin", "ACCOUNTADMIN", &password).await.status, 200, "{user} is a service");
    }
    let policies = warehouse.admin("SHOW AUTHENTICATION POLICIES IN ACCOUNT").await.cells(&["name"]);
    assert_eq!(policies, ["SERVICES"], "by key pair alone");
}

#[tokio::test]
async fn the_lakes_integration_reads_the_lake_and_nothing_beside_it() {
    let warehouse = account("local").await;
    let stage = async |url: &str| {
        let create = format!("CREATE STAGE ADMIN.OBSERVABILITY.MORE URL = '{url}' STORAGE_INTEGRATION = SLUICE_LAKE");
        warehouse.ask("admin", "ACCOUNTADMIN", &create).await.status
    };
    for elsewhere in ["s3://another-lake/", "s3://test-lake-2/", "s3://other/test-lake/"] {
        assert_eq!(stage(elsewhere).await, 422, "{elsewhere}");
    }
    let properties: Answer = warehouse.admin("DESC INTEGRATION SLUICE_LAKE").await;
    assert_eq!(properties.property("STORAGE_ALLOWED_LOCATIONS"), "s3://test-lake/");
    assert_eq!(properties.property("STORAGE_AWS_EXTERNAL_ID"), "ours");
    for (user, role, compute) in [
        ("svc_dbt", "SVC_DBT", "TRANSFORMING"),
        ("anna", "ANALYTICS_DEVELOPER", "DEVELOPER"),
        ("ben", "ANALYTICS_REPORTER", "REPORTING"),
    ] {
        let create = "CREATE STAGE ANALYTICS_DEV.PUBLIC.MINE URL = 's3://test-lake/' STORAGE_INTEGRATION = SLUICE_LAKE";
        assert_ne!(code(&warehouse, user, role, compute, create).await, "done", "{role}");
    }
}

#[tokio::test]
async fn a_file_is_queryable_once_and_one_that_cannot_be_read_is_reported() {
    let warehouse = account("local").await;
    let name = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
    warehouse.put("raw/rates/good.parquet", &rate("EUR"));
    warehouse.put_object("raw/rates/bad.parquet", b"no parquet".to_vec());
    let (pipe, table) = (warehouse.snowpipe_of("sluice_loader"), table_id(name));
    let file = |path: &str| sluice_core::DataFile {
        path: path.into(),
        rows: 1,
        bytes: 1,
        checksum: "x".into(),
        values: Vec::new(),
    };
    for _ in 0..2 {
        let files = [file("raw/rates/good.parquet"), file("raw/rates/bad.parquet")];
        pipe.insert_files(&table, &files, Uuid::new_v4()).await.expect("queued");
        // Answered after what was queued before it.
        warehouse.admin("SELECT 1 AS A").await;
    }
    let report = pipe.insert_report(&table, None).await.expect("a report");
    let of = |path: &'static str| report.files.iter().filter(move |file| file.path.ends_with(path));
    assert!(of("good.parquet").all(|file| file.status == FileStatus::Loaded), "{report:?}");
    assert!(of("bad.parquet").count() > 0 && of("bad.parquet").all(|file| file.first_error.is_some()), "{report:?}");
    let count = "SELECT TARGET_CURRENCY FROM SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
    let body = json!({"statement": count, "role": "SVC_DBT", "warehouse": "TRANSFORMING"});
    let (status, body) = warehouse.post("/api/v2/statements", &token_of("svc_dbt", &private_key()), body).await;
    assert_eq!((status, &body["data"]), (200, &json!([["EUR"]])), "dbt sees it, once");
}

#[tokio::test]
async fn a_purpose_that_has_used_its_credits_stands_still_alone() {
    let warehouse = account("local").await;
    let reads =
        async |user: &str, role: &str, compute: &str, select: &str| code(&warehouse, user, role, compute, select).await;
    let dbt = "CREATE TABLE IF NOT EXISTS ANALYTICS.REPORTING.T (A VARCHAR)";
    assert_eq!(code(&warehouse, "svc_dbt", "SVC_DBT", "TRANSFORMING", dbt).await, "done");
    let purposes = ["LOADING", "TRANSFORMING", "REPORTING", "PEOPLE"];
    for used_up in purposes {
        warehouse.play_with("standard", true, json!({used_up: 1_000})).await;
        let products = "SELECT PRODUCT_NAME FROM DLT.APPLICATION_DATA.PRODUCTS";
        let answers = [
            reads("sluice_loader", "SLUICE_LOADER", "LOADING", products).await,
            reads("svc_dbt", "SVC_DBT", "TRANSFORMING", products).await,
            reads("svc_lightdash", "SVC_LIGHTDASH", "REPORTING", "SELECT A FROM ANALYTICS.REPORTING.T").await,
            reads("anna", "ANALYTICS_DEVELOPER", "DEVELOPER", products).await,
        ];
        let expected = purposes.map(|purpose| if purpose == used_up { "090073" } else { "done" });
        assert_eq!(answers, expected, "{used_up} is used up");
    }
}
