//! What days cost: the statements that are rendered, over synthetic views of ACCOUNT_USAGE.

use chrono::{DateTime, NaiveDate};
use serde_json::{Value, json};
use sluice_pipeline::{
    observe::CostsBy,
    watch::{Used, UsedAmount},
};
use sluice_snowflake::sql::{costs, watch};
use sluice_watch::Prices;

use crate::support::{Warehouse, table_id};

async fn show(warehouse: &Warehouse, view: &str, rows: Value) {
    let shown = warehouse.post("/_emulator/usage", "", json!({"view": view, "rows": rows})).await;
    assert_eq!(shown.0, 204, "{view}: {}", shown.1);
}

fn day(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, number).expect("a day")
}

/// A day of which the bill is 3.30 credits, and one whose bill has not arrived.
async fn used(warehouse: &Warehouse) {
    let query = |day: u32, tag: &str, user: &str, credits: f64| {
        json!({"QUERY_ID": tag, "WAREHOUSE_NAME": "LOADING", "QUERY_TAG": tag, "USER_NAME": user,
               "START_TIME": format!("2026-03-{day:02} 10:00:00"), "CREDITS_ATTRIBUTED_COMPUTE": credits})
    };
    let queries = [
        query(2, "sluice:load:A.B.C:7:run-1", "SLUICE_LOADER", 0.5),
        query(2, "sluice:dbt:42:sales", "SVC_DBT", 1.0),
        query(2, "sluice:dbt:42:dim_dates", "SVC_DBT", 0.25),
        query(2, "sluice:watch:run-9", "SLUICE_LOADER", 0.05),
        query(2, "looker", "ANN", 0.2),
        query(3, "sluice:dbt:43:sales", "SVC_DBT", 0.75),
    ];
    show(warehouse, "QUERY_ATTRIBUTION_HISTORY", json!(queries)).await;
    let hour = |day: u32, compute: f64, queries: f64| {
        json!({"START_TIME": format!("2026-03-{day:02} 10:00:00"), "WAREHOUSE_NAME": "LOADING", "CREDITS_USED": compute + 0.1,
               "CREDITS_USED_COMPUTE": compute, "CREDITS_USED_CLOUD_SERVICES": 0.1, "CREDITS_ATTRIBUTED_COMPUTE_QUERIES": queries})
    };
    show(warehouse, "WAREHOUSE_METERING_HISTORY", json!([hour(2, 2.5, 2.0), hour(3, 1.0, 0.75)])).await;
    let served = |service: &str, name: &str, credits: f64| json!({"SERVICE_TYPE": service, "NAME": name, "START_TIME": "2026-03-02 10:00:00", "CREDITS_USED": credits});
    let services = [
        served("WAREHOUSE_METERING", "LOADING", 2.6),
        served("PIPE", "EXCHANGE_RATES", 0.3),
        served("SNOWPIPE_STREAMING", "PURCHASES-STREAMING", 0.25),
    ];
    show(warehouse, "METERING_HISTORY", json!(services)).await;
    let billed = [("WAREHOUSE_METERING", 2.55), ("PIPE", 0.3), ("SNOWPIPE_STREAMING", 0.25), ("AUTO_CLUSTERING", 0.2)];
    let billed = billed.map(
        |(service, credits)| json!({"SERVICE_TYPE": service, "USAGE_DATE": "2026-03-02", "CREDITS_BILLED": credits}),
    );
    show(warehouse, "METERING_DAILY_HISTORY", json!(billed)).await;
    let stored = json!({"USAGE_DATE": "2026-03-02", "STORAGE_BYTES": 1_099_511_627_776_i64, "STAGE_BYTES": 0, "FAILSAFE_BYTES": 0});
    show(warehouse, "STORAGE_USAGE", json!([stored])).await;
}

