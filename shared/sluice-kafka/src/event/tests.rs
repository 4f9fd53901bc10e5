use serde_json::json;

use super::*;

/// Both ways in must agree: the function reads text, tests and tools read values.
fn read(event: &serde_json::Value) -> Result<Vec<Batch>> {
    let parsed = KafkaEvent::parse(&event.to_string());
    let valued = serde_json::from_value::<KafkaEvent>(event.clone());
    assert_eq!(parsed.as_ref().ok(), valued.as_ref().ok(), "{event}");
    parsed?.into_partitions()
}

fn partitions(event: serde_json::Value) -> Vec<Batch> {
    read(&event).expect("readable records")
}

#[test]
fn records_are_grouped_by_partition_and_ordered_by_offset() {
    let record =
        |partition: i32, offset: i64| json!({"topic": "a-b", "partition": partition, "offset": offset, "timestamp": 7});
    let groups = partitions(json!({
        "eventSource": "aws:kafka", "eventSourceArn": "arn", "bootstrapServers": null,
        "records": {"a-b-1": [record(1, 9)], "a-b-0": [record(0, 10), record(0, 9), record(0, 10)]}
    }));
    let offsets: Vec<(i32, Vec<i64>)> =
        groups.iter().map(|group| (group.partition, group.records.iter().map(|r| r.offset).collect())).collect();
    assert_eq!(offsets, [(0, vec![9, 10]), (1, vec![9])]);
}

#[test]
fn topics_and_partitions_of_one_event_are_kept_apart_in_any_order() {
    let record =
        |topic: &str, partition: i32, offset: i64| json!({"topic": topic, "partition": partition, "offset": offset});
    let groups = partitions(json!({"eventSource": "SelfManagedKafka", "records": {
        // A group that holds another partition's records: the record's own word counts.
        "b-0": [record("b", 0, 5), record("a", 1, 7), record("b", 0, 9), record("a", 1, 3)],
        "a-1": [record("a", 1, 4)],
        "a-0": [record("a", 0, 1)],
    }}));
    let shape: Vec<(&str, i32, Vec<i64>)> = groups
        .iter()
        .map(|group| (group.topic.as_str(), group.partition, group.records.iter().map(|r| r.offset).collect()))
        .collect();
    assert_eq!(shape, [("a", 0, vec![1]), ("a", 1, vec![3, 4, 7]), ("b", 0, vec![5, 9])]);
}

#[test]
fn a_record_may_leave_out_all_but_its_offset() {
    let groups = partitions(json!({"eventSource": "SelfManagedKafka", "records": {"shop-events-12": [{"offset": 3}]}}));
    let record = Record { offset: 3, timestamp_ms: -1, key: None, value: None, headers: Vec::new() };
    assert_eq!(groups, [Batch { topic: "shop-events".into(), partition: 12, records: vec![record] }]);
}

#[test]
fn keys_and_values_are_bytes_and_null_is_not_empty() {
    let groups = partitions(json!({"eventSource": "aws:kafka", "records": {"t-0": [
        {"topic": "t", "partition": 0, "offset": 0, "key": null, "value": ""},
        {"topic": "t", "partition": 0, "offset": 1, "key": "/wA=", "value": null},
        {"topic": "t", "partition": 0, "offset": 2, "key": "\u{2f}wA=", "headers": null,
            "valueSchemaMetadata": {"dataFormat": "JSON", "schemaId": "1"}, "timestampType": "LOG_APPEND_TIME"},
    ]}}));
    let record = &groups[0].records;
    assert_eq!((&record[0].key, record[0].value.as_deref()), (&None, Some(&b""[..])));
    assert_eq!((record[1].key.as_deref(), &record[1].value), (Some(&[255, 0][..]), &None));
    assert_eq!(record[2].key.as_deref(), Some(&[255, 0][..]));
}

#[test]
fn an_event_of_six_megabytes_keeps_every_byte() {
    let value = |offset: usize| -> Vec<u8> { (0..offset % 700).map(|i| (i * 31 + offset) as u8).collect() };
    let records: Vec<_> = (0..13_000)
        .map(|offset| {
            json!({"topic": "t", "partition": 0, "offset": offset, "timestamp": 1,
            "value": STANDARD.encode_to_string(value(offset)), "headers": []})
        })
        .collect();
    let event = json!({"eventSource": "aws:kafka", "records": {"t-0": records}}).to_string();
    assert!(event.len() > 6_000_000, "{}", event.len());
    let groups = KafkaEvent::parse(&event).and_then(KafkaEvent::into_partitions).expect("readable records");
    assert_eq!(groups[0].records.len(), 13_000);
    for (offset, record) in groups[0].records.iter().enumerate() {
        assert_eq!(record.value.as_deref(), Some(&value(offset)[..]), "{offset}");
    }
}

#[test]
fn an_event_without_records_has_no_partitions() {
    for records in [json!(null), json!({}), json!({"t-0": []}), json!({"t-0": null})] {
        assert_eq!(partitions(json!({"eventSource": "aws:kafka", "records": records})), []);
    }
    assert_eq!(partitions(json!({"eventSource": "aws:kafka"})), []);
}

#[test]
fn what_is_not_a_kafka_event_is_refused_by_name_and_without_its_content() {
    let of_sqs = read(&json!({"eventSource": "aws:sqs"})).expect_err("not Kafka");
    assert!(of_sqs.to_string().contains("aws:sqs"), "{of_sqs}");
    for (event, part) in [
        (json!({"eventSource": "aws:kafka", "records": {"t-0": [{"offset": 4, "value": "s3cret!"}]}}), "offset=4"),
        (json!({"eventSource": "aws:kafka", "records": {"nameless": [{"offset": 4}]}}), "names no topic"),
        (json!({"Records": []}), "eventSource"),
    ] {
        let error = read(&event).expect_err("refused").chain();
        assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
    }
    let error = KafkaEvent::parse("{\"eventSource\": s3cret}").expect_err("not JSON").chain();
    assert!(!error.contains("s3cret"), "{error}");
}
