//! Rows through channels: each once, whatever happens in between.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sluice_core::{Result, TableId};
use sluice_pipeline::stream::{Appended, Channel, Channels, Offsets};
use sluice_snowflake::{Streaming, streaming::Listed};

use crate::support::{OneSecret, Warehouse, table_id};

const COUNT: &str = "SELECT count(*) FROM STREAMING__PUBLIC.PURCHASES";

fn table() -> TableId {
    table_id("STREAMING.PUBLIC.PURCHASES")
}

pub(crate) fn channel(name: &str) -> Channel {
    Channel { name: name.into(), table: table() }
}

pub(crate) fn row(offset: i64) -> String {
    format!(
        "{{\"event_id\":\"e{offset}\",\"customer_email\":\"it's \\\"quoted\\\" @x\",\"product_id\":7,\"quantity\":2,\
         \"purchase_ts\":\"2026-01-01T00:00:00.123456Z\",\"schema_version\":1,\"_kafka_topic\":\"purchases\",\
         \"_kafka_partition\":0,\"_kafka_offset\":{offset},\"_sluice_loaded_at\":\"2026-01-01T00:00:01\"}}\n"
    )
}

pub(crate) fn rows(offsets: std::ops::RangeInclusive<i64>) -> Vec<u8> {
    offsets.map(row).collect::<String>().into_bytes()
}

async fn try_append(
    streaming: &Streaming<OneSecret>,
    token: &str,
    rows: &[u8],
    first: i64,
    last: i64,
) -> Result<Appended> {
    streaming.append(&channel("c"), token, Bytes::copy_from_slice(rows), Offsets { first, last }).await
}

/// Appends and returns the next continuation token.
pub(crate) async fn append(
    streaming: &Streaming<OneSecret>,
    token: &str,
    rows: &[u8],
    first: i64,
    last: i64,
) -> String {
    match try_append(streaming, token, rows, first, last).await.expect("an answer") {
        Appended::Accepted { continuation } => continuation,
        Appended::Stale => panic!("the token is stale"),
    }
}

/// The channel's status once it has committed this offset.
pub(crate) async fn committed(streaming: &Streaming<OneSecret>, offset: i64) -> Listed {
    let give_up = Instant::now() + Duration::from_secs(30);
    while Instant::now() < give_up {
        let status = streaming.list(&table(), &["c"]).await.expect("channels").remove("c").expect("the channel");
        if status.status().expect("a number").committed == Some(offset) {
            return status;
        }
        tokio::task::yield_now().await;
    }
    panic!("offset {offset} was never committed");
}

#[tokio::test]
async fn appends_chain_and_become_durable_with_their_offset() {
    let mut warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    assert_eq!(opened.status.committed, None);
    let next = append(&streaming, &opened.continuation, &rows(0..=9), 0, 9).await;
    append(&streaming, &next, &rows(10..=19), 10, 19).await;
    let status = committed(&streaming, 19).await;
    assert_eq!((status.rows_inserted, status.rows_refused), (20, 0));
    let first = "SELECT concat_ws(' ', EVENT_ID, CUSTOMER_EMAIL, QUANTITY, PURCHASE_TS, _KAFKA_OFFSET, _SLUICE_LOADED_AT) \
                 FROM STREAMING__PUBLIC.PURCHASES ORDER BY _KAFKA_OFFSET LIMIT 1";
    let expected = "e0 it's \"quoted\" @x 2 2026-01-01 00:00:00.123456 0 2026-01-01 00:00:01";
    assert_eq!(warehouse.column(first).await, [expected]);

    warehouse.restart().await;
    let streaming = warehouse.streaming();
    assert_eq!(committed(&streaming, 19).await.rows_inserted, 20);
    let again = streaming.open(&channel("c")).await.expect("a channel");
    assert_eq!(again.status.committed, Some(19));
    assert_eq!(warehouse.column(COUNT).await, ["20"]);
}

#[tokio::test]
async fn opening_ends_the_holder_and_drops_what_is_not_committed() {
    let warehouse = Warehouse::founded().await;
    let (old, new) = (warehouse.streaming(), warehouse.streaming());
    let held = old.open(&channel("c")).await.expect("a channel");
    let held = append(&old, &held.continuation, &rows(0..=4), 0, 4).await;
    committed(&old, 4).await;
    // Long enough for the next opening, also where others use the processors.
    let delay = serde_json::json!({"milliseconds": 5_000});
    assert_eq!(warehouse.post("/_emulator/commit-delay", "", delay).await.0, 204);
    let held = append(&old, &held, &rows(5..=9), 5, 9).await;
    let opened = new.open(&channel("c")).await.expect("the same channel");
    assert_eq!(opened.status.committed, Some(4));
    let stale = try_append(&old, &held, &rows(10..=14), 10, 14).await.expect("an answer");
    assert!(matches!(stale, Appended::Stale), "{stale:?}");
    append(&new, &opened.continuation, &rows(5..=14), 5, 14).await;
    committed(&new, 14).await;
    let sums = "SELECT count(*) || ' ' || count(DISTINCT _KAFKA_OFFSET) FROM STREAMING__PUBLIC.PURCHASES";
    assert_eq!(warehouse.column(sums).await, ["15 15"]);
}

