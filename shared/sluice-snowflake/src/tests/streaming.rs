//! Snowpipe Streaming's client.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_core::{Kind, RunId, TableId};
use sluice_pipeline::stream::{Appended, Channel, Channels, Offsets};

use super::{
    fake::{Answer, Asked, Fake},
    key::{OneSecret, TestKey},
};
use crate::Streaming;

const CHANNEL: &str = "lake_kafka_purchases_0";
const BASE: &str = "/databases/STREAMING/schemas/PUBLIC/pipes/PURCHASES-STREAMING";

fn table() -> TableId {
    "STREAMING.PUBLIC.PURCHASES".parse().expect("a table name")
}

fn channel() -> Channel {
    Channel { name: CHANNEL.into(), table: table() }
}

/// A server whose first two answers, host and token, are given; the rest is the script.
async fn start(script: impl IntoIterator<Item = Answer>) -> (TestKey, Fake, Streaming<OneSecret>) {
    let (key, fake) = (TestKey::generate(), Fake::start([]).await);
    fake.push(Answer::new(200, fake.host()));
    fake.push(Answer::new(200, "scoped-1"));
    script.into_iter().for_each(|answer| fake.push(answer));
    let streaming = Streaming::new(key.account(&fake.url));
    (key, fake, streaming)
}

fn opened(committed: Value) -> Answer {
    Answer::json(
        200,
        json!({"next_continuation_token": "c1", "channel_status": {
            "database_name": "STREAMING", "channel_name": CHANNEL, "channel_status_code": "SUCCESS",
            "last_committed_offset_token": committed, "rows_inserted": 5, "rows_parsed": 5, "rows_error_count": 1,
            "created_on_ms": 1, "snowflake_avg_processing_latency_ms": null
        }}),
    )
}

