//! What the streaming loop does at each edge, and that together it is exactly once.

mod exactly_once;
mod model;

use std::time::Duration;

use sluice_core::{Kind, LakeId, Record, RunId, Sources};

use self::model::{Model, run};
use super::*;

type Loop = Stream<Ports<Model, Model, Model, Model, Model, Model, Model>>;

const TABLE: &str = "STREAMING.PUBLIC.PURCHASES";
const CHANNEL: &str = "lake_cluster_purchases_0";

fn stream(model: &Model, announce_interval: Duration) -> Loop {
    let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
    stream_of(model, announce_interval, sources, "cluster")
}

fn stream_of(model: &Model, announce_interval: Duration, sources: Sources, cluster: &str) -> Loop {
    let ports = Ports {
        store: model.clone(),
        channels: model.clone(),
        formats: model.clone(),
        bus: model.clone(),
        queue: model.clone(),
        clock: model.clone(),
        sleep: model.clone(),
    };
    let cluster_id = cluster.to_owned();
    let settings = Settings { lake_id: LakeId("lake".into()), cluster_id, announce_interval };
    Stream::new(ports, sources, settings)
}

fn record(offset: i64, good: bool) -> Record {
    let quantity = i32::from(good);
    let value = format!(
        r#"{{"event_id":"e{offset}","customer_email":"a@example.com","product_id":1,"quantity":{quantity},
        "purchase_ts":"2025-10-31T00:00:00Z","schema_version":1}}"#
    );
    Record { offset, timestamp_ms: 1_761_868_800_000, key: None, value: Some(value.into()), headers: Vec::new() }
}

fn batch(partition: i32, offsets: impl IntoIterator<Item = i64>) -> Batch {
    let records = offsets.into_iter().map(|offset| record(offset, true)).collect();
    Batch { topic: "purchases".into(), partition, records }
}

fn invocation(model: &Model, seconds: i64) -> Invocation {
    let deadline = Clock::now(model) + chrono::TimeDelta::seconds(seconds);
    Invocation { run_id: RunId("run".into()), deadline }
}

/// One invocation in a calm world.
fn process(stream: &Loop, model: &Model, batches: &[Batch]) -> Result<Report> {
    run(stream.process(batches, &invocation(model, 60)))
}

#[test]
fn rows_land_and_what_is_committed_is_skipped_as_a_number() {
    let model = Model::calm();
    let warm = stream(&model, Duration::ZERO);
    process(&warm, &model, &[batch(0, 1..=9)]).expect("processed");
    for stream in [warm, stream(&model, Duration::ZERO)] {
        let report = process(&stream, &model, &[batch(0, 8..=10)]).expect("processed");
        assert_eq!(report.done[0].committed, Some(10), "10 is above 9, though \"10\" is below \"9\"");
    }
    assert_eq!(model.rows_in(CHANNEL), (1..=10).collect::<Vec<_>>());
}

#[test]
fn bad_records_are_kept_with_their_reason_and_passed() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    let mut mixed = batch(0, 0..4);
    for bad in [1, 3] {
        mixed.records[bad] = record(bad as i64, false);
    }
    let report = process(&stream, &model, &[mixed]).expect("processed");
    assert_eq!((report.done[0].rows, report.done[0].dead_letters), (2, 2));
    assert_eq!(report.done[0].committed, Some(3), "the offset passes a bad record at the end, too");
    assert_eq!(model.rows_in(CHANNEL), [0, 2]);
    let letters = model.objects("dead-letter/purchases/0/00000000000000000001-");
    let [(_, letter)] = &letters[..] else { panic!("one dead letter: {letters:?}") };
    let letter: serde_json::Value = serde_json::from_slice(letter).expect("json");
    assert_eq!(letter["reason"], "quantity: is below 1");
    assert!(model.archived("2025-10-31", 0, 0, 3).is_some());
}

#[test]
fn fields_beyond_the_contract_are_counted_once_and_their_records_land() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    let mut more = batch(0, 0..3);
    let value = more.records[1].value.clone().expect("a value");
    let value = String::from_utf8(value.to_vec()).expect("text");
    more.records[1].value = Some(value.replacen('{', r#"{"colour":"red","size":{"cm":[1,2]},"#, 1).into());
    for unknown in [2, 0] {
        let report = process(&stream, &model, std::slice::from_ref(&more)).expect("processed");
        assert_eq!(report.done[0].unknown_fields, unknown, "a replay counts nothing");
    }
    assert_eq!(model.rows_in(CHANNEL), [0, 1, 2]);
}

#[test]
fn a_batch_of_only_bad_records_is_done_without_an_append() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    let bad = Batch { records: vec![record(0, false), record(1, false)], ..batch(0, []) };
    for _ in 0..2 {
        let report = process(&stream, &model, std::slice::from_ref(&bad)).expect("processed");
        assert_eq!((report.done[0].dead_letters, report.failed.len()), (2, 0));
    }
    assert!(model.rows_in(CHANNEL).is_empty());
}

