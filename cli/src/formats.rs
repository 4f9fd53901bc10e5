//! Values that are not in JSON, read as the stream reads them: by its registry and the schema files of this checkout.

use std::collections::BTreeMap;

use sluice_aws::CachedSecrets;
use sluice_core::{
    Error, Table,
    sources::{Format, Source},
};
use sluice_kafka::{Registry, RegistryConfig, avro::ReaderSchema};

use crate::{failure::Outcome, place::Place};

pub(crate) type Formats = sluice_kafka::Formats<CachedSecrets>;

/// The formats of one table's topic. `settings` are those of the function that streams.
pub(crate) fn of(place: &Place, table: &Table, settings: &BTreeMap<String, String>) -> Outcome<Formats> {
    let mut schemas = BTreeMap::new();
    if let Source::Kafka { topic, format: Format::Avro, .. } = &table.source {
        let path = place.schemas.join(format!("{topic}.{}", Format::Avro.extension()));
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::config("cannot read the topic's schema file").with("path", path.display()).because(error)
        })?;
        schemas.insert(topic.clone(), ReaderSchema::parse(&text)?);
    }
    let setting = |name: &str| settings.get(name).filter(|value| !value.is_empty()).cloned();
    let registry = match setting("SLUICE_SCHEMA_REGISTRY_URL") {
        None => None,
        Some(url) => {
            let config = RegistryConfig { url, secret: setting("SLUICE_SCHEMA_REGISTRY_SECRET") };
            Some(Registry::new(config, sluice_http::Client::new()?, CachedSecrets::new(&place.aws)))
        }
    };
    Ok(Formats::new(schemas, registry))
}
