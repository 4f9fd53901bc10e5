//! The warehouse as the commands use it. No other file says whose it is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sluice_aws::{CachedSecrets, FreshSecrets};
use sluice_core::{LakeId, env::Env};
use sluice_http::Client;
pub(crate) use sluice_pipeline::observe::Observe;
use sluice_snowflake::{
    Account, Observer, SnowflakeConfig, SqlApi,
    account::{AsRoles, KeysInSecret, Name},
};
pub(crate) use sluice_snowflake::{
    RebuildTable, ReplayTable,
    account::{self, Deployment},
    sql::verify,
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
    /// As a statement has it.
    pub name: Name,
    pub config: SnowflakeConfig,
    secrets: FreshSecrets,
    http: Client,
}

impl Service {
    /// The user of the functions that load, or the one that is named; its secret is the stack's of that service, or the one that is
    /// named. The settings are those of the function that gives services their first keys.
    pub(crate) fn find(
        settings: BTreeMap<String, String>,
        stack: &str,
        user: Option<&str>,
        secret: Option<String>,
        secrets: FreshSecrets,
    ) -> Outcome<Self> {
        let setting = |name: &str| settings.get(name).cloned().unwrap_or_default();
        let reporter = (setting("SLUICE_REPORTER"), setting("SLUICE_REPORTER_SECRET"));
        let loader = config(settings)?;
        let name = named(user.unwrap_or(&loader.user))?;
        let provisioner = loader.clone().as_provisioner(stack);
        let known = [(loader.user.clone(), loader.secret.clone()), (provisioner.user, provisioner.secret), reporter];
        let of_stack =
            known.into_iter().find(|(user, _)| Name::parse(user).as_ref() == Some(&name)).map(|(_, secret)| secret);
        let Some(secret) = secret.or(of_stack) else {
            let text = format!("the platform does not know the secret of {name}");
            return Err(
                Failure::usage(text).hint("name it with --secret; the service that uses it takes the key from there")
            );
        };
        let config = SnowflakeConfig { user: name.last().to_owned(), secret, ..loader };
        Ok(Service { name, config, secrets, http: Client::new()? })
    }

    pub(crate) fn keys(&self) -> KeysInSecret<'_, FreshSecrets> {
        KeysInSecret { secrets: &self.secrets, config: &self.config, http: &self.http }
    }
}

/// A user's name, as SQL reads it: in quotes it is taken as it is.
fn named(text: &str) -> Outcome<Name> {
    let name = Name::parse(text).filter(|name| name.parts().len() == 1);
    name.ok_or_else(|| {
        Failure::usage(format!("'{text}' is no name of a user")).hint("a name with a dot stands in double quotes")
    })
}

fn config(settings: BTreeMap<String, String>) -> Outcome<SnowflakeConfig> {
    let mut env = Env::of(settings);
    let config = SnowflakeConfig::from_env(&mut env);
    Ok(env.finish(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(user: Option<&str>, secret: Option<&str>) -> Outcome<(String, String)> {
        let settings = [
            ("SLUICE_SNOWFLAKE_ACCOUNT", "myorg-acct"),
            ("SLUICE_SNOWFLAKE_USER", "SLUICE_LOADER"),
            ("SLUICE_SNOWFLAKE_ROLE", "SLUICE_LOADER"),
            ("SLUICE_SNOWFLAKE_WAREHOUSE", "LOADING"),
            ("SLUICE_SNOWFLAKE_SECRET", "dev/snowflake-loader"),
            ("SLUICE_REPORTER", "SVC_REPORT"),
            ("SLUICE_REPORTER_SECRET", "dev/snowflake-reporter"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let aws = aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        let service = Service::find(settings, "dev", user, secret.map(str::to_owned), FreshSecrets::new(&aws))?;
        Ok((service.name.to_string(), service.config.secret))
    }

    #[test]
    fn the_secret_of_each_service_of_the_stack_is_known() {
        for (user, name, secret) in [
            (None, "SLUICE_LOADER", "dev/snowflake-loader"),
            (Some("sluice_loader"), "SLUICE_LOADER", "dev/snowflake-loader"),
            (Some("SVC_REPORT"), "SVC_REPORT", "dev/snowflake-reporter"),
            (Some(account::PROVISIONER), account::PROVISIONER, "dev/snowflake-provisioner"),
        ] {
            assert_eq!(found(user, None).expect("known"), (name.to_owned(), secret.to_owned()));
        }
        let unknown = found(Some("SVC_DBT"), None).expect_err("outside of the platform");
        assert!(unknown.text().contains("--secret"), "{}", unknown.text());
    }

    #[test]
    fn a_name_in_quotes_is_taken_as_it_is() {
        let (name, secret) = found(Some("\"svc.lower\""), Some("s")).expect("a name");
        assert_eq!((name.as_str(), secret.as_str()), ("\"svc.lower\"", "s"));
        assert_eq!(found(Some("svc.lower"), Some("s")).expect_err("two parts").exit_code(), 2);
    }
}