#[test]
fn a_large_batch_is_appended_in_several_requests() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    let report = process(&stream, &model, &[batch(0, 0..25_000)]).expect("processed");
    assert_eq!(report.done[0].committed, Some(24_999));
    assert_eq!(model.rows_in(CHANNEL), (0..25_000).collect::<Vec<_>>());
    let sizes = model.append_sizes();
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= 4_000_000), "{sizes:?}");
}

#[test]
fn one_partition_that_fails_holds_up_no_other() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    process(&stream, &model, &[batch(0, 0..2)]).expect("processed");
    model.never_commit(CHANNEL);
    let mut batches = [batch(0, 1..5), batch(1, 0..3), batch(2, 0..1)];
    batches[2].topic = "unknown".into();
    let report = process(&stream, &model, &batches).expect("processed");
    assert_eq!(report.done.iter().map(|p| p.partition).collect::<Vec<_>>(), [1]);
    let failed: Vec<_> = report.failed.iter().map(|f| (f.partition, f.offset, f.error.kind())).collect();
    assert_eq!(failed, [(0, 2, Kind::Timeout), (2, 0, Kind::Config)], "the first record that may not be durable");
}

#[test]
fn a_channel_taken_over_once_is_opened_again_and_twice_is_given_up() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    process(&stream, &model, &[batch(0, 0..2)]).expect("processed");
    model.take_over(CHANNEL, 1);
    assert_eq!(process(&stream, &model, &[batch(0, 2..4)]).expect("processed").failed.len(), 0);
    model.take_over(CHANNEL, 2);
    let report = process(&stream, &model, &[batch(0, 4..6)]).expect("processed");
    assert_eq!((report.failed[0].offset, report.failed[0].error.kind()), (4, Kind::Conflict));
    assert_eq!(model.rows_in(CHANNEL), [0, 1, 2, 3]);
}

#[test]
fn a_forgotten_channel_goes_on_from_the_rows_in_the_table() {
    let model = Model::calm();
    process(&stream(&model, Duration::ZERO), &model, &[batch(0, 0..5)]).expect("processed");
    model.forget(CHANNEL);
    process(&stream(&model, Duration::ZERO), &model, &[batch(0, 3..7)]).expect("processed");
    assert_eq!(model.rows_in(CHANNEL), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn refused_rows_raise_an_alarm_and_stop_nothing() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    model.refuse(CHANNEL, 1);
    let report = process(&stream, &model, &[batch(0, 0..3)]).expect("processed");
    assert_eq!((report.done[0].rows, report.done[0].refused), (2, 1));
    process(&stream, &model, &[batch(0, 3..5)]).expect("processed");
    let told = model.announced("LoadFailed");
    assert_eq!(told.len(), 1, "once: the count is compared, not looked at");
    let kept = model.objects(&format!("refused/{CHANNEL}/"));
    let [(key, body)] = &kept[..] else { panic!("one object: {kept:?}") };
    let text = told[0]["reason"].as_str().expect("a reason");
    assert!(text.ends_with(key.as_str()), "{text} says where the reason is");
    assert!(!text.contains("s3cret"), "a value of a row is in nobody's mailbox: {text}");
    let body: serde_json::Value = serde_json::from_slice(body).expect("json");
    let expected = serde_json::json!({"channel": CHANNEL, "refused": 1, "first_offset": 0, "last_offset": 2,
        "reason": "row 1: 's3cret' is not recognized"});
    assert_eq!(body, expected);
}

#[test]
fn refused_rows_are_announced_by_the_next_owner_after_a_death() {
    let model = Model::calm();
    model.refuse(CHANNEL, 1);
    let dying = stream(&model, Duration::ZERO);
    model.bus_is_down(true);
    let report = process(&dying, &model, &[batch(0, 0..3)]).expect("processed");
    assert_eq!(report.failed.len(), 1, "committed, and nobody told");
    drop(dying);
    model.bus_is_down(false);
    assert!(model.announced("LoadFailed").is_empty());
    for first in [0, 3] {
        process(&stream(&model, Duration::ZERO), &model, &[batch(0, first..first + 3)]).expect("processed");
    }
    let told = model.announced("LoadFailed");
    assert_eq!(told.len(), 1, "once, however often the channel is opened: {told:?}");
    assert!(told[0]["reason"].as_str().is_some_and(|reason| reason.contains("refused 1 rows")), "{told:?}");
    let kept = model.objects(&format!("refused/{CHANNEL}/"));
    let body: serde_json::Value = serde_json::from_slice(&kept[0].1).expect("json");
    assert_eq!((&body["first_offset"], &body["last_offset"]), (&serde_json::Value::Null, &serde_json::json!(2)));
    assert_eq!(body["reason"], "row 1: 's3cret' is not recognized");
}

#[test]
fn a_batch_far_below_the_offset_is_kept_and_reported_once() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    process(&stream, &model, &[batch(0, 500_000..500_001)]).expect("processed");
    for first in [0, 10] {
        let report = process(&stream, &model, &[batch(0, first..first + 10)]).expect("processed");
        assert_eq!(report.done[0].skipped, 10);
    }
    assert!(model.archived("2025-10-31", 0, 10, 19).is_some());
    assert_eq!(model.announced("LoadFailed").len(), 1);
    process(&stream, &model, &[batch(0, 499_990..500_000)]).expect("a redelivery");
    assert_eq!(model.archived("2025-10-31", 0, 499_990, 499_999), None);
}

