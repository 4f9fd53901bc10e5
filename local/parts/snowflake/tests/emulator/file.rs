//! The file changes hands: dbt has it, and nothing that happens meanwhile is lost or done twice.

use serde_json::json;
use sluice_pipeline::stream::Channels;

use crate::{
    streaming::{append, channel, committed, rows},
    support::{Warehouse, token},
};

const COUNT: &str = "SELECT count(*) FROM STREAMING__PUBLIC.PURCHASES";

/// Names the file to the process that [`another_process`] is.
const FILE: &str = "EMULATOR_TEST_FILE";

/// Whether another process can write to the warehouse's file. A second connection of this one would not be kept out.
fn another_process_writes(warehouse: &Warehouse) -> bool {
    let mut test = std::process::Command::new(std::env::current_exe().expect("this program"));
    test.args(["--ignored", "--exact", "file::another_process"]).env(FILE, warehouse.database());
    test.output().expect("an end").status.success()
}

#[test]
#[ignore = "not a test: the other process of the next one"]
fn another_process() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let conn = duckdb::Connection::open(file).expect("the file is free");
    conn.execute_batch("CREATE SCHEMA ANALYTICS__X; CREATE TABLE ANALYTICS__X.T AS SELECT 1 AS A").expect("a table");
}

#[tokio::test]
async fn while_the_file_is_away_statements_wait_and_another_writer_may_use_it() {
    let warehouse = Warehouse::founded().await;
    assert!(!another_process_writes(&warehouse), "the file has an owner");
    warehouse.emulator.release_file().await.expect("released");
    let insert = json!({"statement": "INSERT INTO ADMIN.OBSERVABILITY.DBT_RUNS (NUMBER) VALUES (1)"});
    let (status, body) = warehouse.post("/api/v2/statements", &token(), insert).await;
    assert_eq!(status, 202);
    assert!(warehouse.emulator.query("SELECT 1").await.is_err());

    assert!(another_process_writes(&warehouse), "the file is free");

    let url = format!("{}{}", warehouse.url, body["statementStatusUrl"].as_str().expect("an address"));
    let poll = async || {
        let request = warehouse.http.get(&url).bearer_auth(token()).header("accept", "*/*");
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(poll().await, 202);
    warehouse.emulator.take_back().await.expect("taken back");
    assert_eq!(warehouse.column("SELECT A FROM ANALYTICS__X.T").await, ["1"]);
    // The statement ran before that one; its answer may come a moment later.
    let mut status = poll().await;
    for _ in 0..1_000 {
        status = if status == 202 { poll().await } else { break };
    }
    assert_eq!(status, 200);
    assert_eq!(warehouse.column("SELECT count(*) FROM ADMIN__OBSERVABILITY.DBT_RUNS").await, ["1"]);
}

#[tokio::test]
async fn appends_are_committed_to_the_journal_while_the_file_is_away() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    let next = append(&streaming, &opened.continuation, &rows(0..=4), 0, 4).await;
    warehouse.emulator.release_file().await.expect("released");
    // Giving the file away commits what was appended before.
    committed(&streaming, 4).await;
    let mut bad = rows(5..=9);
    bad.extend(b"not json\n");
    append(&streaming, &next, &bad, 5, 9).await;
    let status = committed(&streaming, 9).await;
    assert_eq!((status.rows_inserted, status.rows_refused), (10, 1));
    let opened = streaming.open(&channel("c")).await.expect("the channel, opened again");
    assert_eq!(opened.status.committed, Some(9));
    warehouse.emulator.take_back().await.expect("taken back");
    assert_eq!(warehouse.column(COUNT).await, ["10"]);
    append(&streaming, &opened.continuation, &rows(10..=14), 10, 14).await;
    committed(&streaming, 14).await;
    assert_eq!(warehouse.column(COUNT).await, ["15"]);
}

#[tokio::test]
async fn a_journal_survives_the_process_and_is_applied_once() {
    let mut warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    warehouse.emulator.release_file().await.expect("released");
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    append(&streaming, &opened.continuation, &rows(0..=4), 0, 4).await;
    committed(&streaming, 4).await;
    for _ in 0..2 {
        warehouse.restart().await;
        let streaming = warehouse.streaming();
        assert_eq!(committed(&streaming, 4).await.rows_inserted, 5);
        assert_eq!(warehouse.column(COUNT).await, ["5"]);
    }
    assert_eq!(std::fs::read_dir(warehouse.folder.join("journal/appends")).expect("a folder").count(), 0);
}
