//! The warehouse as the commands use it. No other file says whose it is.

use std::collections::BTreeMap;

use sluice_aws::CachedSecrets;
use sluice_core::{LakeId, env::Env};
pub(crate) use sluice_pipeline::observe::Observe;
use sluice_snowflake::{Observer, SnowflakeConfig};
pub(crate) use sluice_snowflake::{ReplayTable, streaming::LIMITS};

use crate::failure::Outcome;

pub(crate) type Warehouse = Observer<CachedSecrets>;

/// Connects by the settings of a function that uses the warehouse.
pub(crate) fn connect(
    lake_id: LakeId,
    settings: BTreeMap<String, String>,
    secrets: CachedSecrets,
) -> Outcome<Warehouse> {
    let mut env = Env::of(settings);
    let config = SnowflakeConfig::from_env(&mut env);
    let config = env.finish(config)?;
    Ok(Observer::connect(lake_id, config, secrets, sluice_http::Client::new()?))
}
