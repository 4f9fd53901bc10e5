//! The SQL API's client: what it sends, and what it makes of each way in which an answer can come or fail to.

use std::{collections::BTreeMap, io::Write, sync::Arc, time::Duration};

use chrono::DateTime;
use serde_json::{Value, json};
use sluice_core::{
    Error, Kind, LakeId, Retry, RunId,
    port::{Row, Statements},
};
use sluice_pipeline::{
    observe::Question,
    watch::{Day, Observations},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    fake::{Answer, Asked, Fake},
    key::{OneSecret, TestKey},
};
use crate::{SqlApi, Watcher};

const REQUEST: Uuid = Uuid::from_u128(7);

struct Run {
    key: TestKey,
    api: SqlApi<OneSecret>,
    fake: Fake,
}

async fn run(script: impl IntoIterator<Item = Answer>) -> Run {
    let (key, fake) = (TestKey::generate(), Fake::start(script).await);
    let api = SqlApi::new(key.account(&fake.url));
    Run { key, api, fake }
}

impl Run {
    async fn execute(&self) -> Result<Vec<Row>, Error> {
        self.api.execute("SELECT 1", REQUEST, "run-1").await
    }

    fn asked(&self) -> Vec<Asked> {
        let asked = self.fake.asked();
        for request in &asked {
            let claims = self.key.verify(request.token()).expect("a token signed by the user's key");
            assert_eq!(claims["sub"], "MYORG-ACCT.SLUICE_LOADER");
            assert_eq!(request.header("x-snowflake-authorization-token-type"), "KEYPAIR_JWT");
            assert_eq!(request.header("accept"), "application/json");
            assert!(request.header("user-agent").starts_with("sluice/"));
        }
        asked
    }
}

fn result(rows: Value, partitions: usize) -> Value {
    json!({
        "resultSetMetaData": {
            "numRows": 1, "format": "jsonv2",
            "rowType": [
                {"name": "STATUS", "type": "text", "nullable": true, "precision": null},
                {"name": "LOADED_AT", "type": "timestamp_ntz", "scale": 6},
            ],
            "partitionInfo": vec![json!({"rowCount": 1, "uncompressedSize": 1}); partitions]
        },
        "data": rows, "code": "090001", "sqlState": "00000", "statementHandle": "01b0-aa", "createdOn": 1
    })
}

fn ended() -> Answer {
    Answer::json(200, result(json!([["loaded", "1767225600.000000000"], [null, null]]), 1))
}

fn running() -> Answer {
    Answer::json(202, json!({"code": "333334", "message": "running", "statementHandle": "01b0-aa"}))
}

fn failed(code: &str, sqlstate: Option<&str>) -> Answer {
    Answer::json(422, json!({"code": code, "sqlState": sqlstate, "message": "it failed", "statementHandle": "01b0-aa"}))
}

#[tokio::test]
async fn what_statements_took_is_kept_once_as_an_estimate_by_their_tags() {
    let run = run([ended(), ended(), failed("000904", None), ended(), ended()]).await;
    let run = Run { api: run.api.with_estimates(), ..run };
    run.execute().await.expect("rows");
    run.api.execute("SELECT 2", REQUEST, "sluice:load:A.B.C:7:it's").await.expect("rows");
    // What cannot be kept is left out, and keeps nobody up.
    run.api.keep_estimate().await;
    run.api.keep_estimate().await;
    run.execute().await.expect("rows");
    run.api.keep_estimate().await;
    let asked = run.asked();
    let statement =
        |at: usize| serde_json::from_slice::<Value>(&asked[at].body).expect("JSON")["statement"].to_string();
    assert_eq!(asked.len(), 5);
    for part in ["COSTS", "'estimate'", "'run-1' AS QUERY_TAG", "'sluice:load:A.B.C:7:it''s' AS QUERY_TAG"] {
        assert!(statement(2).contains(part), "{part}: {}", statement(2));
    }
    assert!(statement(4).contains("'run-1'") && !statement(4).contains("A.B.C"), "{}", statement(4));
}

#[tokio::test]
async fn nothing_is_noted_for_an_estimate_that_nobody_keeps() {
    let run = run([ended()]).await;
    run.execute().await.expect("rows");
    run.api.keep_estimate().await;
    assert_eq!(run.asked().len(), 1);
}

