//! The function's settings, read once at cold start.

use std::time::Duration;

use sluice_core::{LakeId, env::Env};
use sluice_kafka::KafkaConfig;

use crate::{body::Limits, catalogue::Catalogue, cors::Origins};

#[derive(Debug)]
pub struct Config {
    /// Which platform the metrics are of.
    pub lake_id: LakeId,
    pub kafka: KafkaConfig,
    /// How long a request waits for Kafka before its events go to the outbox.
    pub kafka_timeout: Duration,
    pub outbox_url: String,
    /// Where messages of the outbox go whose topic takes no events.
    pub outbox_dead_url: String,
    /// The name of the secret with API keys and what tokens are checked with.
    pub secret: String,
    pub origins: Origins,
    pub limits: Limits,
    /// Events a second that one instance takes for long, and at once after a pause.
    pub rate: u32,
    pub burst: u32,
    pub catalogue: Catalogue,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let sources = sluice_lambda::sources(env);
        let catalogue = Catalogue::read(&sources, &sluice_lambda::platform_dir(env));
        let rate = env.parsed_or("SLUICE_RATE_PER_SECOND", 1_000_u32);
        let config = Config {
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            kafka: KafkaConfig::from_env(env),
            kafka_timeout: Duration::from_millis(env.parsed_or("SLUICE_KAFKA_PATIENCE_MS", 4_000)),
            outbox_url: env.required("SLUICE_SPOOL_QUEUE_URL"),
            outbox_dead_url: env.required("SLUICE_SPOOL_DEAD_QUEUE_URL"),
            secret: env.required("SLUICE_COLLECT_SECRET"),
            origins: Origins::parse(&env.optional("SLUICE_ALLOWED_ORIGINS").unwrap_or_default()),
            limits: Limits {
                body_bytes: env.parsed_or("SLUICE_BODY_LIMIT_BYTES", 1_048_576),
                events: env.parsed_or("SLUICE_BATCH_LIMIT", 500),
            },
            rate,
            burst: env.parsed_or("SLUICE_RATE_BURST", rate.saturating_mul(2)),
            catalogue,
        };
        if config.rate == 0 || config.burst == 0 {
            env.problem("SLUICE_RATE_PER_SECOND and SLUICE_RATE_BURST must be at least 1");
        }
        config
    }
}
