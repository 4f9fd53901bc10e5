//! The function's settings, read once at cold start.

use std::time::Duration;

use sluice_core::{LakeId, Sources, env::Env};
use sluice_snowflake::SnowflakeConfig;

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    pub lake_id: LakeId,
    pub bus_name: String,
    /// The cluster, and which creation of its topics. Part of every channel's name.
    pub cluster_id: String,
    /// At least this long between two announcements of one table.
    pub announce_interval: Duration,
    /// Whether the event source mapping reads partial batch responses. One that does not takes any answer for success,
    /// so it must be told of a failed partition by an error.
    pub partial_batch_response: bool,
    pub snowflake: SnowflakeConfig,
    pub sources: Sources,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            cluster_id: env.required("SLUICE_CLUSTER_ID"),
            announce_interval: Duration::from_secs(env.parsed_or("SLUICE_ANNOUNCE_INTERVAL_SECONDS", 60)),
            partial_batch_response: env.parsed_or("SLUICE_PARTIAL_BATCH_RESPONSE", false),
            snowflake: SnowflakeConfig::from_env(env),
            sources: sluice_lambda::sources(env),
        }
    }
}
