//! The event that Lambda makes of Kafka records, read leniently: MSK and self-managed shapes, missing and null fields.
//!
//! An event is megabytes of base64, so it is read in one pass: each key and value is decoded from where it stands in
//! the text into a buffer that all records share.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use base64_simd::{Out, STANDARD};
use bytes::{Bytes, BytesMut};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use sluice_core::{Batch, Error, Record, Result};

use crate::headers;

/// What Kafka says when a record has no timestamp.
const NO_TIMESTAMP: i64 = -1;
/// Keys and values are decoded into buffers of this size.
const BUFFER_BYTES: usize = 1 << 20;

/// The event. [`KafkaEvent::into_partitions`] hands its records out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaEvent {
    event_source: String,
    partitions: Vec<Batch>,
}

impl KafkaEvent {
    /// Reads an event's text.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            let reason = if error.is_data() { error.to_string() } else { "it is not JSON".to_owned() };
            Error::invalid_data("the event does not have the shape of a Kafka event").with("reason", reason)
        })
    }

    /// The records by topic and partition, in order of offset, each offset once. Partitions without a record do not
    /// appear.
    pub fn into_partitions(self) -> Result<Vec<Batch>> {
        if !matches!(self.event_source.as_str(), "aws:kafka" | "SelfManagedKafka" | "aws:SelfManagedKafka") {
            return Err(Error::invalid_data("the event does not come from Kafka").with("source", self.event_source));
        }
        Ok(self.partitions)
    }
}

impl<'de> Deserialize<'de> for KafkaEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            event_source: String,
            #[serde(default)]
            records: Groups,
        }
        let raw = Raw::deserialize(deserializer)?;
        Ok(KafkaEvent { event_source: raw.event_source, partitions: raw.records.0 })
    }
}

/// The event's `records`: lists of records under `<topic>-<partition>`, or null.
#[derive(Default)]
struct Groups(Vec<Batch>);

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Collector::default()).map(Groups)
    }
}

/// Takes records as they are met.
#[derive(Default)]
struct Collector {
    partitions: Vec<Batch>,
    places: BTreeMap<(String, i32), usize>,
    /// Where the last record went: the next one mostly goes there, too.
    last: usize,
    buffer: BytesMut,
}

impl Collector {
    /// `group` is the key that the record stands under, `<topic>-<partition>`: what the record does not say, it says.
    fn take<E: de::Error>(&mut self, group: &str, raw: RawRecord<'_>) -> Result<(), E> {
        let offset = raw.offset;
        let broken = |what| E::custom(format_args!("{what} (group={group}, offset={offset})"));
        let (topic, partition) = match (&raw.topic, raw.partition) {
            (Some(Text(topic)), Some(partition)) => (topic.as_ref(), partition),
            (topic, partition) => {
                // A topic's name may hold dashes, so the partition is what follows the last one.
                let named = group.rsplit_once('-').and_then(|(topic, n)| Some((topic, n.parse().ok()?)));
                let (named_topic, named_partition) =
                    named.ok_or_else(|| broken("a record of the Kafka event names no topic and partition"))?;
                (topic.as_ref().map_or(named_topic, |Text(topic)| topic.as_ref()), partition.unwrap_or(named_partition))
            }
        };
        let record = Record {
            offset,
            timestamp_ms: raw.timestamp.unwrap_or(NO_TIMESTAMP),
            key: self.decode(raw.key).ok_or_else(|| broken("the key of a record in the Kafka event is not base64"))?,
            value: self
                .decode(raw.value)
                .ok_or_else(|| broken("the value of a record in the Kafka event is not base64"))?,
            headers: headers::decode(raw.headers),
        };
        let place = self.place(topic, partition);
        if let Some(group) = self.partitions.get_mut(place) {
            group.records.push(record);
        }
        Ok(())
    }

    fn place(&mut self, topic: &str, partition: i32) -> usize {
        let fits = |group: &Batch| group.partition == partition && group.topic == topic;
        if !self.partitions.get(self.last).is_some_and(fits) {
            self.last = match self.places.entry((topic.to_owned(), partition)) {
                Entry::Occupied(place) => *place.get(),
                Entry::Vacant(place) => {
                    self.partitions.push(Batch { topic: topic.to_owned(), partition, records: Vec::new() });
                    *place.insert(self.partitions.len() - 1)
                }
            };
        }
        self.last
    }

    /// The outer `None` means that the text is not base64.
    fn decode(&mut self, text: Option<Text<'_>>) -> Option<Option<Bytes>> {
        let Some(Text(text)) = text else { return Some(None) };
        let most = STANDARD.estimated_decoded_length(text.len());
        if self.buffer.capacity() < most {
            self.buffer = BytesMut::with_capacity(BUFFER_BYTES.max(most));
        }
        self.buffer.resize(most, 0);
        let decoded = STANDARD.decode(text.as_bytes(), Out::from_slice(&mut self.buffer)).ok()?.len();
        self.buffer.truncate(decoded);
        Some(Some(self.buffer.split().freeze()))
    }

    fn finish(mut self) -> Vec<Batch> {
        for group in &mut self.partitions {
            if !group.records.is_sorted_by(|a, b| a.offset < b.offset) {
                group.records.sort_by_key(|record| record.offset);
                group.records.dedup_by_key(|record| record.offset);
            }
        }
        self.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        self.partitions
    }
}

impl<'de> Visitor<'de> for Collector {
    type Value = Vec<Batch>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lists of Kafka records by topic and partition")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(name) = map.next_key::<Text<'de>>()? {
            map.next_value_seed(Group { name: &name.0, into: &mut self })?;
        }
        Ok(self.finish())
    }
}

/// One list of records, or null.
struct Group<'a> {
    name: &'a str,
    into: &'a mut Collector,
}

impl<'de> DeserializeSeed<'de> for Group<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Group<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of Kafka records")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(record) = seq.next_element::<RawRecord<'de>>()? {
            self.into.take(self.name, record)?;
        }
        Ok(())
    }
}

/// A record as it stands in the event. What it says of schemas and the kind of its timestamp is not needed.
#[derive(Deserialize)]
struct RawRecord<'a> {
    #[serde(borrow, default)]
    topic: Option<Text<'a>>,
    #[serde(default)]
    partition: Option<i32>,
    offset: i64,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(rename = "timestampType", default)]
    _timestamp_type: IgnoredAny,
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    value: Option<Text<'a>>,
    #[serde(default)]
    headers: serde_json::Value,
}

/// Text, borrowed from the event where it holds no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
