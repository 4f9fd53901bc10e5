//! The event that Lambda makes of Kafka records, written without a tree of values in between: it is megabytes long.

use std::{collections::VecDeque, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::kafka_poller::batch::Record;

/// A synchronous invocation takes 6 MiB; the rest is for the envelope.
pub(crate) const PAYLOAD_BYTES: usize = 6_000_000;

/// The records that wait in one partition, in order.
pub(crate) struct Waiting<'a> {
    pub partition: i32,
    pub records: &'a VecDeque<Record>,
    /// The most of them that the event may hold.
    pub most: usize,
}

/// An event and how many of each partition's waiting records are in it, in the order of the partitions given.
pub(crate) struct Event {
    pub payload: String,
    pub taken: Vec<usize>,
}

/// Puts as many records as the limits allow into one event, the same share of each partition as long as it has some.
pub(crate) fn build(bootstrap: &str, topic: &str, waiting: &[Waiting<'_>], batch_size: usize) -> Event {
    let mut taken = vec![0; waiting.len()];
    let mut bodies = vec![String::new(); waiting.len()];
    let (mut count, mut bytes) = (0, 0);
    let topic_json = serde_json::Value::from(topic).to_string();
    'full: loop {
        let before = count;
        for ((partition, taken), body) in waiting.iter().zip(&mut taken).zip(&mut bodies) {
            let Some(record) = partition.records.get(*taken).filter(|_| *taken < partition.most) else { continue };
            let start = body.len();
            write_record(&topic_json, partition.partition, record, body);
            bytes += body.len() - start;
            if count == batch_size || (bytes > PAYLOAD_BYTES && count > 0) {
                body.truncate(start);
                break 'full;
            }
            *taken += 1;
            count += 1;
        }
        if count == before {
            break;
        }
    }
    let mut payload = String::with_capacity(bytes + 1_000);
    let bootstrap = serde_json::Value::from(bootstrap);
    payload.push_str(
        r#"{"eventSource":"aws:kafka","eventSourceArn":"arn:aws:kafka:us-east-1:000000000000:cluster/local/local","#,
    );
    // Writing to a string cannot fail.
    let _ = write!(payload, r#""bootstrapServers":{bootstrap},"records":{{"#);
    let mut separator = "";
    for (partition, body) in waiting.iter().zip(&bodies).filter(|(_, body)| !body.is_empty()) {
        let name = serde_json::Value::from(format!("{topic}-{}", partition.partition));
        let _ = write!(payload, "{separator}{name}:[{}]", &body[1..]);
        separator = ",";
    }
    payload.push_str("}}");
    Event { payload, taken }
}

/// What a record takes in the event, near enough to tell when one is full.
pub(crate) fn record_bytes(topic_bytes: usize, record: &Record) -> usize {
    /// The fields' names, and the numbers.
    const FRAME_BYTES: usize = 130;
    /// A header's byte is a number and a comma.
    const HEADER_BYTE: usize = 4;

    let in_base64 = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, |bytes| bytes.len().div_ceil(3) * 4);
    let headers = record
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) * HEADER_BYTE)
        .sum::<usize>();
    FRAME_BYTES + topic_bytes + in_base64(&record.key) + in_base64(&record.value) + headers
}

