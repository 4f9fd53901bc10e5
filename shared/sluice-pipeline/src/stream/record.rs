//! The two forms in which the lake keeps a record: archive line and dead letter.

use std::{
    borrow::Cow,
    io::{BufRead, BufReader, Read, Write},
};

use base64_simd::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Datelike, NaiveDate};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Record, Result, lake};

/// Archives are written far more often than read.
const COMPRESSION_LEVEL: i32 = 1;
/// Lines are handed to the compressor in pieces of about this size, so that they never stand in memory all at once.
const PIECE_BYTES: usize = 128 << 10;
/// An event is 6 MB; what claims to hold more than this is no archive of one.
const MOST_UNPACKED_BYTES: u64 = 256 << 20;

/// The record's bytes and everything Kafka said about it. No clock: written twice, it is the same object.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept<'a> {
    topic: Cow<'a, str>,
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(Cow<'a, str>, Option<String>)>,
}

impl<'a> Kept<'a> {
    fn new(topic: &'a str, partition: i32, record: &'a Record, reason: Option<&'a str>) -> Self {
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| STANDARD.encode_to_string(bytes));
        Kept {
            topic: topic.into(),
            partition,
            offset: record.offset,
            timestamp: record.timestamp_ms,
            reason: reason.map(Cow::from),
            key: text(&record.key),
            value: text(&record.value),
            headers: record.headers.iter().map(|(name, value)| (name.as_str().into(), text(value))).collect(),
        }
    }

    fn into_record(self) -> Result<Record, String> {
        let bytes = |text: Option<String>| {
            let bytes = text.map(|text| STANDARD.decode_to_vec(text.as_bytes())).transpose();
            bytes.map(|bytes| bytes.map(Bytes::from)).map_err(|_| "its bytes are not base64".to_owned())
        };
        let headers = self.headers.into_iter().map(|(name, value)| Ok((name.into_owned(), bytes(value)?)));
        Ok(Record {
            offset: self.offset,
            timestamp_ms: self.timestamp,
            key: bytes(self.key)?,
            value: bytes(self.value)?,
            headers: headers.collect::<Result<_, String>>()?,
        })
    }
}

impl Kept<'_> {
    /// The records of an archive, which must be of this topic and partition, in strictly increasing order.
    pub(crate) fn read_archive(packed: &[u8], topic: &str, partition: i32) -> Result<Vec<Record>> {
        let failed = |error: std::io::Error| Error::invalid_data("an archive cannot be unpacked").because(error);
        let unpacked = zstd::stream::Decoder::new(packed).map_err(failed)?.take(MOST_UNPACKED_BYTES);
        let mut records: Vec<Record> = Vec::new();
        for (line, number) in BufReader::with_capacity(PIECE_BYTES, unpacked).split(b'\n').zip(1_u64..) {
            let bad = |reason: String| {
                Error::invalid_data("a line of an archive is not a record of it").with("line", number).because(reason)
            };
            let line = line.map_err(failed)?;
            // The parser's own words may quote what it stumbled over.
            let parsed = serde_json::from_slice(&line);
            let kept: Kept<'_> =
                parsed.map_err(|error| bad(format!("it does not parse (column {})", error.column())))?;
            if kept.topic != topic || kept.partition != partition {
                return Err(bad("it is of another partition".to_owned()));
            }
            let record = kept.into_record().map_err(bad)?;
            if records.last().is_some_and(|last| last.offset >= record.offset) {
                return Err(bad("its offset is not above that of the line before".to_owned()));
            }
            records.push(record);
        }
        Ok(records)
    }
}

impl Kept<'_> {
    /// A dead letter's reason, partition and record.
    pub(crate) fn read_letter(body: &[u8]) -> Result<(String, i32, Record)> {
        let bad = || Error::invalid_data("an object is no dead letter");
        // The parser's own words may quote what it stumbled over.
        let mut kept: Kept<'_> =
            serde_json::from_slice(body).map_err(|error| bad().because(format!("column {}", error.column())))?;
        let reason = kept.reason.take().map(Cow::into_owned).unwrap_or_default();
        let partition = kept.partition;
        Ok((reason, partition, kept.into_record().map_err(|reason| bad().because(reason))?))
    }
}

/// The record and why it is not in the table, and where it is kept: under a name that no other record has.
pub(crate) fn dead_letter(
    cluster: &str,
    topic: &str,
    partition: i32,
    record: &Record,
    reason: &str,
) -> Result<(String, Bytes)> {
    let mut line = String::new();
    write_line(&line_begin(topic, partition), record, &mut line);
    let content = lake::digest(&[cluster.as_bytes(), line.as_bytes()]);
    let body = serde_json::to_vec(&Kept::new(topic, partition, record, Some(reason)))
        .map_err(|error| Error::internal("cannot encode a dead letter").because(error))?;
    Ok((lake::dead_letter_key(topic, partition, record.offset, &content), Bytes::from(body)))
}

/// Where records are archived, and the archive: both a function of the records and of the cluster id alone.
pub(crate) fn archive(cluster: &str, topic: &str, partition: i32, records: &[Record]) -> Result<(String, Bytes)> {
    named(Some(lake::digest(&[cluster.as_bytes()])), topic, partition, records)
}

/// What is left of an archive, by the same rules. The creation of the topic stays as its name told it.
pub(crate) fn archive_again(of: &lake::Archive, topic: &str, records: &[Record]) -> Result<(String, Bytes)> {
    named(of.creation.clone(), topic, of.partition, records)
}