#[test]
fn a_table_is_announced_once_per_interval_with_all_rows_since() {
    let model = Model::calm();
    let stream = stream(&model, Duration::from_secs(60));
    for (seconds, first) in [(0, 0), (30, 5), (29, 10), (2, 15)] {
        model.advance(Duration::from_secs(seconds));
        process(&stream, &model, &[batch(0, first..first + 5), batch(1, first..first + 1)]).expect("processed");
    }
    let announced = model.announced("TableLoaded");
    let rows: Vec<_> = announced.iter().map(|detail| detail["rows"].as_u64()).collect();
    assert_eq!(rows, [Some(6), Some(18)]);
    assert_eq!(announced[1]["id"], format!("{TABLE}#purchases-0:19,purchases-1:15"));
}

#[test]
fn the_last_rows_of_a_burst_wake_dispatch_after_their_interval() {
    let model = Model::calm();
    let stream = stream(&model, Duration::from_secs(60));
    let mut begun = Vec::new();
    for (seconds, first) in [(0, 0), (10, 5), (10, 10), (300, 15), (20, 20)] {
        model.advance(Duration::from_secs(seconds));
        begun.push(Clock::now(&model));
        process(&stream, &model, &[batch(0, first..first + 5)]).expect("processed");
    }
    assert_eq!(model.announced("TableLoaded").len(), 2, "the first batch of each burst");
    let messages = model.messages();
    assert_eq!(messages.len(), 2, "one for each burst, whatever came in it: {messages:?}");
    for ((body, at), burst) in messages.iter().zip([begun[0], begun[3]]) {
        let late = (*at - burst).num_milliseconds() - 60_000;
        assert!((0..1_000).contains(&late), "{late} ms after the interval");
        let message: Message = serde_json::from_value(body.clone()).expect("a message of the dispatch loop");
        assert!(matches!(message, Message::Wake { force: false, resume: false, .. }), "{message:?}");
    }
}

#[test]
fn a_wake_that_cannot_be_sent_is_sent_by_the_redelivery() {
    let model = Model::calm();
    let stream = stream(&model, Duration::from_secs(60));
    process(&stream, &model, &[batch(0, 0..5)]).expect("processed");
    model.bus_is_down(true);
    process(&stream, &model, &[batch(0, 5..9)]).expect_err("nobody would be woken");
    model.bus_is_down(false);
    let report = process(&stream, &model, &[batch(0, 5..9)]).expect("processed");
    assert_eq!((report.done[0].skipped, model.messages().len()), (4, 1));
}

#[test]
fn an_announcement_that_fails_is_made_by_the_redelivery() {
    let model = Model::calm();
    let stream = stream(&model, Duration::from_secs(60));
    model.bus_is_down(true);
    process(&stream, &model, &[batch(0, 0..5)]).expect_err("nobody was told");
    model.bus_is_down(false);
    let report = process(&stream, &model, &[batch(0, 0..5)]).expect("processed");
    assert_eq!(report.done[0].skipped, 5);
    assert_eq!(model.announced("TableLoaded")[0]["rows"], 5);
    assert_eq!(model.rows_in(CHANNEL), [0, 1, 2, 3, 4]);
}

/// A topic whose values are the model's format: JSON after one byte.
const OTHER_FORMAT: &str = "
tables:
  - table: STREAMING.PUBLIC.ORDERS
    description: d
    source: { kind: kafka, topic: orders, format: avro }
    loader: streaming
    disposition: append
    key: [id]
    columns: [{ name: id, type: bigint, required: true, minimum: 1 }]
";

