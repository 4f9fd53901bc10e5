//! Which account, as whom: the settings that every function that calls Snowflake shares.

use sluice_core::env::Env;

/// Where Snowflake is and who asks. The private key is not here: it is a secret, fetched on first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnowflakeConfig {
    /// `ORG-ACCOUNT`, or a locator with its region.
    pub account: String,
    /// Replaces the account's own address; for a private link or an emulator.
    pub url: Option<String>,
    /// The LOGIN_NAME of the service user, which may differ from its NAME.
    pub user: String,
    pub role: String,
    pub warehouse: String,
    /// The name of the secret, a JSON object with the PKCS#8 PEM under `private_key`.
    pub secret: String,
}

impl SnowflakeConfig {
    pub fn from_env(env: &mut Env) -> Self {
        let config = SnowflakeConfig {
            account: env.required("SLUICE_SNOWFLAKE_ACCOUNT"),
            url: env.optional("SLUICE_SNOWFLAKE_URL"),
            user: env.required("SLUICE_SNOWFLAKE_USER"),
            role: env.required("SLUICE_SNOWFLAKE_ROLE"),
            warehouse: env.required("SLUICE_SNOWFLAKE_WAREHOUSE"),
            secret: env.required("SLUICE_SNOWFLAKE_SECRET"),
        };
        // The account becomes a host name and the token goes to whatever the address says, so both are checked.
        let host_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !config.account.chars().all(host_safe) {
            env.problem("SLUICE_SNOWFLAKE_ACCOUNT may hold letters, digits, '-', '_' and '.' only");
        }
        if config.url.as_deref().is_some_and(|url| !is_safe_address(url)) {
            env.problem("SLUICE_SNOWFLAKE_URL must begin with https://, or with http:// on this machine");
        }
        config
    }

    /// What the account is called among those who exchange lineage.
    pub fn namespace(&self) -> String {
        format!("snowflake://{}", self.account.to_lowercase())
    }

    /// The address without a trailing slash. Underscores of an account's name are hyphens in its host's name.
    pub fn base_url(&self) -> String {
        match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://{}.snowflakecomputing.com", self.account.to_lowercase().replace('_', "-")),
        }
    }
}

/// A token must not cross a network in the clear.
fn is_safe_address(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(changes: &[(&str, &str)]) -> Env {
        let mut values: Vec<(String, String)> = ["ACCOUNT", "USER", "ROLE", "WAREHOUSE", "SECRET"]
            .map(|name| (format!("SLUICE_SNOWFLAKE_{name}"), format!("my_{name}")))
            .into();
        values.extend(changes.iter().map(|(name, value)| (format!("SLUICE_SNOWFLAKE_{name}"), (*value).to_owned())));
        Env::of(values)
    }

    #[test]
    fn the_address_follows_from_the_account_unless_it_is_given() {
        let mut plain = env(&[]);
        assert_eq!(SnowflakeConfig::from_env(&mut plain).base_url(), "https://my-account.snowflakecomputing.com");
        let mut given = env(&[("URL", "http://127.0.0.1:8080/")]);
        let config = SnowflakeConfig::from_env(&mut given);
        assert_eq!(given.finish(config).expect("usable").base_url(), "http://127.0.0.1:8080");
    }

    #[test]
    fn an_address_or_account_that_would_leak_the_token_is_refused() {
        for (name, value) in [
            ("URL", "http://example.com"),
            ("URL", "http://127.0.0.1.example.com"),
            ("URL", "http://localhost@example.com"),
            ("URL", "ftp://x"),
            ("ACCOUNT", "evil.com/x"),
            ("ACCOUNT", "a@b"),
        ] {
            let mut env = env(&[(name, value)]);
            let config = SnowflakeConfig::from_env(&mut env);
            assert!(env.finish(config).is_err(), "{value} was accepted");
        }
    }
}
