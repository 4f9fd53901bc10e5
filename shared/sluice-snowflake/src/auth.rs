//! Key-pair authentication: a token that we sign ourselves and that Snowflake checks against the user's public key.
//!
//! A token lives at most an hour. It is made to live 59 minutes and renewed after 54, so that none expires on its way.
//! The key is read from its secret on first use and read again after a refusal, and after one that could not be used, because
//! keys are rotated.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{KeyPair as _, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sluice_core::{Error, Result, Secret, port::Secrets, with_secret};

use crate::SnowflakeConfig;

const LIFE: TimeDelta = TimeDelta::minutes(59);
const RENEWED_AFTER: TimeDelta = TimeDelta::minutes(54);

/// Something that knows the token of a request.
pub(crate) trait Tokens {
    fn token(&self) -> impl Future<Output = Result<Secret>>;

    /// The token was refused: the next one must be a new one.
    fn forget(&self);
}

/// A service user's private key and name.
pub struct Signer {
    key: EncodingKey,
    /// `ACCOUNT.USER`.
    subject: String,
    fingerprint: String,
}

impl Signer {
    /// Reads an unencrypted PEM, PKCS#8 or PKCS#1.
    pub fn new(account: &str, user: &str, pem: &Secret) -> Result<Self> {
        if pem.expose().contains("ENCRYPTED") {
            return Err(Error::config("the private key is encrypted; store it without a passphrase"));
        }
        // No cause is attached to these errors: it could quote the key.
        let unusable = || Error::config("the private key is not an RSA key in PEM form of 2048 bits or more");
        let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes()).map_err(|_| unusable())?;
        let pair = RsaKeyPair::from_der(key.as_bytes()).map_err(|_| unusable())?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| unusable())?;
        let fingerprint = format!("SHA256:{}", STANDARD.encode(Sha256::digest(public.as_ref())));
        Ok(Signer { key, subject: format!("{}.{}", account_name(account), user.to_uppercase()), fingerprint })
    }

    /// The public key's fingerprint, as `DESC USER` shows it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub fn sign(&self, now: DateTime<Utc>) -> Result<Secret> {
        #[derive(Serialize)]
        struct Claims<'a> {
            iss: String,
            sub: &'a str,
            iat: i64,
            exp: i64,
        }
        let claims = Claims {
            iss: format!("{}.{}", self.subject, self.fingerprint),
            sub: &self.subject,
            iat: now.timestamp(),
            exp: (now + LIFE).timestamp(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key)
            .map(Secret::new)
            .map_err(|error| Error::internal("cannot sign a token").because(error))
    }
}

/// The account as a token names it: upper case, a locator without its region, an organisation's account whole.
fn account_name(account: &str) -> String {
    let name = if account.contains(".global") { account.split('-').next() } else { account.split('.').next() };
    name.unwrap_or(account).to_uppercase()
}

/// The tokens of one service user.
pub(crate) struct KeyPairTokens<Sec> {
    secrets: Sec,
    config: SnowflakeConfig,
    minted: Mutex<Option<Minted>>,
}

struct Minted {
    signer: Signer,
    token: Secret,
    at: DateTime<Utc>,
}

impl<Sec: Secrets> KeyPairTokens<Sec> {
    pub(crate) fn new(config: SnowflakeConfig, secrets: Sec) -> Self {
        KeyPairTokens { secrets, config, minted: Mutex::new(None) }
    }

    #[cfg(test)]
    pub(crate) fn secrets(&self) -> &Sec {
        &self.secrets
    }

    async fn token_at(&self, now: DateTime<Utc>) -> Result<Secret> {
        if let Some(minted) = held(&self.minted).as_mut() {
            if !(TimeDelta::zero()..RENEWED_AFTER).contains(&(now - minted.at)) {
                minted.token = minted.signer.sign(now)?;
                minted.at = now;
            }
            return Ok(minted.token.clone());
        }
        let signer = self.signer().await?;
        let token = signer.sign(now)?;
        *held(&self.minted) = Some(Minted { signer, token: token.clone(), at: now });
        Ok(token)
    }

