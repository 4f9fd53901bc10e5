//! A value that must never be printed, and the one way to work with one that may have been rotated.

use std::fmt;

use serde::{Deserialize, de::DeserializeOwned};

use crate::{Error, Kind, Result};

/// A password, token or key. Debug and Display show a placeholder; [`Secret::expose`] is the one way to the value.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Secrets by name. Fetched on first use, never at cold start.
pub trait Secrets {
    fn get(&self, name: &str) -> impl Future<Output = Result<Secret>>;

    /// The service has refused the secret: the next `get` reads it again, because it may have been rotated.
    fn forget(&self, _name: &str) {}
}

/// Secrets that can be given another value.
pub trait SecretStore: Secrets {
    /// Durable when it returns: each read from then on gets this value. The secret must be there.
    fn put(&self, name: &str, value: &Secret) -> impl Future<Output = Result<()>>;
}

/// Works with a secret whose value is a JSON object. When the other side refuses it, or it cannot be used at all, the secret is
/// read once more, and if it was changed meanwhile the work is done again with the new one.
pub async fn with_secret<T: DeserializeOwned, R>(
    secrets: &impl Secrets,
    name: &str,
    work: impl AsyncFn(T) -> Result<R>,
) -> Result<R> {
    let secret = secrets.get(name).await?;
    let refused = match parse(&secret, name) {
        Err(unusable) => unusable,
        Ok(parsed) => match work(parsed).await {
            Err(error) if error.kind() == Kind::Auth => error,
            done => return done,
        },
    };
    secrets.forget(name);
    let fresh = secrets.get(name).await?;
    if fresh == secret { Err(refused) } else { work(parse(&fresh, name)?).await }
}

fn parse<T: DeserializeOwned>(secret: &Secret, name: &str) -> Result<T> {
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
    fn a_secret_that_was_unusable_is_read_again_once_it_is_mended() {
        let secrets = Rotated::new(r#"{"tokne": "old"}"#, NEW);
        let (tries, ended) = tried(&secrets, Kind::Auth);
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!((tries, secrets.reads.get()), (1, 1));
        let secrets = Rotated::new("", "");
        let (tries, ended) = tried(&secrets, Kind::Auth);
        assert_eq!(ended.expect_err("unusable").kind(), Kind::Config);
        assert_eq!((tries, secrets.reads.get()), (0, 1));
    }

    #[test]
    fn other_failures_do_not_cost_a_read() {
        let secrets = Rotated::new(OLD, NEW);
        let (tries, ended) = tried(&secrets, Kind::Unavailable);
        assert_eq!(ended.expect_err("away").kind(), Kind::Unavailable);
        assert_eq!((tries, secrets.reads.get()), (1, 0));
    }
}
