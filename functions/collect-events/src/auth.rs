//! Who may send: an API key in `x-api-key`, or a JSON Web Token in `Authorization: Bearer`.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sluice_core::{Error, Kind, Result, Secret, port::Secrets};
use tracing::warn;

use crate::{event::Request, problem::Problem};

/// The secret is read again after this, so that a removed key stops working without a deployment.
const FRESH: Duration = Duration::from_secs(300);
/// And at most this often for a key or a token that is refused, so that a new one works soon.
const SECOND_LOOK: Duration = Duration::from_secs(30);
/// While an older one is at hand, the secret is not read again for this long after a read has failed,
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// and no request waits longer for it.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Clocks differ.
const LEEWAY_SECONDS: u64 = 30;
/// Below this, an HS256 secret can be guessed faster than it can be changed.
const SHORTEST_SECRET: usize = 32;
/// The scope that lets a token write to every topic; followed by a colon and a topic, to that one.
const SCOPE: &str = "events:write";

/// The secret's JSON.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    /// By a name that may be logged. Several at once, so that a key can be replaced without a gap.
    #[serde(default)]
    api_keys: BTreeMap<String, ApiKey>,
    #[serde(default)]
    jwt: Option<Tokens>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKey {
    key: Secret,
    /// Absent for all topics.
    #[serde(default)]
    topics: Option<Vec<String>>,
}

/// What a token must be signed with, and by whom for whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    #[serde(default)]
    issuer: Option<String>,
    #[serde(default)]
    audience: Option<String>,
    /// For HS256.
    #[serde(default)]
    hs256_secret: Option<Secret>,
    /// For RS256, with issuer and audience beside it.
    #[serde(default)]
    jwks: Option<JwkSet>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    scope: String,
}

/// Checks credentials against the secret, which it keeps for a while.
pub struct Guard<S> {
    secrets: S,
    name: String,
    /// How long a request waits for a newer secret than the one at hand.
    timeout: Duration,
    held: RefCell<Option<(Accepted, Instant)>>,
    failed_at: Cell<Option<Instant>>,
}

impl<S: Secrets> Guard<S> {
    /// `secrets` must not remember: this does.
    pub fn new(secrets: S, name: impl Into<String>) -> Self {
        let (held, failed_at) = (RefCell::default(), Cell::default());
        Guard { secrets, name: name.into(), timeout: READ_TIMEOUT, held, failed_at }
    }

    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Guard { timeout, ..self }
    }

    /// Lets the request in, and says as whom.
    pub async fn admit(&self, request: &Request, topic: &str, now: Instant) -> Result<String, Problem> {
        let bearer = request.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let judged = |accepted: &Accepted| match (request.header("x-api-key"), bearer) {
            (Some(key), _) => accepted.key(key, topic),
            (None, Some(token)) => accepted.token(token, topic),
            (None, None) => Err(unauthorised("send an API key in x-api-key or a token in Authorization: Bearer")),
        };
        match judged(&self.accepted(FRESH, now).await?) {
            // The keys may have been changed since they were read.
            Err(_) => judged(&self.accepted(SECOND_LOOK, now).await?),
            admitted => admitted,
        }
    }

    /// The secret, not older than `age`; an older one rather than none, and rather than a long wait.
    async fn accepted(&self, age: Duration, now: Instant) -> Result<Accepted, Problem> {
        let held = self.held.borrow().clone();
        let Some((older, read_at)) = held else {
            return self.renew(self.read().await, now).ok_or_else(|| {
                Problem::new(503, "Service unavailable", "credentials cannot be checked just now; try again")
                    .header("retry-after", "5")
            });
        };
        let within = |at: Instant, duration: Duration| now.duration_since(at) < duration;
        if within(read_at, age) || self.failed_at.get().is_some_and(|at| within(at, AFTER_FAILURE)) {
            return Ok(older);
        }
        let read = tokio::time::timeout(self.timeout, self.read()).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, "the secret has not come in time").with("secret", &self.name))
        });
        Ok(self.renew(read, now).unwrap_or(older))
    }

    /// Keeps what was read, or that it could not be.
    fn renew(&self, read: Result<Accepted>, now: Instant) -> Option<Accepted> {
        match read {
            Ok(accepted) => {
                *self.held.borrow_mut() = Some((accepted.clone(), now));
                self.failed_at.set(None);
                Some(accepted)
            }
            Err(error) => {
                warn!(error = error.chain(), error_kind = %error.kind(), "cannot read who may send events");
                self.failed_at.set(Some(now));
                None
            }
        }
    }

    async fn read(&self) -> Result<Accepted> {
        let secret = self.secrets.get(&self.name).await?;
        let accepted: Accepted = serde_json::from_str(secret.expose()).map_err(|error| {
            // serde's message may quote the value: keep only where it stopped.
            Error::config("the secret's JSON does not have the form that the README of collect-events shows")
                .with("secret", &self.name)
                .with("column", error.column())
        })?;
        let short = |secret: &Secret| secret.expose().len() < SHORTEST_SECRET;
        if accepted.jwt.as_ref().and_then(|jwt| jwt.hs256_secret.as_ref()).is_some_and(short) {
            return Err(Error::config("hs256_secret must have at least 32 bytes").with("secret", &self.name));
        }
        if accepted.jwt.as_ref().is_some_and(Tokens::takes_anybodys) {
            return Err(Error::config("jwks needs issuer and audience beside it").with("secret", &self.name));
        }
        if accepted.api_keys.values().any(|key| key.key.expose().is_empty()) {
            return Err(Error::config("an API key is empty").with("secret", &self.name));
        }
        Ok(accepted)
    }
}

