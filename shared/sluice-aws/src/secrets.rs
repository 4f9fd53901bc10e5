//! Secrets Manager, asked once per secret and instance.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_secretsmanager::{Client, types::SecretVersionsListEntry};
use chrono::{DateTime, Utc};
use sluice_core::{
    Error, Kind, Result, Secret,
    port::{SecretStore, Secrets},
};

use crate::{SdkConfig, error::classify};

/// The stage of the version that is read without a word about versions.
const CURRENT: &str = "AWSCURRENT";

/// Fetches every time; for those who watch a secret change.
#[derive(Debug)]
pub struct FreshSecrets(Client);

impl FreshSecrets {
    pub fn new(config: &SdkConfig) -> Self {
        FreshSecrets(Client::new(config))
    }
}

impl Secrets for FreshSecrets {
    async fn get(&self, name: &str) -> Result<Secret> {
        let get = self.0.get_secret_value().secret_id(name);
        let answer = get.send().await.map_err(|e| classify(e, format!("cannot read the secret {name}")))?;
        let value = answer
            .secret_string()
            .ok_or_else(|| Error::config("the secret has no text value; put its JSON in").with("secret", name))?;
        Ok(Secret::new(value))
    }
}

impl SecretStore for FreshSecrets {
    async fn put(&self, name: &str, value: &Secret) -> Result<()> {
        let put = self.0.put_secret_value().secret_id(name).secret_string(value.expose());
        put.send().await.map(drop).map_err(|e| classify(e, format!("cannot set the secret {name}")))
    }
}

/// Fetches on first use and remembers until somebody refuses it, or for the life of the instance.
#[derive(Debug)]
pub struct CachedSecrets {
    fresh: FreshSecrets,
    known: Mutex<HashMap<String, Secret>>,
}

impl CachedSecrets {
    pub fn new(config: &SdkConfig) -> Self {
        CachedSecrets { fresh: FreshSecrets::new(config), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Secret>> {
        // Nothing that is done under the lock can panic half way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secrets for CachedSecrets {
    async fn get(&self, name: &str) -> Result<Secret> {
        if let Some(secret) = self.known().get(name) {
            return Ok(secret.clone());
        }
        let secret = self.fresh.get(name).await?;
        self.known().insert(name.to_owned(), secret.clone());
        Ok(secret)
    }

    fn forget(&self, name: &str) {
        self.known().remove(name);
    }
}

/// When secrets were changed last. Their values are not read.
#[derive(Debug, Clone)]
pub struct SecretAges(Client);

impl SecretAges {
    pub fn new(config: &SdkConfig) -> Self {
        SecretAges(Client::new(config))
    }

    /// `None` of a secret that does not exist, and of one that was never given a value. The secret's own date will not do: a
    /// change of its tags or its description moves it.
    pub async fn changed_at(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        let listed = self.0.list_secret_version_ids().secret_id(name).send().await;
        let listed = match listed.map_err(|error| classify(error, format!("cannot look at the secret {name}"))) {
            Ok(listed) => listed,
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_current = |version: &&SecretVersionsListEntry| version.version_stages().iter().any(|it| it == CURRENT);
        let made = listed.versions().iter().find(is_current).and_then(|version| version.created_date());
        Ok(made.and_then(|at| DateTime::from_timestamp(at.secs(), 0)))
    }
}
