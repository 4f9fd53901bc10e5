//! The function's settings, read once at cold start.

use std::fs;

use sluice_aws::CachedSecrets;
use sluice_core::{Error, LakeId, Result, Sources, env::Env};
use sluice_snowflake::{Snowflake, SnowflakeConfig as WarehouseConfig};
use sluice_watch::{Calendar, alerts::Table};

/// The warehouse that is watched.
pub type Warehouse = Snowflake<CachedSecrets>;

const SLACK: &str = "https://slack.com/api";
const PAGERDUTY: &str = "https://events.pagerduty.com";

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    /// Whose alerts they are, and which platform the metrics are of.
    pub lake_id: LakeId,
    pub channels: ChannelSettings,
    pub warehouse: WarehouseConfig,
    pub sources: Sources,
    /// `platform/alerts.yaml`.
    pub table: Table,
    /// `platform/calendar.yaml`.
    pub calendar: Calendar,
}

/// How channels are reached.
#[derive(Debug)]
pub struct ChannelSettings {
    /// The name of the secret, not its value.
    pub secret: String,
    pub slack: String,
    pub pagerduty: String,
    pub topic_arn: Option<String>,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            channels: ChannelSettings {
                secret: env.required("SLUICE_ALERTS_SECRET"),
                slack: env.optional("SLUICE_SLACK_URL").unwrap_or_else(|| SLACK.to_owned()),
                pagerduty: env.optional("SLUICE_PAGERDUTY_URL").unwrap_or_else(|| PAGERDUTY.to_owned()),
                topic_arn: env.optional("SLUICE_ALARMS_TOPIC_ARN"),
            },
            warehouse: WarehouseConfig::from_env(env),
            table: file(env, "alerts.yaml", Table::parse),
            calendar: file(env, "calendar.yaml", Calendar::parse),
            sources: sluice_lambda::sources(env),
        }
    }
}

/// A file of `platform/`, judged whole.
fn file<T: Default>(env: &mut Env, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> T {
    let path = sluice_lambda::platform_dir(env).join(name);
    let read = fs::read_to_string(&path)
        .map_err(|error| Error::config("cannot read a file of platform/").with("path", path.display()).because(error));
    read.and_then(|text| parse(&text)).unwrap_or_else(|error| {
        env.problem(error.chain());
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_table_of_alerts_stops_the_start_and_says_where() {
        let folder = std::env::temp_dir().join(format!("sluice-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("alerts.yaml"), "channels: 3\n").expect("a file");
        let mut env = Env::of([("SLUICE_PLATFORM_DIR".to_owned(), folder.display().to_string())]);
        let config = Config::read(&mut env);
        let error = env.finish(config).expect_err("unusable").to_string();
        fs::remove_dir_all(&folder).expect("removed");
        for part in ["alerts.yaml:1:", "calendar.yaml", "SLUICE_ALERTS_SECRET is not set"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