#[tokio::test]
async fn a_round_that_only_looks_sends_nothing_that_needs_a_warehouse() {
    let nothing = || Answer::json(200, result(json!([]), 1));
    let run = run((0..14).map(|_| nothing())).await;
    let (lake_id, table) = (LakeId("lake".into()), "A.B.C".parse().expect("a name"));
    let (api, today) = (&run.api.with_estimates(), DateTime::UNIX_EPOCH.date_naive());
    let rounds = ["run-1", "run-2", "run-3"].map(|id| RunId(id.into()));
    let watchers = rounds.each_ref().map(|id| Watcher::new(api, &lake_id, id, Instant::now() + Duration::from_secs(9)));
    for watcher in &watchers[..2] {
        watcher.loads().await.expect("an answer");
        watcher.dbt_runs(today).await.expect("an answer");
        watcher.newest_row(&table).await.expect("an answer");
        watcher.partitions(&table, today).await.expect("an answer");
        watcher.keep_estimate().await;
    }
    watchers[2].keep(&table, &BTreeMap::from([(today, Day::default())])).await.expect("kept");
    watchers[2].keep_estimate().await;
    let mut statements: Vec<String> =
        run.fake.asked().iter().map(|asked| asked.json()["statement"].as_str().expect("a text").to_owned()).collect();
    let third = statements.split_off(12);
    assert!(third[0].contains("MEASURES") && third[1].contains("'estimate'"), "{third:?}");
    assert!(third[1].contains("run-3") && !third[1].contains("run-1"), "what is answered from the cache costs nothing");
    let mut second = statements.split_off(6);
    statements.sort();
    second.sort();
    for (first, again) in statements.iter().zip(&second) {
        assert_eq!(first, again, "only the same words are answered from the cache");
        let needs_one = ["SYSDATE", "CURRENT_", "INFORMATION_SCHEMA"].iter().any(|word| first.contains(word));
        assert!(first.starts_with("SELECT") && !needs_one, "{first}");
    }
}

#[tokio::test]
async fn a_statement_is_sent_with_its_context_and_its_rows_are_readable() {
    let run = run([ended()]).await;
    let rows = run.execute().await.expect("rows");
    assert_eq!(rows[0]["status"].as_deref(), Some("loaded"));
    assert_eq!(rows[0]["loaded_at"].as_deref(), Some("2026-01-01T00:00:00.000000Z"));
    assert_eq!(rows[1]["status"], None);

    let asked = run.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), "POST /api/v2/statements");
    assert_eq!(asked[0].query["requestId"], REQUEST.to_string());
    assert_eq!(asked[0].query["retry"], "false");
    assert_eq!(asked[0].header("content-type"), "application/json");
    assert_eq!(
        asked[0].json(),
        json!({
            "statement": "SELECT 1", "timeout": 3_600, "warehouse": "LOADING", "role": "LOADER",
            "parameters": {"query_tag": "run-1", "timezone": "UTC"}
        })
    );
}

#[tokio::test]
async fn a_statement_under_way_is_waited_for() {
    let run = run([running(), running(), ended()]).await;
    assert_eq!(run.execute().await.expect("rows").len(), 2);
    let lines: Vec<String> = run.asked().iter().map(Asked::line).collect();
    assert_eq!(lines, ["POST /api/v2/statements", "GET /api/v2/statements/01b0-aa", "GET /api/v2/statements/01b0-aa"]);
}

#[tokio::test]
async fn a_failure_found_while_waiting_is_classified_without_its_sqlstate() {
    let run = run([running(), Answer::json(422, json!({"code": "002003", "message": "no such table"}))]).await;
    let error = run.execute().await.expect_err("a missing table");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.chain().contains("handle=01b0-aa"), "{error}");
    run.asked();
}

#[tokio::test]
async fn waiting_ends_at_the_deadline() {
    let run = run([running()]).await;
    let error = run.api.until(Instant::now()).execute("SELECT 1", REQUEST, "t").await.expect_err("no time");
    assert_eq!(error.kind(), Kind::Timeout);

    run.fake.push(running());
    let error = run.api.execute_until("SELECT 1", REQUEST, "t", Instant::now() + Duration::from_nanos(1)).await;
    assert_eq!(error.expect_err("no time").kind(), Kind::Timeout);
}

