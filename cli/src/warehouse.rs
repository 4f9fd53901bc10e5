//! The warehouse as the commands use it. No other file says whose it is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sluice_aws::CachedSecrets;
use sluice_core::{LakeId, env::Env};
pub(crate) use sluice_pipeline::observe::Observe;
use sluice_snowflake::{Account, Observer, SnowflakeConfig, SqlApi, account::AsRoles};
pub(crate) use sluice_snowflake::{
    ReplayTable,
    account::{self, Deployment},
    streaming::LIMITS,
};
use tokio::time::Instant;

use crate::failure::Outcome;

pub(crate) type Warehouse = Observer<CachedSecrets>;

/// Connects by the settings of a function that uses the warehouse.
pub(crate) fn connect(
    lake_id: LakeId,
    settings: BTreeMap<String, String>,
    secrets: CachedSecrets,
) -> Outcome<Warehouse> {
    Ok(Observer::connect(lake_id, config(settings)?, secrets, sluice_http::Client::new()?))
}

/// The account as the user that makes it what its file says.
pub(crate) struct Administrator {
    api: SqlApi<CachedSecrets>,
    /// Where its own statements run.
    pub warehouse: String,
}

impl Administrator {
    /// By the settings of a function that uses the warehouse, with the stack's secret for the account.
    pub(crate) fn connect(settings: BTreeMap<String, String>, stack: &str, secrets: CachedSecrets) -> Outcome<Self> {
        let config = config(settings)?.as_provisioner(stack);
        let warehouse = config.warehouse.clone();
        let account = Account::new(config, secrets, sluice_http::Client::new()?);
        Ok(Administrator { api: SqlApi::new(Arc::new(account)), warehouse })
    }

    /// For work that takes no longer.
    pub(crate) fn within(&self, longest: Duration) -> AsRoles<'_, CachedSecrets> {
        AsRoles { api: &self.api, deadline: Instant::now() + longest }
    }
}

fn config(settings: BTreeMap<String, String>) -> Outcome<SnowflakeConfig> {
    let mut env = Env::of(settings);
    let config = SnowflakeConfig::from_env(&mut env);
    Ok(env.finish(config)?)
}
