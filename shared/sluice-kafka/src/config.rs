//! Which cluster, and how it is reached: the settings that every function that produces to Kafka shares.

use std::str::FromStr;

use serde::Deserialize;
use sluice_core::{Error, Result, Secret, env::Env};

use crate::iam::Iam;

/// Kafka's own names for how a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecurityProtocol {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    pub fn is_encrypted(self) -> bool {
        matches!(self, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl)
    }

    pub fn is_authenticated(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }
}

impl FromStr for SecurityProtocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "PLAINTEXT" => SecurityProtocol::Plaintext,
            "SSL" => SecurityProtocol::Ssl,
            "SASL_PLAINTEXT" => SecurityProtocol::SaslPlaintext,
            "SASL_SSL" => SecurityProtocol::SaslSsl,
            _ => return Err(Error::config("known security protocols are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL")),
        })
    }
}

/// How a client proves itself: Confluent Cloud takes PLAIN, Amazon MSK takes SCRAM-SHA-512 of a user, and IAM of an AWS principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    #[default]
    ScramSha512,
    Iam,
}

impl FromStr for Mechanism {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "PLAIN" => Mechanism::Plain,
            "SCRAM-SHA-256" => Mechanism::ScramSha256,
            "SCRAM-SHA-512" => Mechanism::ScramSha512,
            "IAM" => Mechanism::Iam,
            _ => return Err(Error::config("known mechanisms are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and IAM")),
        })
    }
}

/// Where the cluster is. User and password are not here: they are a secret, fetched on first use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KafkaConfig {
    /// `host:port`, or several joined by commas.
    pub bootstrap: String,
    pub protocol: SecurityProtocol,
    /// Only read where the protocol has SASL.
    pub mechanism: Mechanism,
    /// The name of the secret with [`Credentials`].
    pub secret: Option<String>,
}

impl KafkaConfig {
    pub fn from_env(env: &mut Env) -> Self {
        let config = KafkaConfig {
            bootstrap: env.required("SLUICE_KAFKA_BOOTSTRAP"),
            protocol: env.parsed_or("SLUICE_KAFKA_SECURITY_PROTOCOL", SecurityProtocol::default()),
            mechanism: env.parsed_or("SLUICE_KAFKA_SASL_MECHANISM", Mechanism::default()),
            secret: env.optional("SLUICE_KAFKA_SECRET"),
        };
        let has_user = config.protocol.is_authenticated() && config.mechanism != Mechanism::Iam;
        if has_user && config.secret.is_none() {
            env.problem("SLUICE_KAFKA_SECRET is not set, and the security protocol needs a user");
        }
        config
    }
}

/// The secret: `{"username", "password"}`, which is also the form that Amazon MSK demands; `ca_pem` for a cluster whose
/// certificates come from an authority of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Credentials {
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Who we are instead of a user, where the brokers take IAM. It is in no secret.
    #[serde(skip)]
    pub iam: Option<Iam>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<KafkaConfig> {
        let mut env = Env::of(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = KafkaConfig::from_env(&mut env);
        env.finish(config)
    }

    #[test]
    fn kafkas_own_words_are_read_and_nothing_else() {
        let config = read(&[
            ("SLUICE_KAFKA_BOOTSTRAP", "a:9096,b:9096"),
            ("SLUICE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("SLUICE_KAFKA_SASL_MECHANISM", "PLAIN"),
            ("SLUICE_KAFKA_SECRET", "kafka"),
        ]);
        let expected = KafkaConfig {
            bootstrap: "a:9096,b:9096".into(),
            protocol: SecurityProtocol::SaslSsl,
            mechanism: Mechanism::Plain,
            secret: Some("kafka".into()),
        };
        assert_eq!(config.ok(), Some(expected));
        let error = read(&[("SLUICE_KAFKA_BOOTSTRAP", "a:1"), ("SLUICE_KAFKA_SECURITY_PROTOCOL", "TLS")]);
        assert!(error.is_err_and(|error| error.to_string().contains("SLUICE_KAFKA_SECURITY_PROTOCOL")));
    }

    #[test]
    fn a_user_is_demanded_where_the_protocol_has_one() {
        let error = read(&[("SLUICE_KAFKA_BOOTSTRAP", "a:1"), ("SLUICE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")]);
        assert!(error.is_err_and(|error| error.to_string().contains("SLUICE_KAFKA_SECRET")));
        let plain = read(&[("SLUICE_KAFKA_BOOTSTRAP", "a:1")]).expect("no user is needed");
        assert_eq!(plain.protocol, SecurityProtocol::Plaintext);
        let iam = [
            ("SLUICE_KAFKA_BOOTSTRAP", "a:9098"),
            ("SLUICE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("SLUICE_KAFKA_SASL_MECHANISM", "IAM"),
        ];
        assert_eq!(read(&iam).expect("a role needs no user").mechanism, Mechanism::Iam);
    }
}
