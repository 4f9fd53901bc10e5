//! The function's settings, read whole at cold start.

use std::{collections::BTreeSet, time::Duration};

use sluice_aws::CachedSecrets;
use sluice_core::{LakeId, TableId, env::Env};
use sluice_hubspot::{DEFAULT_URL, DEFAULT_VERSION};
use sluice_pipeline::activate::Policy;
use sluice_snowflake::{Snowflake, SnowflakeConfig as WarehouseConfig};

/// The warehouse that holds the model and the ledger.
pub type Warehouse = Snowflake<CachedSecrets>;

/// Records that are read back before the rest of a larger run is sent: one batch.
const CANARY: usize = 100;

/// Records that are kept in the ledger by one statement.
const PART: usize = 1_000;

/// What the template gives the function, where nobody else says it.
const DEFAULT_MEMORY_MB: u64 = 1_024;

/// Values of a model for each MB of memory: one takes about 530 bytes in the rows, in the ledger's entry and in what is
/// planned, measured with 100,000 rows of nine columns; the rest is the function's own.
const VALUES_PER_MB: u64 = 1_600;

/// An invocation lives no longer, so that a claim which is older has lost its run.
const CLAIM: Duration = Duration::from_secs(900);

#[derive(Debug)]
pub struct Config {
    /// `SLUICE_LAKE_BUCKET`
    pub lake_bucket: String,
    /// `SLUICE_LAKE_ID`
    pub lake_id: LakeId,
    /// `SLUICE_BUS_NAME`
    pub bus_name: String,
    /// `SLUICE_ACTIVATE_QUEUE_URL`: the function's own queue, for going on later.
    pub queue_url: String,
    /// `SLUICE_ACTIVATE_MODEL`
    pub model: TableId,
    /// `SLUICE_HUBSPOT_URL`
    pub url: String,
    /// `SLUICE_HUBSPOT_VERSION`
    pub version: String,
    /// `SLUICE_HUBSPOT_SECRET`: the name of the secret of the app that writes.
    pub secret: String,
    pub policy: Policy,
    pub warehouse: WarehouseConfig,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let model = env.required("SLUICE_ACTIVATE_MODEL");
        let model = model.parse().unwrap_or_else(|_| {
            env.problem(format!("SLUICE_ACTIVATE_MODEL is DATABASE.SCHEMA.RELATION, not '{model}'"));
            TableId { database: String::new(), schema: String::new(), table: String::new() }
        });
        Config {
            lake_bucket: env.required("SLUICE_LAKE_BUCKET"),
            lake_id: LakeId(env.required("SLUICE_LAKE_ID")),
            bus_name: env.required("SLUICE_BUS_NAME"),
            queue_url: env.required("SLUICE_ACTIVATE_QUEUE_URL"),
            model,
            url: env.optional("SLUICE_HUBSPOT_URL").unwrap_or_else(|| DEFAULT_URL.to_owned()),
            version: env.optional("SLUICE_HUBSPOT_VERSION").unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
            secret: env.required("SLUICE_HUBSPOT_SECRET"),
            policy: Policy {
                most_rows: env.parsed_or("SLUICE_ACTIVATE_MOST_ROWS", 20_000),
                most_percent: env.parsed_or("SLUICE_ACTIVATE_MOST_PERCENT", 50),
                most_values: env.parsed_or("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", DEFAULT_MEMORY_MB) * VALUES_PER_MB,
                canary: CANARY,
                part: PART,
                clear: names(&env.optional("SLUICE_ACTIVATE_CLEAR").unwrap_or_default()),
                claim: CLAIM,
                time: Duration::ZERO,
            },
            warehouse: WarehouseConfig::from_env(env),
        }
    }
}

/// Names joined by commas.
fn names(text: &str) -> BTreeSet<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_properties_may_be_empty_and_have_blanks() {
        assert!(names("").is_empty());
        assert_eq!(names(" a, b,"), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }
}
