//! What Kafka hands to a consumer: records of a partition, their bytes as the producer sent them.

use bytes::Bytes;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC; negative when the record has none.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In the order of the record; Kafka allows the same name twice, and a value of null.
    pub headers: Vec<Header>,
}

/// A name and its value.
pub type Header = (String, Option<Bytes>);

/// Records of one partition, offsets strictly increasing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub topic: String,
    pub partition: i32,
    pub records: Vec<Record>,
}
