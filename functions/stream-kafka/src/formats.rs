//! Avro behind the streaming loop's port.

use std::collections::BTreeMap;

use bytes::Bytes;
use sluice_core::{Result, port::Secrets};
use sluice_kafka::{Registry, avro::ReaderSchema};
use sluice_pipeline::stream::Decode;

/// The formats of the topics that are not in JSON.
pub struct Formats<Sec>(sluice_kafka::Formats<Sec>);

impl<Sec: Secrets> Formats<Sec> {
    pub fn new(schemas: BTreeMap<String, ReaderSchema>, registry: Option<Registry<Sec>>) -> Self {
        Formats(sluice_kafka::Formats::new(schemas, registry))
    }
}

impl<Sec: Secrets> Decode for Formats<Sec> {
    async fn decode(&self, topic: &str, value: &Bytes) -> Result<Result<Bytes, String>> {
        self.0.to_json(topic, value).await
    }
}
