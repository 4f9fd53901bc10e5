//! The function's settings, read once at cold start.

use std::time::Duration;

use sluice_aws::CachedSecrets;
use sluice_core::{LakeId, Sources, env::Env};
use sluice_dbt::{DbtCloudConfig, DbtProjectConfig};
use sluice_pipeline::dispatch::Policy;
use sluice_snowflake::{Snowflake, SnowflakeConfig as WarehouseConfig, SqlApi};

/// The warehouse that knows what is new.
pub type Warehouse = Snowflake<CachedSecrets>;
/// Where it runs dbt.
pub type Statements = SqlApi<CachedSecrets>;

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    /// Which platform the metrics are of.
    pub lake_id: LakeId,
    pub bus_name: String,
    /// The function's own queue, for looking at a run again.
    pub queue_url: String,
    pub policy: Policy,
    pub runner: Runner,
    pub warehouse: WarehouseConfig,
    pub sources: Sources,
}

/// Who runs dbt.
#[derive(Debug)]
pub enum Runner {
    Cloud(DbtCloudConfig),
    Snowflake(DbtProjectConfig),
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let credits_per_hour = env.parsed_or("SLUICE_DBT_CREDITS_PER_HOUR", 1.0);
        let mut seconds = |name, default| Duration::from_secs(env.parsed_or(name, default));
        let policy = Policy {
            min_interval: seconds("SLUICE_DBT_MIN_INTERVAL_SECONDS", 900),
            poll: seconds("SLUICE_DBT_POLL_SECONDS", 30),
            limit: seconds("SLUICE_DBT_LIMIT_SECONDS", 3600),
            credits_per_hour,
        };
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            queue_url: env.required("SLUICE_DBT_QUEUE_URL"),
            policy,
            runner: Runner::read(env),
            warehouse: WarehouseConfig::from_env(env),
            sources: sluice_lambda::sources(env),
        }
    }
}

impl Runner {
    fn read(env: &mut Env) -> Self {
        match env.optional("SLUICE_DBT_RUNNER").as_deref() {
            None | Some("cloud") => {}
            Some("snowflake") => return Runner::Snowflake(DbtProjectConfig::from_env(env)),
            Some(other) => env.problem(format!("SLUICE_DBT_RUNNER is 'cloud' or 'snowflake', not '{other}'")),
        }
        Runner::Cloud(DbtCloudConfig::from_env(env))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(runner: Option<&str>) -> sluice_core::Result<Runner> {
        let cloud = [("URL", "http://127.0.0.1:9"), ("ACCOUNT_ID", "1"), ("JOB_ID", "2"), ("SECRET", "dbt")];
        let all = cloud.into_iter().chain([("PROJECT", "ADMIN.DBT.SLUICE")]).chain(runner.map(|name| ("RUNNER", name)));
        let mut env = Env::of(all.map(|(name, value)| (format!("SLUICE_DBT_{name}"), value.to_owned())));
        let runner = Runner::read(&mut env);
        env.finish(runner)
    }

    #[test]
    fn the_runner_is_chosen_by_name_and_another_name_is_refused() {
        assert!(matches!(read(None), Ok(Runner::Cloud(_))));
        assert!(matches!(read(Some("cloud")), Ok(Runner::Cloud(_))));
        assert!(matches!(read(Some("snowflake")), Ok(Runner::Snowflake(_))));
        let refused = read(Some("Snowflake")).expect_err("another name").to_string();
        assert!(refused.contains("SLUICE_DBT_RUNNER"), "{refused}");
    }
}
