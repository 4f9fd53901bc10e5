//! The function's settings, read once at cold start.

use std::{collections::BTreeMap, fs};

use sluice_aws::CachedSecrets;
use sluice_core::{Error, LakeId, Result, Sources, env::Env};
use sluice_pipeline::why::Lineage;
use sluice_snowflake::{Snowflake, SnowflakeConfig as WarehouseConfig};
use sluice_watch::{Calendar, alerts::Table};

/// The warehouse that is watched.
pub type Warehouse = Snowflake<CachedSecrets>;

const SLACK: &str = "https://slack.com/api";

#[derive(Debug)]
pub struct Config {
    pub lake_bucket: String,
    /// Whose alerts they are, and which platform the metrics are of.
    pub lake_id: LakeId,
    pub channels: ChannelSettings,
    /// Whose functions' costs are asked of CloudWatch; none on one machine.
    pub stack: Option<String>,
    pub warehouse: WarehouseConfig,
    pub sources: Sources,
    /// Where OpenLineage events go; nowhere without it.
    pub openlineage: Option<OpenLineage>,
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
    pub topic_arn: Option<String>,
}

/// Where OpenLineage events go, and what they are about.
#[derive(Debug)]
pub struct OpenLineage {
    pub destination: Destination,
    /// Of sources, by their kind: `postgres=postgres://db:5432`.
    pub namespaces: BTreeMap<String, String>,
    pub lineage: Lineage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The address that takes events.
    Url(String),
    Lake,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            channels: ChannelSettings {
                secret: env.required("SLUICE_ALERTS_SECRET"),
                slack: env.optional("SLUICE_SLACK_URL").unwrap_or_else(|| SLACK.to_owned()),
                topic_arn: env.optional("SLUICE_ALARMS_TOPIC_ARN"),
            },
            stack: env.optional("SLUICE_STACK"),
            warehouse: WarehouseConfig::from_env(env),
            openlineage: open_lineage(env),
            table: file(env, "alerts.yaml", Table::parse),
            calendar: file(env, "calendar.yaml", Calendar::parse),
            sources: sluice_lambda::sources(env),
        }
    }
}

fn open_lineage(env: &mut Env) -> Option<OpenLineage> {
    let destination = match env.optional("SLUICE_OPENLINEAGE_URL")?.as_str() {
        "lake" => Destination::Lake,
        url if url.starts_with("https://") || url.starts_with("http://") => Destination::Url(url.to_owned()),
        other => {
            env.problem(format!("SLUICE_OPENLINEAGE_URL is neither an address nor `lake`: {other}"));
            return None;
        }
    };
    let mut namespaces = BTreeMap::new();
    for pair in
        env.optional("SLUICE_OPENLINEAGE_NAMESPACES").unwrap_or_default().split(',').filter(|pair| !pair.is_empty())
    {
        match pair.split_once('=') {
            Some((kind, namespace)) => drop(namespaces.insert(kind.to_owned(), namespace.to_owned())),
            None => env.problem(format!("SLUICE_OPENLINEAGE_NAMESPACES is not kind=namespace,…: {pair}")),
        }
    }
    let lineage = file(env, "../dbt/lineage.json", |text| Lineage::parse(text.as_bytes()));
    Some(OpenLineage { destination, namespaces, lineage })
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
    fn events_go_to_an_address_or_to_the_lake_and_nowhere_by_default() {
        let folder = std::env::temp_dir().join(format!("sluice-openlineage-{}", std::process::id()));
        for name in ["platform", "dbt"] {
            fs::create_dir_all(folder.join(name)).expect("a folder");
        }
        fs::write(folder.join("dbt/lineage.json"), r#"{"version": 1, "models": {}, "unresolved": []}"#)
            .expect("a file");
        let read = |settings: &[(&str, &str)]| {
            let of = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let mut env =
                Env::of(of.chain([("SLUICE_PLATFORM_DIR".to_owned(), folder.join("platform").display().to_string())]));
            let read = open_lineage(&mut env);
            env.finish(read).map(|read| read.map(|read| (read.destination, read.namespaces)))
        };
        assert_eq!(read(&[]).expect("no setting"), None);
        let url = "https://marquez.example/api/v1/lineage";
        let namespaces = "postgres=postgres://db:5432,kafka=kafka://b:9092";
        let (to, names) = read(&[("SLUICE_OPENLINEAGE_URL", url), ("SLUICE_OPENLINEAGE_NAMESPACES", namespaces)])
            .expect("settings")
            .expect("a destination");
        assert_eq!((to, names["kafka"].as_str(), names.len()), (Destination::Url(url.into()), "kafka://b:9092", 2));
        assert_eq!(
            read(&[("SLUICE_OPENLINEAGE_URL", "lake")]).expect("a setting").map(|read| read.0),
            Some(Destination::Lake)
        );
        for bad in [("SLUICE_OPENLINEAGE_URL", "marquez"), ("SLUICE_OPENLINEAGE_NAMESPACES", "postgres")] {
            assert!(read(&[("SLUICE_OPENLINEAGE_URL", "lake"), bad][..]).is_err(), "{bad:?}");
        }
        fs::remove_dir_all(&folder).expect("removed");
    }

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
