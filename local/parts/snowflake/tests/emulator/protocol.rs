//! The SQL API's promises and traps.

use serde_json::json;
use sluice_core::port::Statements;
use sluice_pipeline::stream::Channels;
use uuid::Uuid;

use crate::support::{Warehouse, token};

const PATH: &str = "/api/v2/statements";
const POSITIONS: &str = "SELECT LAKE_ID FROM ADMIN.OBSERVABILITY.LOADS";

/// A change whose every run can be counted.
const INSERT: &str = "INSERT INTO ADMIN.OBSERVABILITY.DBT_RUNS (NUMBER) VALUES (1)";
const RUNS: &str = "SELECT count(*) FROM ADMIN__OBSERVABILITY.DBT_RUNS";

/// A warehouse whose ledger has one entry.
async fn with_a_load() -> Warehouse {
    let warehouse = Warehouse::founded().await;
    let rates = warehouse.commit("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", 1, 0, "SELECT 1 AS x");
    warehouse.run(&sluice_snowflake::sql::ledger::submit(&rates)).await.expect("an entry");
    warehouse
}

#[tokio::test]
async fn a_request_without_what_it_must_have_is_refused() {
    let warehouse = Warehouse::founded().await;
    let (status, body) = warehouse.post(PATH, "nonsense", json!({"statement": POSITIONS})).await;
    assert_eq!((status, body["code"].as_str()), (401, Some("390144")));
    let (status, body) = warehouse.post(PATH, &token(), json!({"nothing": 1})).await;
    assert_eq!((status, body["code"].as_str()), (400, Some("390142")));

    let plain = reqwest::Client::new();
    let send = async |accept: Option<&str>, agent: Option<&str>, media: &str| {
        let mut request =
            plain.post(format!("{}{PATH}", warehouse.url)).bearer_auth(token()).header("content-type", media);
        for (name, value) in [("accept", accept), ("user-agent", agent)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let answer = request.body(json!({"statement": POSITIONS}).to_string()).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.expect("json");
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(send(Some("*/*"), None, "application/json").await, (400, "391903".into()));
    assert_eq!(send(Some("*/*"), Some("x/1"), "text/plain").await.0, 415);
    assert_eq!(send(Some("*/*"), Some("x/1"), "application/json").await, (200, "090001".into()));
}

#[tokio::test]
async fn an_answer_has_its_types_and_a_change_its_count() {
    let warehouse = with_a_load().await;
    let (_, body) = warehouse.post(PATH, &token(), json!({"statement": POSITIONS})).await;
    assert_eq!(body["resultSetMetaData"]["rowType"][0]["name"], "LAKE_ID");
    assert_eq!(body["resultSetMetaData"]["rowType"][0]["type"], "text");
    assert_eq!(body["resultSetMetaData"]["numRows"], 1);
    assert_eq!(body["data"][0][0], "test");
    let (_, body) = warehouse.post(PATH, &token(), json!({"statement": INSERT})).await;
    assert_eq!(body["resultSetMetaData"]["rowType"][0]["name"], "number of rows inserted");
    assert_eq!(body["data"][0][0], "1");
}

#[tokio::test]
async fn whatever_else_is_asked_is_unsupported_in_words_that_clients_show() {
    let warehouse = Warehouse::founded().await;
    for path in ["/api/v2/databases", "/v1/data/pipes/X/loadHistoryScan", "/nowhere"] {
        let (status, body) = warehouse.post(path, &token(), json!({})).await;
        assert_eq!((status, body["code"].as_str(), body["sqlState"].as_str()), (404, Some("000002"), Some("0A000")));
        assert!(body["message"].as_str().is_some_and(|text| text.contains(path)), "{body}");
    }
    // The drivers read an error in a 200 only.
    let (status, body) = warehouse.post("/session/v1/login-request?request_id=1", &token(), json!({"data": {}})).await;
    assert_eq!(
        (status, body["success"].as_bool(), body["code"].as_str()),
        (200, Some(false), Some("000002")),
        "{body}"
    );
    assert!(body["message"].as_str().is_some_and(|text| text.contains("unsupported")), "{body}");
    let (status, body) = warehouse.post(PATH, &token(), json!({"statement": "SHOW FUNCTIONS"})).await;
    assert_eq!((status, body["code"].as_str(), body["sqlState"].as_str()), (422, Some("000002"), Some("0A000")));
}

#[tokio::test]
async fn a_statement_answered_202_is_polled_to_its_end() {
    let warehouse = with_a_load().await;
    warehouse.order(PATH, 1, json!({"fault": "accepted"})).await;
    assert_eq!(warehouse.run(POSITIONS).await.expect("rows").len(), 1);
    warehouse.order(PATH, 1, json!({"fault": "accepted"})).await;
    let error = warehouse.run("SELECT NOPE FROM ADMIN.OBSERVABILITY.LOADS").await.expect_err("a failure");
    assert!(format!("{error:?}").contains("000904"), "{error:?}");

    let (status, body) = warehouse.post(&format!("{PATH}?async=true"), &token(), json!({"statement": POSITIONS})).await;
    assert_eq!(status, 202, "{body}");
}

#[tokio::test]
async fn a_lost_answer_is_given_again_and_the_statement_not_run_again() {
    let warehouse = Warehouse::founded().await;
    warehouse.order(PATH, 1, json!({"fault": "lost_answer"})).await;
    warehouse.run(INSERT).await.expect("an answer");
    assert_eq!(warehouse.column(RUNS).await, ["1"]);

    let path = format!("{PATH}?requestId={}&retry=false", Uuid::new_v4());
    for _ in 0..2 {
        assert_eq!(warehouse.post(&path, &token(), json!({"statement": INSERT})).await.0, 200);
    }
    assert_eq!(warehouse.column(RUNS).await, ["3"], "without retry=true a request id guards nothing");
}

#[tokio::test]
async fn faults_on_order_are_retried_by_the_client() {
    let warehouse = Warehouse::founded().await;
    warehouse.order(PATH, 1, json!({"fault": "status", "status": 429})).await;
    warehouse.order(PATH, 1, json!({"fault": "status", "status": 503})).await;
    let rows = warehouse.sql().execute(INSERT, Uuid::new_v4(), "test").await;
    assert_eq!(rows.expect("an answer").len(), 1);
    assert_eq!(warehouse.column(RUNS).await, ["1"]);
}

#[tokio::test]
async fn a_long_answer_comes_in_partitions() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let opened = streaming.open(&crate::streaming::channel("c")).await.expect("a channel");
    crate::streaming::append(&streaming, &opened.continuation, &crate::streaming::rows(0..=24_999), 0, 24_999).await;
    crate::streaming::committed(&streaming, 24_999).await;
    let rows = warehouse.run("SELECT _KAFKA_OFFSET FROM STREAMING.PUBLIC.PURCHASES ORDER BY _KAFKA_OFFSET").await;
    let rows = rows.expect("three partitions");
    assert_eq!(rows.len(), 25_000);
    assert_eq!(rows[24_999]["_kafka_offset"].as_deref(), Some("24999"));
}

#[tokio::test]
async fn a_statement_that_waits_can_be_cancelled() {
    let warehouse = Warehouse::founded().await;
    warehouse.emulator.release_file().await.expect("released");
    let (status, body) = warehouse.post(PATH, &token(), json!({"statement": INSERT})).await;
    assert_eq!((status, body["code"].as_str()), (202, Some("333334")));
    let handle = body["statementHandle"].as_str().expect("a handle");
    let (status, body) = warehouse.post(&format!("{PATH}/{handle}/cancel"), &token(), json!({})).await;
    assert_eq!((status, body["code"].as_str()), (200, Some("000604")));
    warehouse.emulator.take_back().await.expect("taken back");
    assert_eq!(warehouse.column(RUNS).await, ["0"]);
    let (status, _) = warehouse.post(&format!("{PATH}/{}/cancel", Uuid::new_v4()), &token(), json!({})).await;
    assert_eq!(status, 404);
}
