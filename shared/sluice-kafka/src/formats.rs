//! The values of topics in Avro as JSON: by the topic's own schema, and the producers' from the registry.

use std::collections::BTreeMap;

use bytes::Bytes;
use sluice_core::{Error, Result, port::Secrets};
use sluice_pipeline::stream::Decode;

use crate::{
    avro::{self, ReaderSchema},
    registry::Registry,
};

/// The formats of the topics that are not in JSON.
pub struct Formats<Sec> {
    schemas: BTreeMap<String, ReaderSchema>,
    registry: Option<Registry<Sec>>,
}

impl<Sec: Secrets> Formats<Sec> {
    pub fn new(schemas: BTreeMap<String, ReaderSchema>, registry: Option<Registry<Sec>>) -> Self {
        Formats { schemas, registry }
    }
}

impl<Sec: Secrets> Decode for Formats<Sec> {
    async fn decode(&self, topic: &str, value: &Bytes) -> Result<Result<Bytes, String>> {
        let (Some(schema), Some(registry)) = (self.schemas.get(topic), &self.registry) else {
            return Err(
                Error::config("a topic in Avro needs its schema file and a schema registry").with("topic", topic)
            );
        };
        let (id, data) = match avro::unframe(value) {
            Ok(parts) => parts,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(match registry.schema(id).await? {
            Ok(writer) => schema.to_json(&writer, data),
            Err(reason) => Err(reason),
        })
    }
}
