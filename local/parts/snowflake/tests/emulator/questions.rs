//! What a person asks and does: questions in the engine's own SQL, and rows that are put aside.

use std::time::Duration;

use serde_json::json;
use sluice_core::{Kind, LakeId};
use sluice_pipeline::{
    aside::{self, Aside, Wanted},
    observe::{Answer, AnswerKind, Question},
};
use sluice_snowflake::{Observer, SnowflakeConfig, sql::ledger};
use tokio::time::Instant;

use crate::support::{OneSecret, Warehouse, sources, token};

const TIME: &str = "'2026-01-05 00:00:00'::TIMESTAMP_NTZ(6)";
const PURCHASES: &str = "STREAMING.PUBLIC.PURCHASES";

/// A warehouse with purchases of one partition, offsets 0 and 1.
async fn with_purchases() -> Warehouse {
    let warehouse = Warehouse::founded().await;
    for offset in 0..2 {
        let insert = format!(
            "INSERT INTO {PURCHASES} (EVENT_ID, CUSTOMER_EMAIL, PRODUCT_ID, QUANTITY, PURCHASE_TS, SCHEMA_VERSION, \
             _KAFKA_PARTITION, _KAFKA_OFFSET) VALUES ('e-{offset}', 'ada', 1, {offset}, {TIME}, 1, 0, {offset})"
        );
        warehouse.run(&insert).await.expect("a row");
    }
    warehouse
}

fn observer(warehouse: &Warehouse) -> Observer<OneSecret> {
    let config = SnowflakeConfig {
        account: "myorg-acct".into(),
        url: Some(warehouse.url.clone()),
        user: "loader".into(),
        role: "LOADER".into(),
        warehouse: "LOADING".into(),
        secret: "x".into(),
    };
    Observer::connect(LakeId("test".into()), config, OneSecret, sluice_http::Client::new().expect("a client"))
}

async fn ask(warehouse: &Warehouse, statement: &str) -> sluice_core::Result<Answer> {
    let question = Question { statement: statement.into(), role: None, rows: 100 };
    warehouse.sql().ask(&question, Instant::now() + Duration::from_secs(30)).await
}

fn names(answer: &Answer) -> Vec<&str> {
    answer.columns.iter().map(|column| column.name.as_str()).collect()
}

fn first(answer: &Answer) -> Vec<&str> {
    answer.rows[0].iter().map(|cell| cell.as_deref().unwrap_or("NULL")).collect()
}

#[tokio::test]
async fn a_person_asks_by_the_names_of_the_documentation() {
    let warehouse = with_purchases().await;
    let statement = "with p as (select * from streaming.public.purchases where customer_email = 'ada') \
                     select count(*) as purchases, sum(p.quantity) as \"items\", avg(quantity) > 0 as any_item from p -- all";
    let answer = ask(&warehouse, statement).await.expect("an answer");
    assert_eq!(names(&answer), ["PURCHASES", "items", "ANY_ITEM"]);
    let kinds: Vec<AnswerKind> = answer.columns.iter().map(|column| column.kind).collect();
    assert_eq!(kinds, [AnswerKind::Number, AnswerKind::Number, AnswerKind::Boolean]);
    assert_eq!(first(&answer), ["2", "1", "true"]);
    let all = ask(&warehouse, &format!("SELECT * FROM {PURCHASES} ORDER BY 1")).await.expect("an answer");
    assert_eq!(names(&all)[..2], ["EVENT_ID", "CUSTOMER_EMAIL"]);
    let shown = ask(&warehouse, "SHOW TABLES IN SCHEMA STREAMING.PUBLIC").await.expect("tables");
    assert_eq!((names(&shown)[0], first(&shown)), ("name", vec!["PURCHASES", "STREAMING", "PUBLIC"]));
    let described = ask(&warehouse, &format!("DESCRIBE TABLE {PURCHASES}")).await.expect("columns");
    assert_eq!(first(&described)[..2], ["EVENT_ID", "VARCHAR"]);
    let explained = ask(&warehouse, &format!("EXPLAIN USING TEXT SELECT 1 FROM {PURCHASES}")).await.expect("a plan");
    assert!(!explained.rows.is_empty());
    let unknown = ask(&warehouse, "SELECT * FROM A.B.C").await.expect_err("no table");
    assert!(unknown.chain().contains("does not exist"), "{unknown}");
}