#[test]
fn a_topic_in_another_format_is_decoded_and_kept_as_it_was_received() {
    let model = Model::calm();
    let sources = Sources::parse(OTHER_FORMAT).expect("valid sources");
    let stream = stream_of(&model, Duration::ZERO, sources, "cluster");
    let record = |offset, value: Option<&'static str>| Record { value: value.map(Into::into), ..record(offset, true) };
    let values = [Some(r#"!{"id":1}"#), Some(r#"{"id":2}"#), None, Some(r#"!{"id":0}"#), Some(r#"!{"id":5}"#)];
    let records = values.into_iter().enumerate().map(|(offset, value)| record(offset as i64, value)).collect();
    let batch = Batch { topic: "orders".into(), partition: 0, records };

    model.decoder_is_down(true);
    let report = process(&stream, &model, std::slice::from_ref(&batch)).expect("processed");
    assert_eq!((report.failed[0].offset, report.failed[0].error.kind()), (0, Kind::Unavailable));
    assert!(model.objects("dead-letter/").is_empty(), "a record that could not be read is not a bad record");

    model.decoder_is_down(false);
    let report = process(&stream, &model, &[batch]).expect("processed");
    assert_eq!((report.done[0].rows, report.done[0].dead_letters), (2, 3));
    assert_eq!(model.rows_in("lake_cluster_orders_0"), [0, 4]);
    let reasons: Vec<(String, serde_json::Value)> = model
        .objects("dead-letter/orders/0/")
        .iter()
        .map(|(_, body)| serde_json::from_slice::<serde_json::Value>(body).expect("json"))
        .map(|letter| (letter["reason"].as_str().expect("a reason").to_owned(), letter["value"].clone()))
        .collect();
    let expected = [
        ("the value is not of the model's format".to_owned(), serde_json::json!("eyJpZCI6Mn0=")),
        ("the record has no value".to_owned(), serde_json::json!(null)),
        ("id: is below 1".to_owned(), serde_json::json!("IXsiaWQiOjB9")),
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn rows_that_cannot_be_compressed_stay_below_the_limit_of_a_request() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    let mut random = model::Random::new(7);
    let mut noise = |bytes: usize| (0..bytes).map(|_| char::from(b'#' + random.below(56) as u8)).collect::<String>();
    let records = (0..40).map(|offset| {
        let value = format!(
            r#"{{"event_id":"e{offset}","customer_email":"{}","product_id":1,"quantity":1,
            "purchase_ts":"2025-10-31T00:00:00Z","schema_version":1}}"#,
            noise(150_000 * (1 + offset as usize % 5))
        );
        Record { value: Some(value.into()), ..record(offset, true) }
    });
    let batch = Batch { records: records.collect(), ..batch(0, []) };
    let report = process(&stream, &model, &[batch]).expect("processed");
    assert_eq!((report.done[0].rows, report.done[0].committed), (40, Some(39)));
    assert_eq!(model.rows_in(CHANNEL), (0..40).collect::<Vec<_>>());
    for packed in model.packed_sizes() {
        assert!(packed <= 4_000_000, "{packed}");
    }
    assert!(model.packed_sizes().len() >= 5, "the rows are as large packed as they are: {:?}", model.packed_sizes());
}

#[test]
fn a_row_that_fills_an_append_alone_is_judged_as_it_travels() {
    let model = Model::calm();
    let stream = stream(&model, Duration::ZERO);
    let mut random = model::Random::new(7);
    let mut noise = |bytes: usize| (0..bytes).map(|_| char::from(b'#' + random.below(56) as u8)).collect::<String>();
    let (zeros, too_long) = ("0".repeat(6_000_000), "0".repeat(16_000_000));
    let emails = ["a".into(), zeros, noise(6_000_000), too_long, "b".into(), noise(4_500_000)];
    let records = (0..).zip(emails).map(|(offset, email): (i64, String)| {
        let value = format!(
            r#"{{"event_id":"e{offset}","customer_email":"{email}","product_id":1,"quantity":1,
            "purchase_ts":"2025-10-31T00:00:00Z","schema_version":1}}"#
        );
        Record { value: Some(value.into()), ..record(offset, true) }
    });
    let batch = Batch { records: records.collect(), ..batch(0, []) };
    let report = process(&stream, &model, &[batch]).expect("processed");
    assert_eq!((report.done[0].rows, report.done[0].dead_letters), (4, 2));
    assert_eq!(model.rows_in(CHANNEL), [0, 1, 4, 5]);
    assert!(
        model.packed_sizes().iter().all(|packed| *packed <= model.limits().packed_bytes),
        "{:?}",
        model.packed_sizes()
    );
    let reasons: Vec<String> = model
        .objects("dead-letter/purchases/0/")
        .iter()
        .map(|(_, body)| serde_json::from_slice::<serde_json::Value>(body).expect("json")["reason"].to_string())
        .collect();
    assert!(reasons[0].contains("larger than 4000000 bytes when it is compressed"), "{reasons:?}");
    assert!(reasons[1].contains("larger than 16000000 bytes"), "{reasons:?}");
}
