//! A key pair made for one test, its secret, and the check that Snowflake would do.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use sluice_core::{Result, Secret, port::Secrets};
use sluice_http::Client;

use crate::{Account, Pace, SnowflakeConfig};

pub(crate) struct TestKey {
    pub(crate) pem: Secret,
    pub(crate) public_pkcs1: Vec<u8>,
}

impl TestKey {
    pub(crate) fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
        let body = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        TestKey { pem: Secret::new(pem), public_pkcs1: pair.public_key().as_ref().to_vec() }
    }

    /// The claims of a token that this key has signed and that has not expired.
    pub(crate) fn verify(&self, token: &str) -> Option<serde_json::Value> {
        let key = DecodingKey::from_rsa_der(&self.public_pkcs1);
        jsonwebtoken::decode(token, &key, &Validation::new(Algorithm::RS256)).ok().map(|data| data.claims)
    }

    pub(crate) fn config(&self, url: Option<String>) -> SnowflakeConfig {
        SnowflakeConfig {
            account: "myorg-acct".into(),
            url,
            user: "sluice_loader".into(),
            role: "LOADER".into(),
            warehouse: "LOADING".into(),
            secret: "snowflake-loader".into(),
        }
    }

    pub(crate) fn secrets(&self) -> OneSecret {
        let value = serde_json::json!({ "private_key": self.pem.expose() }).to_string();
        OneSecret { value: Mutex::new(Secret::new(value)), reads: AtomicUsize::new(0), forgotten: AtomicUsize::new(0) }
    }

    pub(crate) fn account(&self, url: &str) -> Arc<Account<OneSecret>> {
        let http = Client::new().expect("a client");
        Arc::new(Account::new(self.config(Some(url.to_owned())), self.secrets(), http).with_pace(Pace::without_waits()))
    }
}

/// A secret store that counts.
pub(crate) struct OneSecret {
    value: Mutex<Secret>,
    reads: AtomicUsize,
    forgotten: AtomicUsize,
}

impl OneSecret {
    pub(crate) fn put(&self, value: &str) {
        *self.value.lock().expect("the value") = Secret::new(value);
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// How often the store was told that its value had been refused.
    pub(crate) fn forgotten(&self) -> usize {
        self.forgotten.load(Ordering::Relaxed)
    }
}

impl Secrets for OneSecret {
    async fn get(&self, name: &str) -> Result<Secret> {
        assert_eq!(name, "snowflake-loader");
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.value.lock().expect("the value").clone())
    }

    fn forget(&self, name: &str) {
        assert_eq!(name, "snowflake-loader");
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }
}