impl Accepted {
    fn key(&self, key: &str, topic: &str) -> Result<String, Problem> {
        let (name, topics) = find(self, key).ok_or_else(|| unauthorised("the API key is not known"))?;
        match topics {
            Some(topics) if !topics.iter().any(|allowed| allowed == topic) => {
                Err(forbidden("the API key is not for this topic"))
            }
            _ => Ok(name),
        }
    }

    fn token(&self, token: &str, topic: &str) -> Result<String, Problem> {
        let tokens = self.jwt.as_ref().ok_or_else(|| unauthorised("tokens are not taken here"))?;
        let claims = tokens.verify(token).map_err(|reason| unauthorised(&format!("the token {reason}")))?;
        let own = format!("{SCOPE}:{topic}");
        if !claims.scope.split(' ').any(|scope| scope == SCOPE || scope == own) {
            return Err(forbidden("the token's scope does not hold events:write"));
        }
        Ok(claims.sub.unwrap_or_else(|| "token".to_owned()))
    }
}

/// Compares with every key in constant time, and digests rather than keys, so that neither a key's beginning nor its
/// length shows in how long it takes.
fn find(accepted: &Accepted, key: &str) -> Option<(String, Option<Vec<String>>)> {
    let given = Sha256::digest(key);
    let mut found = None;
    for (name, known) in &accepted.api_keys {
        if verify_slices_are_equal(&given, &Sha256::digest(known.key.expose())).is_ok() {
            found = Some((name.clone(), known.topics.clone()));
        }
    }
    found
}

impl Tokens {
    /// An identity provider signs with one key for all who trust it: without issuer and audience, a token that was meant
    /// for another service would do.
    fn takes_anybodys(&self) -> bool {
        let missing = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
        self.jwks.is_some() && (missing(&self.issuer) || missing(&self.audience))
    }

    /// The key decides the algorithm, never the token alone: a public key must not be taken for a shared secret.
    fn verify(&self, token: &str) -> Result<Claims, &'static str> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "is not a JSON Web Token")?;
        let key = match header.alg {
            Algorithm::HS256 => {
                let secret = self.hs256_secret.as_ref().ok_or("is signed in a way that is not taken here")?;
                DecodingKey::from_secret(secret.expose().as_bytes())
            }
            Algorithm::RS256 => {
                let jwks = self.jwks.as_ref().ok_or("is signed in a way that is not taken here")?;
                let jwk = match &header.kid {
                    Some(kid) => jwks.find(kid),
                    None => jwks.keys.first().filter(|_| jwks.keys.len() == 1),
                };
                DecodingKey::from_jwk(jwk.ok_or("names a key that is not known")?)
                    .map_err(|_| "names a key that cannot be used")?
            }
            _ => return Err("is signed in a way that is not taken here"),
        };
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        let verified = jsonwebtoken::decode::<Claims>(token, &key, &validation);
        verified.map(|data| data.claims).map_err(|_| "is not valid: signature, time, issuer or audience is wrong")
    }
}

fn unauthorised(detail: &str) -> Problem {
    Problem::new(401, "Unauthorized", detail).header("www-authenticate", "Bearer realm=\"events\"")
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(403, "Forbidden", detail)
}