#[tokio::test]
async fn an_outage_breaks_connections_and_loses_only_what_is_not_committed() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    let held = append(&streaming, &opened.continuation, &rows(0..=4), 0, 4).await;
    committed(&streaming, 4).await;
    let held = append(&streaming, &held, &rows(5..=9), 5, 9).await;
    let url = format!("{}/v2/streaming/hostname", warehouse.url);
    let request = warehouse.http.get(url).header("accept", "*/*").send();
    let asking = async { request.await?.bytes().await };
    let (restarted, answer) = tokio::join!(warehouse.emulator.restart(Duration::from_secs(1)), asking);
    restarted.expect("it comes back");
    assert!(answer.is_err(), "the connection breaks: {answer:?}");

    let stale = try_append(&streaming, &held, &rows(10..=14), 10, 14).await.expect("an answer");
    assert!(matches!(stale, Appended::Stale), "{stale:?}");
    let opened = streaming.open(&channel("c")).await.expect("the same channel");
    let next = opened.status.committed.expect("what was committed stays") + 1;
    assert!(next == 5 || next == 10, "whole appends only: {next}");
    append(&streaming, &opened.continuation, &rows(next..=14), next, 14).await;
    committed(&streaming, 14).await;
    let sums = "SELECT count(*) || ' ' || count(DISTINCT _KAFKA_OFFSET) FROM STREAMING__PUBLIC.PURCHASES";
    assert_eq!(warehouse.column(sums).await, ["15 15"]);
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_stale_when_repeated() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    warehouse.order("/rows", 1, serde_json::json!({"fault": "lost_answer"})).await;
    let repeated = try_append(&streaming, &opened.continuation, &rows(0..=4), 0, 4).await.expect("an answer");
    assert!(matches!(repeated, Appended::Stale), "{repeated:?}");
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    // The rows were committed or dropped; the token says which, and nothing else may.
    let next = opened.status.committed.map_or(0, |offset| offset + 1);
    if next == 0 {
        append(&streaming, &opened.continuation, &rows(0..=4), 0, 4).await;
    }
    committed(&streaming, 4).await;
    assert_eq!(warehouse.column(COUNT).await, ["5"]);
}

#[tokio::test]
async fn bad_rows_are_counted_and_good_ones_of_the_same_append_land() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    let mut body = rows(0..=1);
    body.extend(row(2).replace("\"quantity\":2", "\"quantity\":\"many\"").bytes());
    body.extend(row(3).replace("\"event_id\":\"e3\",", "").bytes());
    body.extend(row(4).replace("2026-01-01T00:00:00.123456Z", "yesterday").bytes());
    body.extend(b"not json\n");
    body.extend(row(5).replace("event_id", "EVENT_Id").replace("\"schema", "\"unknown\":[1],\"schema").bytes());
    append(&streaming, &opened.continuation, &body, 0, 5).await;
    let status = committed(&streaming, 5).await;
    assert_eq!((status.rows_parsed, status.rows_inserted, status.rows_refused), (7, 3, 4));
    assert!(status.last_error_message.is_some_and(|message| !message.contains("many")));
    let reopened = streaming.open(&channel("c")).await.expect("a channel");
    assert_eq!(reopened.status.errors, 4);
    assert_eq!(warehouse.column(COUNT).await, ["3"]);
}

#[tokio::test]
async fn a_channel_is_found_in_any_case_and_listed_in_one() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let held = streaming.open(&channel("c")).await.expect("a channel");
    streaming.open(&channel("C")).await.expect("the same channel");
    assert_eq!(streaming.status(&channel("C")).await.expect("its status").committed, None);
    let stale = try_append(&streaming, &held.continuation, &rows(0..=4), 0, 4).await.expect("an answer");
    assert!(matches!(stale, Appended::Stale), "{stale:?}");
    let listed = streaming.list(&table(), &["c", "C"]).await.expect("channels");
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["c"]);
}

#[tokio::test]
async fn a_commit_takes_as_long_as_it_is_told_to() {
    let warehouse = Warehouse::founded().await;
    let delay = serde_json::json!({"milliseconds": 1_000});
    assert_eq!(warehouse.post("/_emulator/commit-delay", "", delay).await.0, 204);
    let streaming = warehouse.streaming();
    let opened = streaming.open(&channel("c")).await.expect("a channel");
    let appended = Instant::now();
    append(&streaming, &opened.continuation, &rows(0..=4), 0, 4).await;
    committed(&streaming, 4).await;
    assert!(appended.elapsed() >= Duration::from_secs(1), "{:?}", appended.elapsed());
}

#[tokio::test]
async fn unknown_channels_are_left_out_and_unknown_tables_refused() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    assert!(streaming.list(&table(), &["nobody"]).await.expect("channels").is_empty());
    let error = streaming
        .open(&Channel { table: table_id("STREAMING.PUBLIC.NOPE"), ..channel("c") })
        .await
        .expect_err("no table");
    assert_eq!(error.kind(), sluice_core::Kind::NotFound);
}

#[tokio::test]
async fn a_hundred_thousand_rows_take_a_few_seconds() {
    let warehouse = Warehouse::founded().await;
    let streaming = warehouse.streaming();
    let mut token = streaming.open(&channel("c")).await.expect("a channel").continuation;
    let started = Instant::now();
    for chunk in 0..4 {
        let (first, last) = (chunk * 25_000, chunk * 25_000 + 24_999);
        token = append(&streaming, &token, &rows(first..=last), first, last).await;
    }
    committed(&streaming, 99_999).await;
    println!("100,000 rows committed in {:?}", started.elapsed());
    assert_eq!(warehouse.column(COUNT).await, ["100000"]);
}
