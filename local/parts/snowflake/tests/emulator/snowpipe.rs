//! Files through a pipe.

use sluice_core::DataFile;
use sluice_snowflake::{pipe::FileStatus, sql::ledger};
use uuid::Uuid;

use crate::support::{Warehouse, foundation, sources, table_id};

const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
const COUNT: &str = "SELECT count(*) FROM SNOWPIPE__OPEN_EXCHANGE_RATES.EXCHANGE_RATES";

pub(crate) fn rate(code: &str) -> String {
    format!(
        "SELECT DATE '2026-01-01' AS rate_date, 'USD' AS base_currency, '{code}' AS target_currency, \
         0.5::DECIMAL(18,10) AS rate, 'final' AS rate_kind, TIMESTAMP '2026-01-02' AS source_timestamp, \
         'run' AS _sluice_run_id, 7::BIGINT AS _sluice_sequence"
    )
}

fn file(path: &str) -> DataFile {
    DataFile { path: path.into(), rows: 1, bytes: 1, checksum: "x".into(), values: Vec::new() }
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

/// The account's clock is eight hours behind UTC.
#[tokio::test]
async fn a_pipes_rows_have_their_time_in_utc_before_and_after_confirmation() {
    a_pipes_rows_are_confirmed("METADATA$FILE_LAST_MODIFIED", "0").await;
}

#[tokio::test]
async fn rows_of_an_earlier_versions_pipe_have_their_time_in_utc_once_confirmed() {
    a_pipes_rows_are_confirmed("METADATA$START_SCAN_TIME", "8").await;
}

async fn a_pipes_rows_are_confirmed(noted: &str, hours_behind: &str) {
    let warehouse = Warehouse::empty().await;
    for statement in foundation(&sources()).await {
        let statement = statement.replace("METADATA$FILE_LAST_MODIFIED", noted);
        warehouse.run(&statement).await.expect("a statement of the foundation");
    }
    let warehouse = warehouse.found(&sources()).await;
    let commit = warehouse.commit(RATES, 7, 1, &rate("EUR"));
    let commit = sluice_core::Commit { run_id: sluice_core::RunId("run".into()), ..commit };
    warehouse.run(&ledger::submit(&commit)).await.expect("submitted");
    warehouse.snowpipe().insert_files(&table_id(RATES), &commit.files, Uuid::new_v4()).await.expect("queued");
    let hours = "SELECT round(date_diff('minute', _SLUICE_LOADED_AT, now() AT TIME ZONE 'UTC') / 60.0)::BIGINT \
                 FROM SNOWPIPE__OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
    assert_eq!(warehouse.column(hours).await, [hours_behind]);
    warehouse.run(&ledger::confirm(&commit, 1)).await.expect("confirmed");
    assert_eq!(warehouse.column(hours).await, ["0"]);
    let entry = warehouse.run(&ledger::entry(&commit.lake_id, &commit.table, commit.sequence)).await.expect("an entry");
    assert_eq!((entry[0]["status"].as_deref(), entry[0]["rows_loaded"].as_deref()), (Some("loaded"), Some("1")));
}

#[tokio::test]
async fn an_unreadable_file_is_told_from_one_whose_values_are_refused() {
    let warehouse = Warehouse::founded().await;
    let (pipe, table) = (warehouse.snowpipe(), table_id(RATES));
    warehouse.put("raw/rates/a.parquet", &rate("EUR"));
    warehouse.put("raw/rates/b.parquet", "SELECT 1.5::DOUBLE AS rate");
    warehouse.deny_the_lake(true);
    pipe.insert_files(&table, &[file("raw/rates/a.parquet")], Uuid::new_v4()).await.expect("queued");
    assert_eq!(warehouse.column(COUNT).await, ["0"]);
    warehouse.deny_the_lake(false);
    pipe.insert_files(&table, &[file("raw/rates/b.parquet")], Uuid::new_v4()).await.expect("queued");
    assert_eq!(warehouse.column(COUNT).await, ["0"]);
    let report = pipe.insert_report(&table, None).await.expect("a report");
    let parsed: Vec<u64> = report.files.iter().map(|file| file.rows_parsed).collect();
    assert_eq!(parsed, [0, 1], "{report:?}");
    let reason = report.files[1].first_error.as_deref().unwrap_or_default();
    assert!(reason.starts_with("Failed to cast variant value"), "{reason}");
    let history = warehouse.run(&ledger::copy_history(&table)).await.expect("a history");
    let parsed: Vec<_> = history.iter().map(|row| row["row_parsed"].as_deref()).collect();
    assert_eq!(parsed, [Some("0"), Some("1")]);
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
