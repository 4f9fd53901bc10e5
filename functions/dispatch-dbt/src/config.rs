//! The function's settings, read once at cold start.

use std::time::Duration;

use sluice_core::{Sources, env::Env};
use sluice_dbt::DbtCloudConfig;
use sluice_pipeline::dispatch::Policy;
use sluice_snowflake::SnowflakeConfig;

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    pub bus_name: String,
    /// The function's own queue, for looking at a run again.
    pub queue_url: String,
    pub policy: Policy,
    pub dbt: DbtCloudConfig,
    pub snowflake: SnowflakeConfig,
    pub sources: Sources,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let mut seconds = |name, default| Duration::from_secs(env.parsed_or(name, default));
        let policy = Policy {
            min_interval: seconds("SLUICE_DBT_MIN_INTERVAL_SECONDS", 900),
            poll: seconds("SLUICE_DBT_POLL_SECONDS", 30),
            limit: seconds("SLUICE_DBT_LIMIT_SECONDS", 3600),
        };
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            bus_name: env.required("SLUICE_BUS_NAME"),
            queue_url: env.required("SLUICE_DBT_QUEUE_URL"),
            policy,
            dbt: DbtCloudConfig::from_env(env),
            snowflake: SnowflakeConfig::from_env(env),
            sources: sluice_lambda::sources(env),
        }
    }
}
