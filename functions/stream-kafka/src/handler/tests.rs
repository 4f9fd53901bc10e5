//! The sample events as the function reads them.

use sluice_core::{Batch, Record};

use super::*;

fn read(event: &str) -> Vec<Batch> {
    KafkaEvent::parse(event).and_then(KafkaEvent::into_partitions).expect("readable records")
}

#[test]
fn every_sample_event_is_read() {
    let shapes = |event| -> Vec<(i32, Vec<i64>)> {
        let offsets = |batch: &Batch| batch.records.iter().map(|record| record.offset).collect();
        read(event).iter().map(|batch| (batch.partition, offsets(batch))).collect()
    };
    assert_eq!(shapes(include_str!("../../../../events/stream-kafka/empty.json")), []);
    assert_eq!(
        shapes(include_str!("../../../../events/stream-kafka/msk-two-partitions.json")),
        [(0, vec![4, 5]), (2, vec![2])]
    );
    assert_eq!(
        shapes(include_str!("../../../../events/stream-kafka/msk-poison-record.json")),
        [(0, vec![2, 3, 4, 5, 6, 7])]
    );
    assert_eq!(shapes(include_str!("../../../../events/stream-kafka/self-managed.json")), [(0, vec![0, 1])]);
    let sparse = read(include_str!("../../../../events/stream-kafka/self-managed-tombstone-and-gap.json"));
    let has = |record: &Record| (record.offset, record.key.is_some(), record.value.is_some());
    let records = |batch: &Batch| batch.records.iter().map(has).collect::<Vec<_>>();
    assert_eq!(records(&sparse[0]), [(0, false, false), (4, false, true)]);
    let headers =
        &read(include_str!("../../../../events/stream-kafka/msk-headers-decimal-strings.json"))[0].records[0].headers;
    assert_eq!(headers[0], ("trace".to_owned(), Some(bytes::Bytes::from_static("t-ë".as_bytes()))));
    assert_eq!(headers[1], ("source".to_owned(), Some(bytes::Bytes::from_static(b"web"))));
}