#[tokio::test]
async fn what_the_watcher_asks_ends_in_snowflake_with_its_time() {
    let run = run([ended(), ended()]).await;
    let (lake_id, run_id, table) = (LakeId("lake".into()), RunId("run-1".into()), "A.B.C".parse().expect("a name"));
    let watcher = Watcher::new(&run.api, &lake_id, &run_id, Instant::now());
    for millis in [40_900, 900] {
        watcher.end_within(Duration::from_millis(millis));
        assert_eq!(watcher.newest_row(&table).await.expect("an answer"), None);
    }
    let seconds: Vec<Value> = run.asked().iter().map(|asked| asked.json()["timeout"].clone()).collect();
    assert_eq!(seconds, [40, 1], "0 would be a week");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_as_a_retry_of_the_same_request() {
    let run = run([Answer::lost(), ended()]).await;
    assert_eq!(run.execute().await.expect("rows").len(), 2);
    let asked = run.asked();
    let retries: Vec<(&str, &str)> =
        asked.iter().map(|request| (&*request.query["requestId"], &*request.query["retry"])).collect();
    let id = REQUEST.to_string();
    assert_eq!(retries, [(&*id, "false"), (&*id, "true")]);
}

#[tokio::test]
async fn a_slow_or_broken_server_is_tried_again() {
    for status in [429, 500, 502, 503, 504] {
        let run = run([Answer::new(status, "busy"), ended()]).await;
        assert!(run.execute().await.is_ok(), "{status}");
        assert_eq!(run.asked()[1].query["retry"], "true");
    }
    let run = run((0..5).map(|_| Answer::json(429, json!({"code": "390505", "message": "slow down"})))).await;
    let error = run.execute().await.expect_err("never free");
    assert_eq!((error.kind(), error.retry()), (Kind::RateLimited, Retry::Exhausted));
}

#[tokio::test]
async fn being_busy_while_a_statement_runs_does_not_end_the_waiting() {
    let run = run([running(), Answer::new(429, ""), Answer::lost(), ended()]).await;
    assert!(run.execute().await.is_ok());
    assert_eq!(run.asked().len(), 4);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let refused = || Answer::json(401, json!({"code": "390144", "message": "JWT token is invalid. [uuid]"}));
    let once = run([refused(), ended()]).await;
    assert!(once.execute().await.is_ok());
    assert_eq!(once.asked().len(), 2);

    let twice = run([refused(), refused()]).await;
    let error = twice.execute().await.expect_err("refused again");
    assert_eq!((error.kind(), error.retry()), (Kind::Auth, Retry::Permanent));
    assert_eq!(twice.asked().len(), 2);
}

#[tokio::test]
async fn a_failed_statement_is_not_sent_again_even_if_its_failure_may_pass() {
    for (code, sqlstate, kind, retry) in [
        ("001003", Some("42000"), Kind::Internal, Retry::Permanent),
        ("000625", Some("57014"), Kind::Unavailable, Retry::Transient),
        ("100038", None, Kind::InvalidData, Retry::Permanent),
        ("-20001", Some("P0001"), Kind::InvalidData, Retry::Permanent),
    ] {
        let run = run([failed(code, sqlstate)]).await;
        let error = run.execute().await.expect_err(code);
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
        assert_eq!(run.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_malformed_or_foreign_request_is_not_tried_again() {
    for (status, kind) in [(400, Kind::Internal), (403, Kind::Auth), (404, Kind::NotFound), (415, Kind::Internal)] {
        let run = run([Answer::new(status, "<html>")]).await;
        assert_eq!(run.execute().await.expect_err("refused").kind(), kind, "{status}");
        assert_eq!(run.asked().len(), 1);
    }
}

#[tokio::test]
async fn further_partitions_are_fetched_compressed_or_not() {
    let more = |text: &str| json!({"data": [[text, null]]}).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(more("second").as_bytes()).expect("gzip");
    let compressed = Answer::new(200, gzip.finish().expect("gzip")).header("content-encoding", "gzip");
    let run =
        run([Answer::json(200, result(json!([["first", null]]), 3)), compressed, Answer::new(200, more("third"))])
            .await;
    let rows = run.execute().await.expect("rows");
    let found: Vec<&str> = rows.iter().filter_map(|row| row["status"].as_deref()).collect();
    assert_eq!(found, ["first", "second", "third"]);
    let asked = run.asked();
    assert_eq!(asked[1].line(), "GET /api/v2/statements/01b0-aa");
    assert_eq!((&*asked[1].query["partition"], &*asked[2].query["partition"]), ("1", "2"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_refused() {
    let mut too_large = result(json!([]), 1);
    too_large["code"] = "391908".into();
    let foreign_handle = json!({"statementHandle": "../../oauth/token"});
    for (answer, kind) in [
        (Answer::json(200, too_large), Kind::Internal),
        (Answer::json(202, foreign_handle), Kind::InvalidData),
        (Answer::new(200, "no JSON"), Kind::InvalidData),
    ] {
        let run = run([answer]).await;
        assert_eq!(run.execute().await.expect_err("unusable").kind(), kind);
    }
}

#[tokio::test]
async fn clients_of_one_account_share_the_token() {
    let (key, fake) = (TestKey::generate(), Fake::start([ended(), ended()]).await);
    let account = key.account(&fake.url);
    for api in [SqlApi::new(Arc::clone(&account)), SqlApi::new(account)] {
        api.execute("SELECT 1", REQUEST, "t").await.expect("rows");
    }
    let asked = fake.asked();
    assert_eq!(asked[0].token(), asked[1].token());
}

#[tokio::test]
async fn a_question_is_ended_by_snowflake_when_nobody_waits_any_longer() {
    let run = run([Answer::json(200, result(json!([]), 1))]).await;
    let question = Question { statement: "SELECT 1".into(), role: None, rows: 5 };
    run.api.ask(&question, Instant::now() + Duration::from_secs(60)).await.expect("an answer");
    let seconds = run.asked()[0].json()["timeout"].as_u64().expect("a limit");
    assert!((50..=60).contains(&seconds), "{seconds} s");
}
