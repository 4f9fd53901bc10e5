//! The function's settings, read once at cold start.

use std::time::Duration;

use sluice_aws::CachedSecrets;
use sluice_core::{LakeId, Sources, env::Env};
use sluice_pipeline::load::PollPolicy;
use sluice_snowflake::{Snowflake, SnowflakeConfig as WarehouseConfig};

/// The warehouse that commits are loaded into, with the secrets of the stack.
pub type Warehouse = WarehouseWith<CachedSecrets>;

/// The same with any.
pub type WarehouseWith<K> = Snowflake<K>;

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    pub lake_id: LakeId,
    pub bus_name: String,
    /// The function's own queue, for looking again at what is being loaded.
    pub queue_url: String,
    /// How often an asynchronous load is looked at, and when it is given up.
    pub poll_policy: PollPolicy,
    pub warehouse: WarehouseConfig,
    pub sources: Sources,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            queue_url: env.required("SLUICE_LOAD_QUEUE_URL"),
            poll_policy: PollPolicy {
                poll: Duration::from_secs(env.parsed_or("SLUICE_LOAD_POLL_SECONDS", 30)),
                limit: Duration::from_secs(env.parsed_or("SLUICE_LOAD_LIMIT_SECONDS", 3_600)),
            },
            warehouse: WarehouseConfig::from_env(env),
            sources: sluice_lambda::sources(env),
        }
    }
}