fn named(creation: Option<String>, topic: &str, partition: i32, records: &[Record]) -> Result<(String, Bytes)> {
    let body = packed(topic, partition, records)?;
    let [first, last] = [records.first(), records.last()].map(|record| record.map_or(0, |record| record.offset));
    // A producer may give any number; in a name a date has four digits of a year.
    let timestamp = records.first().and_then(|record| DateTime::from_timestamp_millis(record.timestamp_ms));
    let timestamp = timestamp.filter(|timestamp| (1..=9_999).contains(&timestamp.year()));
    let name = lake::Archive {
        partition,
        first,
        last,
        date: timestamp.map_or(NaiveDate::default(), |timestamp| timestamp.date_naive()),
        creation,
        checksum: checksum(&body),
    };
    Ok((name.key(topic), body))
}

/// The checksum that a frame ends with: of its content, whichever version of the compressor has packed it.
fn checksum(frame: &[u8]) -> Option<u32> {
    frame.last_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The records as they were received, one JSON object per line.
fn packed(topic: &str, partition: i32, records: &[Record]) -> Result<Bytes> {
    let failed = |error: std::io::Error| Error::internal("cannot encode an archive").because(error);
    let begin = line_begin(topic, partition);
    let mut packed = zstd::stream::Encoder::new(Vec::new(), COMPRESSION_LEVEL).map_err(failed)?;
    packed.include_checksum(true).map_err(failed)?;
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

fn line_begin(topic: &str, partition: i32) -> String {
    format!(r#"{{"topic":{},"partition":{partition},"offset":"#, serde_json::Value::from(topic))
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
        let packed = packed("t", 2, &[record(5, 1_000), record(6, -1)]).expect("encodes");
        let lines = zstd::stream::decode_all(&packed[..]).expect("zstd");
        let text = String::from_utf8(lines).expect("text");
        assert_eq!(
            text.lines().next(),
            Some(
                r#"{"topic":"t","partition":2,"offset":5,"timestamp":1000,"key":"aw==","value":"/wA=","headers":[["h","MQ=="],["h",null]]}"#
            )
        );
        assert_eq!(text.lines().count(), 2);
        assert_eq!(Kept::read_archive(&packed, "t", 2).expect("reads"), [record(5, 1_000), record(6, -1)]);
        assert!(Kept::read_archive(&packed, "t", 1).is_err(), "of another partition");
    }

    #[test]
    fn a_line_is_what_the_serializer_writes() {
        let mut odd = record(i64::MAX, i64::MIN);
        (odd.key, odd.value) = (None, None);
        odd.headers = vec![("\"quoted\"\n".into(), Some(Bytes::new())), (String::new(), None)];
        for record in [record(0, 0), odd] {
            let packed = packed("a \"topic\"", -1, std::slice::from_ref(&record)).expect("encodes");
            let line = zstd::stream::decode_all(&packed[..]).expect("zstd");
            let kept = Kept::new("a \"topic\"", -1, &record, None);
            assert_eq!(String::from_utf8(line).expect("text"), serde_json::to_string(&kept).expect("json") + "\n");
        }
    }

    #[test]
    fn a_dead_letter_reads_back() {
        let sent = record(7, 1_000);
        let (_, body) = dead_letter("c", "t", 2, &sent, "is not a bigint").expect("encodes");
        assert_eq!(Kept::read_letter(&body).expect("a letter"), ("is not a bigint".to_owned(), 2, sent));
        assert!(Kept::read_letter(b"{}").is_err());
    }

    #[test]
    fn the_archive_lies_under_the_date_of_its_first_record() {
        let date = |timestamp| {
            let (key, _) = archive("c", "t", 2, &[record(5, timestamp), record(9, 0)]).expect("encodes");
            let name = lake::Archive::parse("t", &key).expect("a name");
            assert_eq!((name.partition, name.first, name.last), (2, 5, 9));
            name.date.to_string()
        };
        assert_eq!(date(1_761_868_799_999), "2025-10-30");
        assert_eq!(date(1_761_868_800_000), "2025-10-31");
        assert_eq!(date(253_402_300_799_999), "9999-12-31");
        for beyond in [253_402_300_800_000, 9_000_000_000_000_000, -100_000_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(date(beyond), "1970-01-01", "{beyond}");
        }
    }

    #[test]
    fn only_the_same_records_of_the_same_creation_have_the_same_name() {
        let name = |cluster: &str, record: &Record| {
            let archived = archive(cluster, "t", 2, std::slice::from_ref(record)).expect("encodes").0;
            (archived, dead_letter(cluster, "t", 2, record, "why").expect("encodes").0)
        };
        let (here, again) = (name("c", &record(5, 1_000)), name("c", &record(5, 1_000)));
        assert_eq!(here, again);
        let other = Record { value: None, ..record(5, 1_000) };
        for (archived, letter) in [name("c", &other), name("d", &record(5, 1_000))] {
            assert_ne!(archived, here.0);
            assert_ne!(letter, here.1);
        }
        let (_, body) = archive("c", "t", 2, &[record(5, 1_000)]).expect("encodes");
        let mut broken = body.to_vec();
        *broken.last_mut().expect("bytes") ^= 1;
        assert!(zstd::stream::decode_all(&broken[..]).is_err(), "a broken archive is seen");
    }
}
