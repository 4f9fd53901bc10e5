//! A record as Kafka has it, and the two forms in which the lake keeps it: archive line and dead letter.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate};
use serde::Serialize;
use sluice_core::{Error, Result, lake};

use super::Offsets;

/// Level 3 is zstd's own default: archives are written far more often than read.
const COMPRESSION_LEVEL: i32 = 3;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC; negative when the record has none.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// In the order of the record; names may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Records of one partition, offsets strictly increasing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub topic: String,
    pub partition: i32,
    pub records: Vec<Record>,
}

/// The record's bytes and everything Kafka said about it. No clock: written twice, it is the same object.
#[derive(Serialize)]
struct Kept<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(&'a str, Option<String>)>,
}

impl<'a> Kept<'a> {
    fn new(topic: &'a str, partition: i32, record: &'a Record, reason: Option<&'a str>) -> Self {
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
        Kept {
            topic,
            partition,
            offset: record.offset,
            timestamp: record.timestamp_ms,
            reason,
            key: text(&record.key),
            value: text(&record.value),
            headers: record.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect(),
        }
    }
}

/// The record and why it is not in the table.
pub(super) fn dead_letter(topic: &str, partition: i32, record: &Record, reason: &str) -> Result<Bytes> {
    serde_json::to_vec(&Kept::new(topic, partition, record, Some(reason)))
        .map(Bytes::from)
        .map_err(|error| Error::internal("cannot encode a dead letter").because(error))
}

/// Where the records are archived: a function of the records alone.
pub(super) fn archive_key(topic: &str, partition: i32, records: &[Record], offsets: Offsets) -> String {
    let timestamp = records.first().and_then(|record| DateTime::from_timestamp_millis(record.timestamp_ms));
    let date = timestamp.map_or(NaiveDate::default(), |timestamp| timestamp.date_naive());
    lake::archive_key(topic, date, partition, offsets.first, offsets.last)
}

/// The records as they were received, one JSON object per line.
pub(super) fn archive(topic: &str, partition: i32, records: &[Record]) -> Result<Bytes> {
    let failed = |error: std::io::Error| Error::internal("cannot encode an archive").because(error);
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, &Kept::new(topic, partition, record, None)).map_err(|e| failed(e.into()))?;
        lines.push(b'\n');
    }
    zstd::bulk::compress(&lines, COMPRESSION_LEVEL).map(Bytes::from).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, timestamp_ms: i64) -> Record {
        Record {
            offset,
            timestamp_ms,
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from_static(&[0xff, 0])),
            headers: vec![("h".into(), Some(Bytes::from_static(b"1"))), ("h".into(), None)],
        }
    }

    #[test]
    fn an_archive_holds_each_record_as_received() {
        let packed = archive("t", 2, &[record(5, 1_000), record(6, -1)]).expect("encodes");
        let lines = zstd::stream::decode_all(&packed[..]).expect("zstd");
        let text = String::from_utf8(lines).expect("text");
        assert_eq!(
            text.lines().next(),
            Some(
                r#"{"topic":"t","partition":2,"offset":5,"timestamp":1000,"key":"aw==","value":"/wA=","headers":[["h","MQ=="],["h",null]]}"#
            )
        );
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn the_archive_lies_under_the_date_of_its_first_record() {
        let key = |timestamp| archive_key("t", 2, &[record(5, timestamp)], Offsets { first: 5, last: 9 });
        assert_eq!(key(1_761_868_799_999), "archive/t/2025-10-30/2-5-9.ndjson.zst");
        assert_eq!(key(1_761_868_800_000), "archive/t/2025-10-31/2-5-9.ndjson.zst");
    }
}