async fn measured(warehouse: &Warehouse, minute: i64) {
    let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minute);
    let statement = costs::measure(day(1), day(4), &Prices::default(), at);
    warehouse.run(&statement).await.expect("measured");
}

async fn by(warehouse: &Warehouse, by: CostsBy) -> Vec<String> {
    let rows = warehouse.run(&costs::by(day(1), by, 20)).await.expect("an answer");
    let number = |text: &Option<String>| text.as_ref().map_or(0.0, |text| text.parse::<f64>().expect("a number"));
    rows.iter()
        .map(|row| format!("{} {:.2}", row["grouped"].clone().unwrap_or_default(), number(&row["credits"])))
        .collect()
}

#[tokio::test]
async fn the_parts_of_a_day_and_the_remainder_are_the_bill() {
    let warehouse = Warehouse::founded().await;
    used(&warehouse).await;
    // A second measure replaces the first.
    measured(&warehouse, 1).await;
    measured(&warehouse, 2).await;
    let sum = "SELECT printf('%.2f', SUM(CREDITS)) FROM ADMIN__OBSERVABILITY.COSTS WHERE DAY = '2026-03-02' \
               AND MEASURED_AT = (SELECT MAX(MEASURED_AT) FROM ADMIN__OBSERVABILITY.COSTS)";
    assert_eq!(warehouse.column(sum).await, ["3.30"]);
    let parts = by(&warehouse, CostsBy::Part).await;
    assert_eq!(parts[0], "queries 2.75");
    for part in ["idle 0.75", "serverless 0.55", "cloud services 0.20", "storage 0.00"] {
        assert!(parts.contains(&part.to_owned()), "{part}: {parts:?}");
    }
    // 3.30 billed, of which 2.00 for queries, 0.50 idle, 0.10 of cloud services and 0.55 served; the next day has no bill yet.
    assert!(parts.contains(&"remainder 0.15".to_owned()), "{parts:?}");
    let estimate = warehouse.run(&costs::estimated(day(1))).await.expect("an answer");
    assert_eq!(estimate[0]["day"].as_deref(), Some("2026-03-02"));
}

#[tokio::test]
async fn a_query_is_told_by_run_model_user_and_work() {
    let warehouse = Warehouse::founded().await;
    used(&warehouse).await;
    measured(&warehouse, 1).await;
    assert_eq!(by(&warehouse, CostsBy::Model).await, ["sales 1.75", "A.B.C 0.50", "dim_dates 0.25"]);
    assert_eq!(by(&warehouse, CostsBy::Run).await, ["42 1.25", "43 0.75", "run-1 0.50", "run-9 0.05"]);
    assert_eq!(by(&warehouse, CostsBy::User).await, ["SVC_DBT 2.00", "SLUICE_LOADER 0.55", "ANN 0.20"]);
    assert_eq!(by(&warehouse, CostsBy::Work).await, ["dbt 2.00", "load 0.50", "looker 0.20", "watch 0.05"]);
}

#[tokio::test]
async fn what_is_used_beside_the_warehouse_has_dollars_and_no_credits() {
    let warehouse = Warehouse::founded().await;
    let amount = UsedAmount::Invocations { requests: 1e6, gigabyte_seconds: 1e6, is_arm: true };
    let used = [Used { day: day(2), object: "sluice-ExtractPostgres".into(), amount }];
    for statement in costs::keep(&used, &Prices::default(), DateTime::UNIX_EPOCH) {
        warehouse.run(&statement).await.expect("kept");
    }
    let rows = warehouse.run(&costs::by_day(day(1))).await.expect("an answer");
    assert_eq!((rows[0]["object"].as_deref(), rows[0]["credits"].clone()), (Some("sluice-ExtractPostgres"), None));
    let dollars: f64 = rows[0]["dollars"].as_deref().expect("dollars").parse().expect("a number");
    assert!((dollars - 13.53).abs() < 1e-6, "{dollars}");
}

