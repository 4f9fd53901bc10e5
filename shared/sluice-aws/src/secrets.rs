//! Secrets Manager, asked once per secret and instance.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_secretsmanager::Client;
use sluice_core::{Error, Kind, Result, Secret, port::Secrets};

use crate::{SdkConfig, error::classify};

/// Fetches every time; for whoever watches a secret change.
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

/// Works with a secret whose value is a JSON object. When the other side refuses it, the secret is read once more, and if it
/// was rotated meanwhile the work is done again with the new one.
pub async fn with_secret<T: for<'de> serde::Deserialize<'de>, R>(
    secrets: &impl Secrets,
    name: &str,
    work: impl AsyncFn(T) -> Result<R>,
) -> Result<R> {
    let secret = secrets.get(name).await?;
    let refused = match work(parse(&secret, name)?).await {
        Err(error) if error.kind() == Kind::Auth => error,
        done => return done,
    };
    secrets.forget(name);
    let fresh = secrets.get(name).await?;
    if fresh == secret { Err(refused) } else { work(parse(&fresh, name)?).await }
}

/// Reads a secret whose value is a JSON object into a type. The error names the secret, never its content.
pub async fn secret_json<T: for<'de> serde::Deserialize<'de>>(secrets: &impl Secrets, name: &str) -> Result<T> {
    parse(&secrets.get(name).await?, name)
}

fn parse<T: for<'de> serde::Deserialize<'de>>(secret: &Secret, name: &str) -> Result<T> {
    serde_json::from_str(secret.expose()).map_err(|error| {
        // serde's message may quote the value: keep only where it stopped.
        Error::config("the secret's JSON does not have the fields this function needs; see its README")
            .with("secret", name)
            .with("line", error.line())
            .with("column", error.column())
    })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures::executor::block_on;
    use serde::Deserialize;

    use super::*;

    /// A store whose secret is rotated behind a cache's back.
    struct Rotated {
        stored: &'static str,
        cached: RefCell<Option<Secret>>,
        reads: Cell<u32>,
    }

    impl Rotated {
        fn new(cached: &'static str, stored: &'static str) -> Self {
            Rotated { stored, cached: RefCell::new(Some(Secret::new(cached))), reads: Cell::new(0) }
        }
    }

    impl Secrets for Rotated {
        async fn get(&self, _: &str) -> Result<Secret> {
            let cached = self.cached.borrow().clone();
            Ok(cached.unwrap_or_else(|| {
                self.reads.set(self.reads.get() + 1);
                let secret = Secret::new(self.stored);
                self.cached.replace(Some(secret.clone()));
                secret
            }))
        }

        fn forget(&self, _: &str) {
            self.cached.replace(None);
        }
    }

    #[derive(Deserialize)]
    struct Token {
        token: Secret,
    }

    /// Work that takes only the token `new`; how often it was tried, and how it ended.
    fn tried(secrets: &Rotated, refusal: Kind) -> (u32, Result<()>) {
        let tries = Cell::new(0);
        let ended = block_on(with_secret(secrets, "s", async |token: Token| {
            tries.set(tries.get() + 1);
            if token.token.expose() == "new" { Ok(()) } else { Err(Error::new(refusal, "refused")) }
        }));
        (tries.get(), ended)
    }

    const OLD: &str = r#"{"token": "old"}"#;
    const NEW: &str = r#"{"token": "new"}"#;

    #[test]
    fn a_rotated_secret_is_read_once_more_after_a_refusal() {
        let secrets = Rotated::new(OLD, NEW);
        let (tries, ended) = tried(&secrets, Kind::Auth);
        assert!(ended.is_ok());
        assert_eq!((tries, secrets.reads.get()), (2, 1));
        assert_eq!(tried(&secrets, Kind::Auth).0, 1, "the new one is remembered");
    }

    #[test]
    fn a_secret_that_is_wrong_and_unchanged_is_not_tried_twice() {
        let secrets = Rotated::new(OLD, OLD);
        let (tries, ended) = tried(&secrets, Kind::Auth);
        assert_eq!(ended.expect_err("refused").kind(), Kind::Auth);
        assert_eq!((tries, secrets.reads.get()), (1, 1));
    }

    #[test]
    fn other_failures_do_not_cost_a_read() {
        let secrets = Rotated::new(OLD, NEW);
        let (tries, ended) = tried(&secrets, Kind::Unavailable);
        assert_eq!(ended.expect_err("away").kind(), Kind::Unavailable);
        assert_eq!((tries, secrets.reads.get()), (1, 0));
    }
}
