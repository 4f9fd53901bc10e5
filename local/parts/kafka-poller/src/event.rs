//! The event that Lambda makes of Kafka records, written without a tree of values in between: it is megabytes long.

use std::{collections::VecDeque, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use rskafka::record::RecordAndOffset;

/// A synchronous invocation takes 6 MiB; the rest is for the envelope.
pub(crate) const PAYLOAD_BYTES: usize = 6_000_000;

/// The records that wait in one partition, in order.
pub(crate) struct Waiting<'a> {
    pub partition: i32,
    pub records: &'a VecDeque<RecordAndOffset>,
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
pub(crate) fn record_bytes(topic_bytes: usize, RecordAndOffset { record, .. }: &RecordAndOffset) -> usize {
    /// The fields' names, and the numbers.
    const FRAME_BYTES: usize = 130;
    /// A header's byte is a number and a comma.
    const HEADER_BYTE: usize = 4;

    let in_base64 = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, |bytes| bytes.len().div_ceil(3) * 4);
    let headers = record.headers.iter().map(|(name, value)| name.len() + value.len() * HEADER_BYTE).sum::<usize>();
    FRAME_BYTES + topic_bytes + in_base64(&record.key) + in_base64(&record.value) + headers
}

/// Writes a comma and the record.
fn write_record(topic: &str, partition: i32, record: &RecordAndOffset, out: &mut String) {
    let RecordAndOffset { record, offset } = record;
    let timestamp = record.timestamp.timestamp_millis();
    let _ = write!(
        out,
        r#",{{"topic":{topic},"partition":{partition},"offset":{offset},"timestamp":{timestamp},"timestampType":"CREATE_TIME""#
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
        // Lambda is a JVM program here: its bytes are signed.
        let bytes: Vec<i8> = value.iter().map(|byte| byte.cast_signed()).collect();
        let header = serde_json::json!({ name: bytes });
        let _ = write!(out, "{}{header}", if i == 0 { "" } else { "," });
    }
    out.push_str("]}");
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rskafka::record::Record;
    use sluice_kafka::KafkaEvent;

    use super::*;

    fn records(count: i64, bytes: usize) -> VecDeque<RecordAndOffset> {
        let record = |offset| RecordAndOffset {
            record: Record {
                key: (offset != 0).then(|| vec![b'k']),
                value: Some(vec![b'v'; bytes]),
                headers: [("h".to_owned(), "ë".as_bytes().to_vec())].into(),
                timestamp: DateTime::from_timestamp_millis(1_761_868_800_123).expect("a time"),
            },
            offset,
        };
        (0..count).map(record).collect()
    }

    fn of(partition: i32, records: &VecDeque<RecordAndOffset>) -> Waiting<'_> {
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
        assert_eq!(record.headers[0].value.as_deref(), Some("ë".as_bytes()));
        assert_eq!(partitions[0].records[0].key, None);
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
