//! Files through a pipe.

use sluice_core::DataFile;
use sluice_snowflake::{pipe::FileStatus, sql::ledger};
use uuid::Uuid;

use crate::support::{Warehouse, table_id};

const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
const COUNT: &str = "SELECT count(*) FROM SNOWPIPE__OPEN_EXCHANGE_RATES.EXCHANGE_RATES";

fn rate(code: &str) -> String {
    format!(
        "SELECT DATE '2026-01-01' AS rate_date, 'USD' AS base_currency, '{code}' AS target_currency, \
         0.5::DECIMAL(18,10) AS rate, 'final' AS rate_kind, TIMESTAMP '2026-01-02' AS source_timestamp, \
         'run' AS _sluice_run_id, 7::BIGINT AS _sluice_sequence"
    )
}

fn file(path: &str) -> DataFile {
    DataFile { path: path.into(), rows: 1, bytes: 1, checksum: "x".into() }
}

#[tokio::test]
async fn a_file_is_loaded_once_with_its_origin_and_reported() {
    let mut warehouse = Warehouse::founded().await;
    warehouse.put("raw/rates/a.parquet", &rate("EUR"));
    let (pipe, table) = (warehouse.snowpipe(), table_id(RATES));
    for _ in 0..2 {
        pipe.insert_files(&table, &[file("raw/rates/a.parquet")], Uuid::new_v4()).await.expect("queued");
    }
    let row = "SELECT concat_ws(' ', TARGET_CURRENCY, RATE, _SLUICE_RUN_ID, _SLUICE_SEQUENCE, _SLUICE_SOURCE_FILE, \
               _SLUICE_ROW_NUMBER, _SLUICE_LOADED_AT IS NOT NULL) FROM SNOWPIPE__OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
    assert_eq!(warehouse.column(row).await, ["EUR 0.5000000000 run 7 raw/rates/a.parquet 1 true"]);

    let report = pipe.insert_report(&table, None).await.expect("a report");
    assert_eq!((report.files.len(), report.files[0].status), (1, FileStatus::Loaded));
    assert_eq!((report.files[0].rows_inserted, report.files[0].complete), (1, true));
    let after = pipe.insert_report(&table, report.next_begin_mark.as_deref()).await.expect("a report");
    assert!(after.files.is_empty());

    let history = warehouse.run(&ledger::copy_history(&table)).await.expect("a history");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["status"].as_deref(), Some("Loaded"));
    assert_eq!(history[0]["row_count"].as_deref(), Some("1"));

    warehouse.restart().await;
    let pipe = warehouse.snowpipe();
    warehouse.put("raw/rates/b.parquet", &rate("GBP"));
    let both = [file("raw/rates/a.parquet"), file("raw/rates/b.parquet")];
    pipe.insert_files(&table, &both, Uuid::new_v4()).await.expect("queued");
    assert_eq!(warehouse.column(COUNT).await, ["2"]);
}

#[tokio::test]
async fn a_file_that_fails_is_reported_and_may_be_named_again() {
    let warehouse = Warehouse::founded().await;
    let (pipe, table) = (warehouse.snowpipe(), table_id(RATES));
    pipe.insert_files(&table, &[file("raw/rates/a.parquet")], Uuid::new_v4()).await.expect("queued");
    assert_eq!(warehouse.column(COUNT).await, ["0"]);
    let report = pipe.insert_report(&table, None).await.expect("a report");
    assert_eq!(report.files[0].status, FileStatus::Failed);
    assert!(report.files[0].first_error.as_deref().is_some_and(|error| error.contains("not found")));

    warehouse.put("raw/rates/a.parquet", &rate("EUR"));
    pipe.insert_files(&table, &[file("raw/rates/a.parquet")], Uuid::new_v4()).await.expect("queued");
    assert_eq!(warehouse.column(COUNT).await, ["1"]);
}

#[tokio::test]
async fn an_unknown_pipe_is_not_found() {
    let warehouse = Warehouse::founded().await;
    let error = warehouse.snowpipe().insert_report(&table_id("A.B.C"), None).await.expect_err("no pipe");
    assert_eq!(error.kind(), sluice_core::Kind::NotFound);
}
