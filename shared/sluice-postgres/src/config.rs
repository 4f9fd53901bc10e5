//! How to reach one database. The value of a secret: the fields are those that Secrets Manager writes for RDS.

use serde::Deserialize;
use sluice_core::Secret;

/// PostgreSQL's registered port.
const DEFAULT_PORT: u16 = 5432;

/// One database and one role. Debug shows everything but the password.
#[derive(Debug, Clone, Deserialize)]
pub struct PostgresConfig {
    pub host: String,
    #[serde(default = "default_port")]
    pub port: u16,
    pub dbname: String,
    pub username: String,
    pub password: Secret,
    /// Absent, the server must prove who it is.
    #[serde(default)]
    pub sslmode: TlsMode,
    /// Certificates, in PEM, that may sign the server's; absent, the public authorities. Only for `verify-full`.
    #[serde(default)]
    pub ca_pem: Option<String>,
}

/// What the connection's encryption must prove; libpq's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Plain text. For a server on the same machine.
    Disable,
    /// Encrypted; the server is not verified.
    Require,
    /// Encrypted, and the certificate names the host and is signed by a known authority.
    #[default]
    VerifyFull,
}

fn default_port() -> u16 {
    DEFAULT_PORT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_made_for_rds_is_read_and_verifies_the_server() {
        let config: PostgresConfig = serde_json::from_str(
            r#"{"engine":"postgres","host":"db","dbname":"shop","username":"u","password":"p@ss"}"#,
        )
        .unwrap();
        assert_eq!((config.port, config.sslmode), (5432, TlsMode::VerifyFull));
        assert!(!format!("{config:?}").contains("p@ss"), "{config:?}");
    }

    #[test]
    fn an_unknown_sslmode_is_refused() {
        for (text, expected) in [
            ("disable", Some(TlsMode::Disable)),
            ("require", Some(TlsMode::Require)),
            ("verify-full", Some(TlsMode::VerifyFull)),
            ("prefer", None),
            ("", None),
        ] {
            assert_eq!(serde_json::from_value(text.into()).ok(), expected, "{text}");
        }
    }
}