async fn append(streaming: &Streaming<OneSecret>) -> Result<Appended, Kind> {
    let (rows, offsets) = (Bytes::from_static(b"{\"a\":1}\n"), Offsets { first: 7, last: 9 });
    streaming.append(&channel(), "c/1+", rows, offsets).await.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_channel_is_opened_on_the_ingest_host_with_an_exchanged_token() {
    let (key, fake, streaming) = start([opened(json!("41")), opened(Value::Null)]).await;
    let first = streaming.open(&channel()).await.expect("open");
    assert_eq!((first.continuation.as_str(), first.status.committed), ("c1", Some(41)));
    assert_eq!(first.status.errors, 1);
    let again = streaming.open(&channel()).await.expect("open");
    assert_eq!(again.status.committed, None);

    let asked = fake.asked();
    let lines: Vec<String> = asked.iter().map(Asked::line).collect();
    let open = format!("PUT /v2/streaming{BASE}/channels/{CHANNEL}");
    assert_eq!(lines, ["GET /v2/streaming/hostname", "POST /oauth/token", &open, &open]);
    assert!(key.verify(asked[0].token()).is_some());
    let form: std::collections::BTreeMap<_, _> = form_urlencoded::parse(&asked[1].body).collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(form["scope"], format!("{} session:role:LOADER", fake.host()));
    assert!(key.verify(&form["assertion"]).is_some());
    assert_eq!((asked[2].token(), asked[2].header("accept")), ("scoped-1", "application/json"));
    assert_eq!(asked[2].json(), json!({}));
}

#[tokio::test]
async fn an_append_carries_its_rows_compressed_and_its_offsets() {
    let (_, fake, streaming) = start([Answer::json(200, json!({"next_continuation_token": "c2"}))]).await;
    assert_eq!(append(&streaming).await, Ok(Appended::Accepted { continuation: "c2".into() }));
    let asked = &fake.asked()[2];
    assert_eq!(asked.line(), format!("POST /v2/streaming/data{BASE}/channels/{CHANNEL}/rows"));
    assert_eq!(asked.query["continuationToken"], "c/1+");
    assert_eq!((&*asked.query["startOffsetToken"], &*asked.query["endOffsetToken"]), ("7", "9"));
    assert_eq!((asked.header("content-type"), asked.header("content-encoding")), ("application/x-ndjson", "zstd"));
    assert_eq!(asked.header("x-snowflake-uncompressed-content-length"), "8");
    assert_eq!(zstd::bulk::decompress(&asked.body, 100).expect("zstd"), b"{\"a\":1}\n");
}

#[tokio::test]
async fn a_stale_continuation_token_is_a_result_in_each_of_its_shapes() {
    for body in [
        json!({"code": "STALE_CONTINUATION_TOKEN_SEQUENCER", "message": "m"}),
        json!({"error_code": "STALE_CONTINUATION_TOKEN_SEQUENCER"}),
        json!("STALE_CONTINUATION_TOKEN_SEQUENCER"),
        json!({"status_code": 4}),
        json!({"code": "ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP"}),
    ] {
        let (_, fake, streaming) = start([Answer::json(400, body.clone())]).await;
        assert!(matches!(append(&streaming).await, Ok(Appended::Stale)), "{body}");
        assert_eq!(fake.asked().len(), 3);
    }
}

#[tokio::test]
async fn a_bare_409_on_append_means_that_the_channel_must_be_opened_again() {
    for bare in [Answer::new(409, ""), Answer::new(409, "<html>"), Answer::json(409, json!({"message": "invalid"}))] {
        let (_, fake, streaming) = start([bare]).await;
        assert!(matches!(append(&streaming).await, Ok(Appended::Stale)));
        assert_eq!(fake.asked().len(), 3);
    }
}

#[tokio::test]
async fn a_lost_append_is_repeated_with_the_same_token_and_may_prove_stale() {
    let stale = Answer::json(400, json!({"code": "STALE_CONTINUATION_TOKEN_SEQUENCER"}));
    let (_, fake, streaming) = start([Answer::lost(), stale]).await;
    assert!(matches!(append(&streaming).await, Ok(Appended::Stale)));
    let asked = fake.asked();
    assert_eq!(asked[2].query["continuationToken"], asked[3].query["continuationToken"]);
    assert_eq!(asked[2].body, asked[3].body);
}

#[tokio::test]
async fn pressure_is_waited_out_and_a_fatal_code_is_not() {
    let accepted = || Answer::json(200, json!({"next_continuation_token": "c2", "status_code": 0}));
    for passing in [
        Answer::json(500, json!({"error_code": "ERR_GENERAL_EXCEPTION_RETRY_REQUEST"})),
        Answer::json(400, json!("ReceiverSaturated")),
        Answer::new(429, ""),
        Answer::json(200, json!({"status_code": 5, "message": "again"})),
    ] {
        let (_, fake, streaming) = start([passing, accepted()]).await;
        assert!(append(&streaming).await.is_ok());
        assert_eq!(fake.asked().len(), 4);
    }
    for (fatal, kind) in [
        (Answer::json(409, json!({"code": "ERR_PIPE_IN_INVALID_STATE"})), Kind::Config),
        (Answer::json(404, json!({"code": "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED"})), Kind::NotFound),
        (Answer::json(400, json!({"code": "UNHEARD_OF"})), Kind::Internal),
    ] {
        let (_, fake, streaming) = start([fatal]).await;
        assert_eq!(append(&streaming).await, Err(kind));
        assert_eq!(fake.asked().len(), 3);
    }
}

#[tokio::test]
async fn a_refused_scoped_token_is_exchanged_once_more() {
    let (_, fake, streaming) = start([Answer::json(401, json!({"code": "390303"}))]).await;
    fake.push(Answer::json(200, json!({"hostname": fake.host()})));
    fake.push(Answer::json(200, json!({"token": "scoped-2"})));
    fake.push(Answer::json(200, json!({"next_continuation_token": "c2"})));
    assert!(append(&streaming).await.is_ok());
    let asked = fake.asked();
    assert_eq!((asked[2].token(), asked[5].token()), ("scoped-1", "scoped-2"));
}

#[tokio::test]
async fn a_key_that_an_exchange_refuses_in_any_form_is_read_again() {
    for refused in [Answer::new(401, ""), Answer::json(400, json!({"error": "invalid_grant"}))] {
        let (key, fake) = (TestKey::generate(), Fake::start([]).await);
        fake.push(Answer::new(200, fake.host()));
        fake.push(refused);
        fake.push(Answer::new(200, "scoped-1"));
        fake.push(opened(Value::Null));
        let account = key.account(&fake.url);
        Streaming::new(account.clone()).open(&channel()).await.expect("a channel");
        assert_eq!(fake.asked().len(), 4);
        assert_eq!((account.keys.secrets().reads(), account.keys.secrets().forgotten()), (2, 1));
    }
}

#[tokio::test]
async fn a_failed_exchange_says_so() {
    let (key, fake) = (TestKey::generate(), Fake::start([]).await);
    fake.push(Answer::new(200, fake.host()));
    fake.push(Answer::new(403, ""));
    let error = Streaming::new(key.account(&fake.url)).open(&channel()).await.expect_err("no token");
    assert_eq!(error.kind(), Kind::Auth);
    assert!(error.chain().contains("cannot get a token for streaming"), "{error:?}");
}

#[tokio::test]
async fn a_channel_that_another_opens_at_the_same_time_is_waited_for() {
    let busy = Answer::json(409, json!({"code": "ERR_OPEN_CHANNEL_IN_PROGRESS"}));
    let (_, fake, streaming) = start([busy, opened(Value::Null)]).await;
    assert!(streaming.open(&channel()).await.is_ok());
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test]
async fn the_status_of_an_unknown_channel_is_absent() {
    let body = json!({"channel_statuses": {CHANNEL: {
        "channel_status_code": "ACTIVE", "last_committed_offset_token": "9", "rows_errors": 2
    }}});
    let (_, fake, streaming) = start([Answer::json(200, body)]).await;
    let listed = streaming.list(&table(), &[CHANNEL, "other"]).await.expect("channels");
    assert_eq!(listed[CHANNEL].status().expect("a status").committed, Some(9));
    assert!(listed[CHANNEL].is_healthy() && !listed.contains_key("other"));
    let asked = &fake.asked()[2];
    assert_eq!(asked.line(), format!("POST /v2/streaming{BASE}:bulk-channel-status"));
    assert_eq!(asked.json(), json!({"channel_names": [CHANNEL, "other"]}));
}

#[tokio::test]
async fn the_question_for_a_channels_rows_carries_the_id_of_the_run() {
    let meta = json!({
        "rowType": [{"name": "POSITION", "type": "fixed", "scale": 0}], "partitionInfo": [{"rowCount": 1}]
    });
    let ended = json!({"resultSetMetaData": meta, "data": [["41"]], "code": "090001", "statementHandle": "01b0-aa"});
    let (key, fake) = (TestKey::generate(), Fake::start([Answer::json(200, ended)]).await);
    let streaming = Streaming::new(key.account(&fake.url));
    let highest = streaming.max_loaded_offset(&channel(), &RunId("run-7".into())).await.expect("an offset");
    assert_eq!(highest, Some(41));
    assert_eq!(fake.asked()[0].json()["parameters"]["query_tag"], format!("sluice:stream:{CHANNEL}:run-7"));
}