#[tokio::test]
async fn no_more_rows_are_read_than_wanted() {
    let warehouse = with_purchases().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let question = Question { statement: format!("SELECT * FROM {PURCHASES}"), role: None, rows: 1 };
    let answer = warehouse.sql().ask(&question, deadline).await.expect("an answer");
    assert_eq!(answer.rows.len(), 1);
    let stranger = Question { role: Some("ACCOUNTADMIN".into()), ..question };
    assert!(warehouse.sql().ask(&stranger, deadline).await.is_err(), "a role that the user does not have");
}

#[tokio::test]
async fn a_question_changes_nothing_whoever_sends_it() {
    let warehouse = with_purchases().await;
    let refused = ask(&warehouse, &format!("DELETE FROM {PURCHASES}")).await.expect_err("a change");
    assert_eq!(refused.kind(), Kind::Config);
    // Past our own look at the statement, the engine refuses.
    for statement in [
        format!("WITH a AS (SELECT 1) DELETE FROM {PURCHASES}"),
        format!("EXPLAIN ANALYZE DELETE FROM {PURCHASES}"),
        format!("DELETE FROM {PURCHASES}"),
    ] {
        let body = json!({"statement": statement, "parameters": {"query_tag": "sluice:query"}});
        let (status, body) = warehouse.post("/api/v2/statements", &token(), body).await;
        assert_eq!(status, 422, "{statement}: {body}");
    }
    assert_eq!(warehouse.column("SELECT count(*) FROM STREAMING__PUBLIC.PURCHASES").await, ["2"]);
}

#[tokio::test]
async fn a_row_is_put_aside_once_and_taken_back_and_each_moves_its_table_on() {
    let warehouse = with_purchases().await;
    let observer = observer(&warehouse);
    let sources = sources();
    let table = sources.table(&PURCHASES.parse().expect("a name")).expect("a table");
    let position = async || {
        let rows = warehouse.run(&ledger::streaming_position(&table.table)).await.expect("a position");
        rows[0]["position"].clone().expect("a number").parse::<u64>().expect("a number")
    };
    let place = Wanted::Place { partition: 0, offset: 1 };
    let (key, rows) = aside::find(&observer, table, place).await.expect("a row");
    assert_eq!((key.text.as_str(), rows), ("e-1", 1));
    let absent = aside::find(&observer, table, Wanted::Place { partition: 0, offset: 2 }).await.expect_err("no row");
    assert_eq!(absent.kind(), Kind::NotFound);

    let before = position().await;
    assert!(observer.put_aside(&table.table, &key, "me", "it's wrong").await.expect("listed"));
    let after = position().await;
    assert!(!observer.put_aside(&table.table, &key, "you", "again").await.expect("asked"), "it is listed once");
    let listed = observer.aside(&table.table, 10).await.expect("a list");
    assert_eq!((listed.len(), &*listed[0].key, &*listed[0].by, &*listed[0].reason), (1, "e-1", "me", "it's wrong"));
    assert!(listed[0].at.is_some());
    assert_eq!(observer.asides().await.expect("counts")[PURCHASES].rows, 1);
    assert!(observer.take_back(&table.table, &key, "me", "it was right").await.expect("taken back"));
    assert!(!observer.take_back(&table.table, &key, "me", "twice").await.expect("asked"));
    assert!(observer.asides().await.expect("counts").is_empty());
    assert!(before < after && after < position().await, "dbt learns of both");
    let kept = "SELECT TAKEN_BACK_BY || TAKEN_BACK_REASON FROM ADMIN__OBSERVABILITY.PUT_ASIDE";
    assert_eq!(warehouse.column(kept).await, ["meit was right"], "nothing is deleted");
}

#[tokio::test]
async fn a_row_of_several_key_columns_is_found_and_its_table_moves_on() {
    let warehouse = Warehouse::founded().await;
    let observer = observer(&warehouse);
    let sources = sources();
    let name = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
    let table = sources.table(&name.parse().expect("a name")).expect("a table");
    let insert = format!(
        "INSERT INTO {name} (RATE_DATE, BASE_CURRENCY, TARGET_CURRENCY, RATE, RATE_KIND, SOURCE_TIMESTAMP) \
         VALUES ('2026-01-05'::DATE, 'U/SD', 'GBP', 1, 'final', {TIME})"
    );
    warehouse.run(&insert).await.expect("a row");
    let (key, rows) = aside::find(&observer, table, Wanted::Key("2026-01-05/U%2FSD/GBP/final")).await.expect("asked");
    assert_eq!(rows, 1);
    assert!(observer.put_aside(&table.table, &key, "me", "r").await.expect("listed"));
    let positions = warehouse.run(&ledger::positions()).await.expect("positions");
    assert_eq!((positions[0]["table_name"].as_deref(), positions[0]["position"].as_deref()), (Some(name), Some("1")));
}
