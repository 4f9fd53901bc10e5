//! The Kafka event of Lambda, for MSK and for a cluster of one's own.
//!
//! Own types instead of a library's, because events in the wild are looser than their documentation: keys, values,
//! headers and bootstrap servers may be absent or null, and header bytes come signed, unsigned or as text. An event
//! that cannot be read is retried for ever, so everything that can be read is.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use sluice_core::{Error, Result};

use crate::headers;

/// What Kafka says when a record has no timestamp.
const NO_TIMESTAMP: i64 = -1;

/// The event as it arrives. [`KafkaEvent::into_partitions`] makes it usable.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaEvent {
    event_source: String,
    #[serde(default)]
    records: Option<BTreeMap<String, Option<Vec<RawRecord>>>>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawRecord {
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    partition: Option<i32>,
    offset: i64,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    headers: serde_json::Value,
}

/// A header. Kafka allows the same name twice, and a value of null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Option<Bytes>,
}

/// One record, with its bytes as the producer sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC; negative when the record has none.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// The records of one partition, offsets strictly increasing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecords {
    pub topic: String,
    pub partition: i32,
    pub records: Vec<Record>,
}

impl KafkaEvent {
    /// Groups the records by topic and partition, in order of offset, each offset once. Partitions without a record
    /// do not appear.
    pub fn into_partitions(self) -> Result<Vec<PartitionRecords>> {
        if !matches!(self.event_source.as_str(), "aws:kafka" | "SelfManagedKafka" | "aws:SelfManagedKafka") {
            return Err(Error::invalid_data("the event does not come from Kafka").with("source", self.event_source));
        }
        let mut groups: BTreeMap<(String, i32), Vec<Record>> = BTreeMap::new();
        for (name, records) in self.records.unwrap_or_default() {
            for raw in records.unwrap_or_default() {
                let record = raw.decode(&name)?;
                groups.entry((record.topic.clone(), record.partition)).or_default().push(record);
            }
        }
        let ordered = |((topic, partition), mut records): (_, Vec<Record>)| {
            records.sort_by_key(|record| record.offset);
            records.dedup_by_key(|record| record.offset);
            PartitionRecords { topic, partition, records }
        };
        Ok(groups.into_iter().map(ordered).collect())
    }
}

impl RawRecord {
    /// `group` is the key that the record stands under, `<topic>-<partition>`: what the record does not say, it says.
    fn decode(self, group: &str) -> Result<Record> {
        let offset = self.offset;
        let broken = |what| Error::invalid_data(what).with("group", group).with("offset", offset);
        let (topic, partition) = match (self.topic, self.partition) {
            (Some(topic), Some(partition)) => (topic, partition),
            (topic, partition) => {
                // A topic's name may hold dashes, so the partition is what follows the last one.
                let named = group.rsplit_once('-').and_then(|(topic, n)| Some((topic.to_owned(), n.parse().ok()?)));
                let (named_topic, named_partition) =
                    named.ok_or_else(|| broken("a record of the Kafka event names no topic and partition"))?;
                (topic.unwrap_or(named_topic), partition.unwrap_or(named_partition))
            }
        };
        let bytes = |text: Option<String>, what| match text.map(|text| STANDARD.decode(text)).transpose() {
            Ok(bytes) => Ok(bytes.map(Bytes::from)),
            Err(error) => Err(broken(what).because(error)),
        };
        Ok(Record {
            topic,
            partition,
            offset,
            timestamp_ms: self.timestamp.unwrap_or(NO_TIMESTAMP),
            key: bytes(self.key, "the key of a record in the Kafka event is not base64")?,
            value: bytes(self.value, "the value of a record in the Kafka event is not base64")?,
            headers: headers::decode(self.headers),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn partitions(event: serde_json::Value) -> Vec<PartitionRecords> {
        serde_json::from_value::<KafkaEvent>(event).expect("a Kafka event").into_partitions().expect("readable records")
    }

    #[test]
    fn records_are_grouped_by_partition_and_ordered_by_offset() {
        let record = |partition: i32, offset: i64| json!({"topic": "a-b", "partition": partition, "offset": offset, "timestamp": 7});
        let groups = partitions(json!({
            "eventSource": "aws:kafka", "eventSourceArn": "arn", "bootstrapServers": null,
            "records": {"a-b-1": [record(1, 9)], "a-b-0": [record(0, 10), record(0, 9), record(0, 10)]}
        }));
        let offsets: Vec<(i32, Vec<i64>)> =
            groups.iter().map(|group| (group.partition, group.records.iter().map(|r| r.offset).collect())).collect();
        assert_eq!(offsets, [(0, vec![9, 10]), (1, vec![9])]);
    }

    #[test]
    fn a_record_may_leave_out_all_but_its_offset() {
        let groups =
            partitions(json!({"eventSource": "SelfManagedKafka", "records": {"shop-events-12": [{"offset": 3}]}}));
        let record = Record {
            topic: "shop-events".into(),
            partition: 12,
            offset: 3,
            timestamp_ms: -1,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        assert_eq!(groups, [PartitionRecords { topic: "shop-events".into(), partition: 12, records: vec![record] }]);
    }

    #[test]
    fn keys_and_values_are_bytes_and_null_is_not_empty() {
        let groups = partitions(json!({"eventSource": "aws:kafka", "records": {"t-0": [
            {"topic": "t", "partition": 0, "offset": 0, "key": null, "value": ""},
            {"topic": "t", "partition": 0, "offset": 1, "key": "/wA=", "value": null},
        ]}}));
        let record = &groups[0].records;
        assert_eq!((&record[0].key, record[0].value.as_deref()), (&None, Some(&b""[..])));
        assert_eq!((record[1].key.as_deref(), &record[1].value), (Some(&[255, 0][..]), &None));
    }

    #[test]
    fn an_event_without_records_has_no_partitions() {
        for records in [json!(null), json!({}), json!({"t-0": []}), json!({"t-0": null})] {
            assert_eq!(partitions(json!({"eventSource": "aws:kafka", "records": records})), []);
        }
        assert_eq!(partitions(json!({"eventSource": "aws:kafka"})), []);
    }

    #[test]
    fn an_event_of_another_service_is_refused() {
        let event: KafkaEvent = serde_json::from_value(json!({"eventSource": "aws:sqs"})).expect("parses");
        assert!(event.into_partitions().expect_err("not Kafka").to_string().contains("aws:sqs"));
    }
}