    async fn signer(&self) -> Result<Signer> {
        #[derive(Deserialize)]
        struct Stored {
            private_key: Secret,
        }
        let SnowflakeConfig { account, user, secret, .. } = &self.config;
        let signer = with_secret(&self.secrets, secret, async |stored: Stored| {
            Signer::new(account, user, &stored.private_key).map_err(|error| error.with("secret", secret))
        });
        // What has no usable key is not worth remembering: once it is mended, the next request reads it.
        signer.await.inspect_err(|_| self.secrets.forget(secret))
    }
}

impl<Sec: Secrets> Tokens for KeyPairTokens<Sec> {
    async fn token(&self) -> Result<Secret> {
        self.token_at(Utc::now()).await
    }

    fn forget(&self) {
        *held(&self.minted) = None;
        self.secrets.forget(&self.config.secret);
    }
}

/// Nothing can panic while these locks are held, so a poisoned one holds good data.
pub(crate) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::key::TestKey;

    #[test]
    fn accounts_are_named_as_snowflake_names_them() {
        for (account, name) in [
            ("myorg-my_account", "MYORG-MY_ACCOUNT"),
            ("ab12345", "AB12345"),
            ("ab12345.eu-west-1.aws", "AB12345"),
            ("ab12345-x.global", "AB12345"),
        ] {
            assert_eq!(account_name(account), name);
        }
    }

    #[test]
    fn the_fingerprint_is_that_of_the_subject_public_key_info() {
        let key = TestKey::generate();
        // The fixed head of a 2048-bit RSA key's SubjectPublicKeyInfo; the PKCS#1 key follows.
        let mut info =
            b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00"
                .to_vec();
        info.extend_from_slice(&key.public_pkcs1);
        let expected = format!("SHA256:{}", STANDARD.encode(Sha256::digest(info)));
        assert_eq!(Signer::new("a", "u", &key.pem).expect("a key").fingerprint(), expected);
    }

    #[test]
    fn a_token_says_who_for_how_long_and_is_signed() {
        let key = TestKey::generate();
        let signer = Signer::new("myorg-acct", "sluice_loader", &key.pem).expect("a key");
        let now = Utc::now();
        let claims = key.verify(signer.sign(now).expect("a token").expose()).expect("a valid token");
        assert_eq!(claims["sub"], "MYORG-ACCT.SLUICE_LOADER");
        assert_eq!(claims["iss"], format!("MYORG-ACCT.SLUICE_LOADER.{}", signer.fingerprint()));
        assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(59 * 60));
        assert_eq!(claims["iat"], now.timestamp());
    }

    #[test]
    fn an_unusable_key_is_refused_without_being_shown() {
        for pem in ["", "s3cret", "-----BEGIN ENCRYPTED PRIVATE KEY-----\ns3cret\n-----END ENCRYPTED PRIVATE KEY-----"]
        {
            let error = Signer::new("a", "u", &Secret::new(pem)).err().expect("no key");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn an_unusable_key_is_forgotten_so_that_a_mended_one_is_read() {
        let key = TestKey::generate();
        for broken in ["{}", r#"{"private_key": "no key"}"#] {
            let tokens = KeyPairTokens::new(key.config(None), key.secrets());
            tokens.secrets.put(broken);
            let error = tokens.token_at(Utc::now()).await.expect_err("no key");
            assert_eq!(error.kind(), sluice_core::Kind::Config);
            assert!(error.to_string().contains("snowflake-loader"), "{error}");
            assert!(tokens.secrets.forgotten() > 0, "a store that remembers must ask again");
            tokens.secrets.put(&serde_json::json!({ "private_key": key.pem.expose() }).to_string());
            tokens.token_at(Utc::now()).await.expect("a token");
        }
    }

    #[tokio::test]
    async fn a_token_is_kept_for_54_minutes_and_the_key_until_a_refusal() {
        let key = TestKey::generate();
        let tokens = KeyPairTokens::new(key.config(None), key.secrets());
        let start = Utc::now();
        let at = async |minutes| tokens.token_at(start + TimeDelta::minutes(minutes)).await.expect("a token");
        let first = at(0).await;
        assert_eq!(at(53).await, first);
        let second = at(54).await;
        assert_ne!(second, first);
        assert_eq!((tokens.secrets.reads(), tokens.secrets.forgotten()), (1, 0));
        tokens.forget();
        at(55).await;
        assert_eq!((tokens.secrets.reads(), tokens.secrets.forgotten()), (2, 1), "a rotated key must be seen");
    }
}