#[tokio::test]
async fn usage_is_read_with_its_role_alone_and_changed_by_nobody() {
    let warehouse = Warehouse::founded().await;
    warehouse.play("enterprise", true).await;
    let read = "SELECT COUNT(*) AS N FROM SNOWFLAKE.ACCOUNT_USAGE.STORAGE_USAGE";
    let change = "INSERT INTO SNOWFLAKE.ACCOUNT_USAGE.STORAGE_USAGE (STORAGE_BYTES) SELECT 1";
    warehouse.admin("CREATE WAREHOUSE IF NOT EXISTS LOADING").await;
    warehouse.admin(read).await;
    assert_eq!(warehouse.ask("admin", "ACCOUNTADMIN", change).await.refusal().0, "003001");
    warehouse.admin("CREATE ROLE USAGE_READER").await;
    warehouse.admin("GRANT USAGE ON WAREHOUSE LOADING TO ROLE USAGE_READER").await;
    warehouse.admin("GRANT ROLE USAGE_READER TO USER LOADER").await;
    assert_eq!(warehouse.ask("loader", "USAGE_READER", read).await.refusal().0, "002003");
    let give = "GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER TO ROLE USAGE_READER";
    warehouse.admin("GRANT ROLE SECURITYADMIN TO USER LOADER").await;
    assert_eq!(warehouse.ask("loader", "SECURITYADMIN", give).await.refusal().0, "003001");
    warehouse.admin(give).await;
    assert_eq!(warehouse.ask("loader", "USAGE_READER", read).await.status, 200);
}

#[tokio::test]
async fn a_topics_partitions_are_counted_without_rows_of_a_replay() {
    let warehouse = Warehouse::founded().await;
    let insert = |partition: u64, offset: u64, run: &str, minute: u64| {
        format!(
            "INSERT INTO STREAMING__PUBLIC.PURCHASES (_KAFKA_PARTITION, _KAFKA_OFFSET, _SLUICE_RUN_ID, _SLUICE_LOADED_AT, \
             _KAFKA_TIMESTAMP) VALUES ({partition}, {offset}, '{run}', '2026-03-02 10:{minute:02}:00', '2026-03-02 10:00:00')"
        )
    };
    warehouse.emulator.release_file().await.expect("given away");
    {
        let conn = duckdb::Connection::open(warehouse.database()).expect("the file");
        let nullable = "SELECT 'ALTER TABLE STREAMING__PUBLIC.PURCHASES ALTER ' || column_name || ' DROP NOT NULL' \
                        FROM duckdb_columns() WHERE table_name = 'PURCHASES' AND schema_name = 'STREAMING__PUBLIC' AND NOT is_nullable";
        let drops: Vec<String> = conn
            .prepare(nullable)
            .and_then(|mut found| found.query_map([], |row| row.get(0))?.collect())
            .expect("columns");
        for drop in drops {
            conn.execute_batch(&drop).expect("nullable");
        }
        for row in
            [insert(0, 5, "c/1", 3), insert(0, 9, "c/1", 5), insert(1, 2, "c/replay-1", 5), insert(1, 1, "c/1", 1)]
        {
            conn.execute_batch(&row).expect("a row");
        }
    }
    warehouse.emulator.take_back().await.expect("taken back");
    let since = "2026-03-02".parse().expect("a day");
    let mut rows =
        warehouse.run(&watch::partitions(&table_id("STREAMING.PUBLIC.PURCHASES"), since)).await.expect("rows");
    rows.sort_by_key(|row| row["topic_partition"].clone());
    let cell = |at: usize, name: &str| rows[at][name].clone().unwrap_or_default();
    assert_eq!(rows.len(), 2);
    assert_eq!((cell(0, "row_count"), cell(0, "newest_offset")), ("2".to_owned(), "9".to_owned()));
    assert_eq!((cell(1, "row_count"), cell(1, "newest_offset")), ("1".to_owned(), "1".to_owned()));
}
