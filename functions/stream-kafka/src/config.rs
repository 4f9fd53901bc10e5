//! The function's settings, read once at cold start.

use std::{collections::BTreeMap, time::Duration};

use sluice_aws::CachedSecrets;
use sluice_core::{
    Kind, LakeId, Sources,
    env::Env,
    sources::{Format, Source},
};
use sluice_kafka::{RegistryConfig, avro::ReaderSchema};
use sluice_snowflake::{SnowflakeConfig as WarehouseConfig, Streaming};
use tracing::error;

/// The warehouse whose channels take the rows.
pub type Warehouse = Streaming<CachedSecrets>;

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    pub lake_id: LakeId,
    pub bus_name: String,
    /// The queue of dispatch-dbt.
    pub dispatch_queue_url: String,
    /// The cluster, and which creation of its topics. Part of every channel's name.
    pub cluster_id: String,
    /// At least this long between two announcements of one table.
    pub announce_interval: Duration,
    /// Whether the event source mapping reads partial batch responses. One that does not takes any answer for success,
    /// so it must be told of a failed partition by an error.
    pub partial_batch_response: bool,
    pub warehouse: WarehouseConfig,
    pub sources: Sources,
    /// The schemas of the topics in Avro.
    pub schemas: BTreeMap<String, ReaderSchema>,
    /// Where the schemas of Avro's producers are. Needed with the first topic in Avro.
    pub registry: Option<RegistryConfig>,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let sources = sluice_lambda::sources(env);
        let schemas = schemas(env, &sources);
        let secret = env.optional("SLUICE_SCHEMA_REGISTRY_SECRET");
        let registry = env.optional("SLUICE_SCHEMA_REGISTRY_URL").map(|url| RegistryConfig { url, secret });
        if let (Some(topic), None) = (schemas.keys().next(), &registry) {
            unreadable(topic, "SLUICE_SCHEMA_REGISTRY_URL is not set");
        }
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            dispatch_queue_url: env.required("SLUICE_DBT_QUEUE_URL"),
            cluster_id: env.required("SLUICE_CLUSTER_ID"),
            announce_interval: Duration::from_secs(env.parsed_or("SLUICE_ANNOUNCE_INTERVAL_SECONDS", 60)),
            partial_batch_response: env.parsed_or("SLUICE_PARTIAL_BATCH_RESPONSE", false),
            warehouse: WarehouseConfig::from_env(env),
            sources,
            schemas,
            registry,
        }
    }
}

/// Reads the schema file of every topic in Avro. One that cannot be read fails the partitions of its topic and no other's.
fn schemas(env: &mut Env, sources: &Sources) -> BTreeMap<String, ReaderSchema> {
    let mut schemas = BTreeMap::new();
    for table in &sources.tables {
        let Source::Kafka { topic, format: Format::Avro, .. } = &table.source else { continue };
        let name = format!("{topic}.{}", Format::Avro.extension());
        match sluice_lambda::schema_file(env, &name).and_then(|text| ReaderSchema::parse(&text)) {
            Ok(schema) => drop(schemas.insert(topic.clone(), schema)),
            Err(error) => unreadable(topic, &error.chain()),
        }
    }
    schemas
}

fn unreadable(topic: &str, error: &str) {
    let hint = "fix it and deploy; the partitions are delivered again until then";
    error!(topic, error, error_kind = %Kind::Config, hint, "a topic in Avro cannot be read; other topics go on");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &str = "
tables:
  - table: STREAMING.PUBLIC.ORDERS
    description: d
    source: { kind: kafka, topic: orders, format: avro }
    loader: streaming
    disposition: append
    columns: [{ name: id, type: bigint }]
  - table: STREAMING.PUBLIC.PURCHASES
    description: d
    source: { kind: kafka, topic: purchases }
    loader: streaming
    disposition: append
    columns: [{ name: id, type: bigint }]
";

    #[test]
    fn an_unreadable_schema_is_no_reason_not_to_start() {
        let sources = Sources::parse(ENTRIES).expect("valid sources");
        let mut env = Env::of([("SLUICE_PLATFORM_DIR".to_owned(), "/nowhere".to_owned())]);
        assert!(schemas(&mut env, &sources).is_empty());
        assert_eq!(env.finish(()).err().map(|error| error.to_string()), None);
    }
}