/// Writes a comma and the record.
fn write_record(topic: &str, partition: i32, record: &Record, out: &mut String) {
    let Record { offset, timestamp, .. } = record;
    let kind = if record.is_append_time { "LOG_APPEND_TIME" } else { "CREATE_TIME" };
    let _ = write!(
        out,
        r#",{{"topic":{topic},"partition":{partition},"offset":{offset},"timestamp":{timestamp},"timestampType":"{kind}""#
    );
    for (name, bytes) in [("key", &record.key), ("value", &record.value)] {
        if let Some(bytes) = bytes {
            let _ = write!(out, r#","{name}":""#);
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
    }
    out.push_str(r#","headers":["#);
    for (i, (name, value)) in record.headers.iter().enumerate() {
        // Lambda is a JVM program here: its bytes are signed. Of a header without a value not even the name is left.
        let header = match value {
            Some(bytes) => {
                let bytes: Vec<i8> = bytes.iter().map(|byte| byte.cast_signed()).collect();
                serde_json::json!({ name: bytes })
            }
            None => serde_json::json!({}),
        };
        let _ = write!(out, "{}{header}", if i == 0 { "" } else { "," });
    }
    out.push_str("]}");
}

#[cfg(test)]
mod tests {
    use sluice_kafka::KafkaEvent;

    use super::*;

    fn records(count: i64, bytes: usize) -> VecDeque<Record> {
        let record = |offset| Record {
            offset,
            timestamp: 1_761_868_800_123,
            is_append_time: false,
            key: (offset != 0).then(|| vec![b'k']),
            value: Some(vec![b'v'; bytes]),
            headers: vec![("h".to_owned(), Some("ë".as_bytes().to_vec()))],
        };
        (0..count).map(record).collect()
    }

    fn of(partition: i32, records: &VecDeque<Record>) -> Waiting<'_> {
        Waiting { partition, records, most: usize::MAX }
    }

    #[test]
    fn the_event_is_what_the_function_reads() {
        let (some, none) = (records(2, 3), VecDeque::new());
        let waiting = [of(0, &some), of(1, &none)];
        let event = build("127.0.0.1:9092", "shop-events", &waiting, 100);
        assert_eq!(event.taken, [2, 0]);
        let parsed = KafkaEvent::parse(&event.payload).expect("a Kafka event");
        let partitions = parsed.into_partitions().expect("readable");
        assert_eq!(partitions.len(), 1, "a partition without records is not in the event");
        let record = &partitions[0].records[1];
        assert_eq!((partitions[0].topic.as_str(), partitions[0].partition, record.offset), ("shop-events", 0, 1));
        assert_eq!(record.timestamp_ms, 1_761_868_800_123);
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"k"[..]), Some(&b"vvv"[..])));
        assert_eq!(record.headers[0].1.as_deref(), Some("ë".as_bytes()));
        assert_eq!(partitions[0].records[0].key, None);
    }

    #[test]
    fn a_header_without_a_value_and_any_timestamp_travel_as_lambda_sends_them() {
        let mut odd = records(1, 3);
        odd[0].timestamp = i64::MAX;
        odd[0].is_append_time = true;
        odd[0].headers =
            vec![("h".to_owned(), Some(vec![0xff])), ("none".to_owned(), None), ("h".to_owned(), Some(Vec::new()))];
        let event = build("b", "t", &[of(0, &odd)], 10);
        let json: serde_json::Value = serde_json::from_str(&event.payload).expect("JSON");
        let record = &json["records"]["t-0"][0];
        assert_eq!(record["headers"], serde_json::json!([{"h": [-1]}, {}, {"h": []}]));
        assert_eq!((&record["timestamp"], &record["timestampType"]), (&i64::MAX.into(), &"LOG_APPEND_TIME".into()));
        let parsed = KafkaEvent::parse(&event.payload).and_then(KafkaEvent::into_partitions).expect("readable");
        let read = &parsed[0].records[0];
        assert_eq!((read.timestamp_ms, read.headers.len()), (i64::MAX, 2));
    }

    #[test]
    fn records_and_bytes_are_limited_and_shared() {
        let (many, few) = (records(100, 10), records(3, 10));
        let waiting = [of(0, &many), of(1, &few)];
        assert_eq!(build("b", "t", &waiting, 10).taken, [7, 3]);
        assert_eq!(build("b", "t", &waiting, 5).taken, [3, 2]);
        let held = [Waiting { most: 1, ..of(0, &many) }, of(1, &few)];
        assert_eq!(build("b", "t", &held, 10).taken, [1, 3], "a partition that is sent in halves holds up no other");

        let large = records(10, 1_000_000);
        let waiting = [of(0, &large)];
        let event = build("b", "t", &waiting, 10);
        assert_eq!(event.taken, [4]);
        assert!(event.payload.len() < PAYLOAD_BYTES + 1_000);

        for records in [&many, &large] {
            let event = build("b", "t", &[of(0, records)], usize::MAX);
            let taken = records.iter().take(event.taken[0]);
            let counted: usize = taken.map(|record| record_bytes(1, record)).sum();
            let off = counted.abs_diff(event.payload.len());
            assert!(off * 5 < event.payload.len(), "{counted} counted, {} sent", event.payload.len());
        }

        let huge = records(2, 7_000_000);
        let waiting = [of(0, &huge)];
        assert_eq!(build("b", "t", &waiting, 10).taken, [1], "a record beyond the limit is tried alone");
    }
}
