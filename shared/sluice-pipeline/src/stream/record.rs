//! A record as Kafka has it, and the two forms in which the lake keeps it: archive line and dead letter.

use std::io::Write;

use base64_simd::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate};
use serde::Serialize;
use sluice_core::{Error, Result, lake};

use super::Offsets;

/// Archives are written far more often than read.
const COMPRESSION_LEVEL: i32 = 1;
/// Lines are handed to the compressor in pieces of about this size, so that they never stand in memory all at once.
const PIECE_BYTES: usize = 128 << 10;

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
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| STANDARD.encode_to_string(bytes));
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
    let begin = format!(r#"{{"topic":{},"partition":{partition},"offset":"#, serde_json::Value::from(topic));
    let mut packed = zstd::stream::Encoder::new(Vec::new(), COMPRESSION_LEVEL).map_err(failed)?;
    let mut lines = String::with_capacity(PIECE_BYTES * 2);
    for record in records {
        write_line(&begin, record, &mut lines);
        if lines.len() >= PIECE_BYTES {
            packed.write_all(lines.as_bytes()).map_err(failed)?;
            lines.clear();
        }
    }
    packed.write_all(lines.as_bytes()).map_err(failed)?;
    packed.finish().map(Bytes::from).map_err(failed)
}

/// [`Kept`] as its serializer would write it, but for the pace: an event holds tens of thousands of records.
fn write_line(begin: &str, record: &Record, line: &mut String) {
    let mut digits = itoa::Buffer::new();
    line.push_str(begin);
    line.push_str(digits.format(record.offset));
    line.push_str(r#","timestamp":"#);
    line.push_str(digits.format(record.timestamp_ms));
    line.push_str(r#","key":"#);
    write_bytes(record.key.as_ref(), line);
    line.push_str(r#","value":"#);
    write_bytes(record.value.as_ref(), line);
    line.push_str(r#","headers":["#);
    for (i, (name, value)) in record.headers.iter().enumerate() {
        line.push_str(if i == 0 { "[" } else { ",[" });
        line.push_str(&serde_json::Value::from(name.as_str()).to_string());
        line.push(',');
        write_bytes(value.as_ref(), line);
        line.push(']');
    }
    line.push_str("]}\n");
}

fn write_bytes(bytes: Option<&Bytes>, line: &mut String) {
    match bytes {
        Some(bytes) => {
            line.push('"');
            STANDARD.encode_append(bytes, line);
            line.push('"');
        }
        None => line.push_str("null"),
    }
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
    fn a_line_is_what_the_serializer_writes() {
        let mut odd = record(i64::MAX, i64::MIN);
        (odd.key, odd.value) = (None, None);
        odd.headers = vec![("\"quoted\"\n".into(), Some(Bytes::new())), (String::new(), None)];
        for record in [record(0, 0), odd] {
            let packed = archive("a \"topic\"", -1, std::slice::from_ref(&record)).expect("encodes");
            let line = zstd::stream::decode_all(&packed[..]).expect("zstd");
            let kept = Kept::new("a \"topic\"", -1, &record, None);
            assert_eq!(String::from_utf8(line).expect("text"), serde_json::to_string(&kept).expect("json") + "\n");
        }
    }

    #[test]
    fn the_archive_lies_under_the_date_of_its_first_record() {
        let key = |timestamp| archive_key("t", 2, &[record(5, timestamp)], Offsets { first: 5, last: 9 });
        assert_eq!(key(1_761_868_799_999), "archive/t/2025-10-30/2-5-9.ndjson.zst");
        assert_eq!(key(1_761_868_800_000), "archive/t/2025-10-31/2-5-9.ndjson.zst");
    }
}
