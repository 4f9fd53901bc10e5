//! A service's private key in a secret, and the proof that it opens the account.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use sluice_core::{
    Error, Kind, Result, Secret,
    port::{SecretStore, Secrets},
};
use sluice_http::Client;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    kinds::{ACCOUNTADMIN, USERADMIN},
    port::PROVISIONER,
    rotate::{Keys, generate},
};
use crate::{
    Account, SnowflakeConfig, SqlApi,
    sql::{quote, session},
};

/// The field of the secret's JSON that holds the key.
const FIELD: &str = "private_key";

/// The longest that a login may take.
const LOGIN_WITHIN: Duration = Duration::from_secs(60);

/// The key of the user that a configuration names, in the secret that it names.
pub struct KeysInSecret<'a, S> {
    pub secrets: &'a S,
    pub config: &'a SnowflakeConfig,
    pub http: &'a Client,
}

impl<S: SecretStore> KeysInSecret<'_, S> {
    /// The secret's fields; none while it has no value.
    async fn fields(&self) -> Result<Map<String, Value>> {
        let secret = match self.secrets.get(&self.config.secret).await {
            Ok(secret) => secret,
            // Secrets Manager answers so for a secret without a value, too. Putting one tells the two apart.
            Err(error) if error.kind() == Kind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(error),
        };
        if secret.expose().trim().is_empty() {
            return Ok(Map::new());
        }
        // No cause is attached: it could quote the value.
        serde_json::from_str(secret.expose()).map_err(|_| {
            Error::config("the secret is not a JSON object")
                .with("secret", &self.config.secret)
                .with_hint(r#"its form is {"private_key": "<PKCS#8 PEM>"}; an empty object lets a rotation fill it"#)
        })
    }

    async fn put(&self, fields: Map<String, Value>) -> Result<()> {
        self.secrets.put(&self.config.secret, &Secret::new(Value::Object(fields).to_string())).await
    }
}

impl<S: SecretStore> Keys for KeysInSecret<'_, S> {
    async fn current(&self) -> Result<Option<Secret>> {
        let fields = self.fields().await?;
        Ok(fields.get(FIELD).and_then(Value::as_str).filter(|pem| !pem.is_empty()).map(Secret::new))
    }

    async fn rewrite(&self) -> Result<()> {
        self.put(self.fields().await?)
            .await
            .map_err(|error| error.with_hint("the secret must be there and writable for who calls; no key was changed"))
    }

    async fn store(&self, pem: &Secret) -> Result<()> {
        let mut fields = self.fields().await?;
        fields.insert(FIELD.to_owned(), pem.expose().into());
        self.put(fields).await
    }

    async fn prove(&self, pem: &Secret) -> Result<()> {
        // As whatever role the user has, in no warehouse: the login alone is the question.
        let config = SnowflakeConfig { warehouse: String::new(), ..self.config.clone() };
        let account = Account::new(config, AtHand::key(pem), self.http.clone());
        let api = SqlApi::new(Arc::new(account)).as_default_role();
        let deadline = Instant::now() + LOGIN_WITHIN;
        api.execute_until(session::ROLE, Uuid::new_v4(), "sluice:account:login", deadline).await.map(drop)
    }
}

/// The first user of an account, which is in no file: the value of its secret, and the statements that somebody who is ACCOUNTADMIN
/// runs at once. USERADMIN makes it and so owns it, as it owns the users of the file. A user that is there already gets the key,
/// no matter who owns it.
pub fn first_user() -> Result<(Secret, [String; 5])> {
    let (pem, public) = generate()?;
    let statements = [
        format!("USE ROLE {USERADMIN}"),
        format!("CREATE USER IF NOT EXISTS {PROVISIONER} TYPE = SERVICE DEFAULT_ROLE = {ACCOUNTADMIN}"),
        format!("USE ROLE {ACCOUNTADMIN}"),
        format!("ALTER USER {PROVISIONER} SET RSA_PUBLIC_KEY = {} DISABLED = FALSE", quote::literal(&public)),
        format!("GRANT ROLE {ACCOUNTADMIN} TO USER {PROVISIONER}"),
    ];
    Ok((AtHand::key(&pem).0, statements))
}

/// A secret whose value is known.
struct AtHand(Secret);

impl AtHand {
    fn key(pem: &Secret) -> Self {
        AtHand(Secret::new(serde_json::json!({FIELD: pem.expose()}).to_string()))
    }
}

impl Secrets for AtHand {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(self.0.clone())
    }
}
