//! Snowpipe's client.

use serde_json::json;
use sluice_core::{DataFile, Kind, TableId};
use uuid::Uuid;

use super::{
    fake::{Answer, Fake},
    key::TestKey,
};
use crate::{
    Snowpipe,
    pipe::{FileReport, FileStatus},
};

fn table() -> TableId {
    "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES".parse().expect("a table name")
}

fn file(path: &str) -> DataFile {
    DataFile { path: path.into(), rows: 1, bytes: 9, checksum: "x".into(), values: Vec::new() }
}

#[tokio::test]
async fn files_are_queued_for_the_tables_pipe_with_the_users_own_token() {
    let (key, fake) = (TestKey::generate(), Fake::start([Answer::lost(), queued(), queued()]).await);
    let pipe = Snowpipe::new(key.account(&fake.url));
    pipe.insert_files(&table(), &[file("raw/a.parquet"), file("raw/b.parquet")], Uuid::nil()).await.expect("queued");
    let many: Vec<DataFile> = (0..5_000).map(|i| file(&i.to_string())).collect();
    pipe.insert_files(&table(), &many, Uuid::nil()).await.expect("queued");

    let asked = fake.asked();
    let path = "POST /v1/data/pipes/SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES_PIPE/insertFiles";
    assert!(asked.iter().all(|request| request.line() == path && key.verify(request.token()).is_some()));
    assert_eq!(
        asked[1].json(),
        json!({"files": [{"path": "raw/a.parquet", "size": 9}, {"path": "raw/b.parquet", "size": 9}]})
    );
    assert_eq!(asked[2].json()["files"].as_array().map(Vec::len), Some(5_000));
}

fn queued() -> Answer {
    Answer::json(200, json!({"requestId": "r", "status": "success"}))
}

#[tokio::test]
async fn what_the_pipe_cannot_take_is_an_error() {
    let (key, fake) = (
        TestKey::generate(),
        Fake::start([Answer::new(404, "{}"), Answer::json(200, json!({"status": "failure"}))]).await,
    );
    let pipe = Snowpipe::new(key.account(&fake.url));
    let insert = async |path: &str| pipe.insert_files(&table(), &[file(path)], Uuid::nil()).await.map_err(|e| e.kind());
    assert_eq!(insert("a").await, Err(Kind::NotFound));
    assert_eq!(insert("a").await, Err(Kind::Unavailable));
    assert_eq!(insert(&"x".repeat(1_025)).await, Err(Kind::Unsupported));
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn a_report_tells_what_became_of_each_file() {
    let body = json!({
        "pipe": "P", "completeResult": true, "nextBeginMark": "1_16",
        "files": [
            {"path": "raw/a.parquet", "stageLocation": "s3://b/", "fileSize": 9, "rowsInserted": 3, "rowsParsed": 3,
             "errorsSeen": 0, "errorLimit": 1, "complete": true, "status": "LOADED"},
            {"path": "raw/b.parquet", "errorsSeen": 1, "firstError": "e", "complete": true, "status": "LOAD_FAILED"},
            {"path": "raw/c.parquet", "complete": false, "status": "SOMETHING_NEW"},
        ]
    });
    let (key, fake) = (TestKey::generate(), Fake::start([Answer::json(200, body)]).await);
    let report = Snowpipe::new(key.account(&fake.url)).insert_report(&table(), Some("1_15")).await.expect("a report");
    assert_eq!((report.complete_result, report.next_begin_mark.as_deref()), (true, Some("1_16")));
    let told = |file: &FileReport| (file.path.clone(), file.rows_inserted, file.complete, file.status);
    assert_eq!(
        report.files.iter().map(told).collect::<Vec<_>>(),
        [
            ("raw/a.parquet".to_owned(), 3, true, FileStatus::Loaded),
            ("raw/b.parquet".to_owned(), 0, true, FileStatus::Failed),
            ("raw/c.parquet".to_owned(), 0, false, FileStatus::InProgress),
        ]
    );
    assert_eq!(fake.asked()[0].query["beginMark"], "1_15");
}
