//! The warehouse as the commands use it. No other file says whose it is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sluice_aws::{CachedSecrets, FreshSecrets};
use sluice_core::{LakeId, env::Env};
use sluice_http::Client;
pub(crate) use sluice_pipeline::observe::Observe;
use sluice_snowflake::{
    Account, Observer, SnowflakeConfig, SqlApi,
    account::{AsRoles, KeysInSecret},
};
pub(crate) use sluice_snowflake::{
    RebuildTable, ReplayTable,
    account::{self, Deployment},
    streaming::LIMITS,
};
use tokio::time::Instant;

use crate::failure::{Failure, Outcome};

pub(crate) type Warehouse = Observer<CachedSecrets>;

/// Connects by the settings of a function that uses the warehouse.
pub(crate) fn connect(
    lake_id: LakeId,
    settings: BTreeMap<String, String>,
    secrets: CachedSecrets,
) -> Outcome<Warehouse> {
    Ok(Observer::connect(lake_id, config(settings)?, secrets, Client::new()?))
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
        let account = Account::new(config, secrets, Client::new()?);
        Ok(Administrator { api: SqlApi::new(Arc::new(account)), warehouse })
    }

    /// For work that takes no longer.
    pub(crate) fn within(&self, longest: Duration) -> AsRoles<'_, CachedSecrets> {
        AsRoles { api: &self.api, deadline: Instant::now() + longest }
    }
}

/// A service whose key is in a secret.
pub(crate) struct Service {
    pub config: SnowflakeConfig,
    secrets: FreshSecrets,
    http: Client,
}

impl Service {
    /// The user of the functions, or the one that is named; its secret is the stack's of that service, or the one that is named.
    pub(crate) fn find(
        settings: BTreeMap<String, String>,
        stack: &str,
        user: Option<&str>,
        secret: Option<String>,
        secrets: FreshSecrets,
    ) -> Outcome<Self> {
        let loader = config(settings)?;
        let user = user.map_or_else(|| loader.user.clone(), str::to_uppercase);
        let known = match (user == loader.user, user == account::PROVISIONER) {
            (true, _) => Some(loader.clone()),
            (_, true) => Some(loader.clone().as_provisioner(stack)),
            _ => None,
        };
        let config = match (secret, known) {
            (Some(secret), _) => SnowflakeConfig { user, secret, ..loader },
            (None, Some(known)) => known,
            (None, None) => {
                let text = format!("the platform does not know the secret of {user}");
                return Err(Failure::usage(text)
                    .hint("name it with --secret; the service that uses it takes the key from there"));
            }
        };
        Ok(Service { config, secrets, http: Client::new()? })
    }

    pub(crate) fn keys(&self) -> KeysInSecret<'_, FreshSecrets> {
        KeysInSecret { secrets: &self.secrets, config: &self.config, http: &self.http }
    }
}

fn config(settings: BTreeMap<String, String>) -> Outcome<SnowflakeConfig> {
    let mut env = Env::of(settings);
    let config = SnowflakeConfig::from_env(&mut env);
    Ok(env.finish(config)?)
}
