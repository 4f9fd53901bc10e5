//! TLS and SASL of connections to brokers, and what to do where they refuse it.

use std::sync::Arc;

use rskafka::client::{Credentials as SaslCredentials, SaslConfig};
use rustls::ClientConfig;
use sluice_core::{Error, Kind, Result, Secret};

use crate::{
    config::{Credentials, KafkaConfig, Mechanism},
    iam::{Iam, LOG_IN},
};

/// What to do where a login, a producer or an administrator is refused.
const CONNECT: &str = "let the policy of this role or user allow kafka-cluster:Connect on the cluster, and the cluster's \
                       own policy too where it is in another account; then check that the region is the cluster's and \
                       this machine's clock is right";
pub(crate) const PRODUCE: &str = "let the role's policy allow kafka-cluster:Connect on the cluster, and \
                                  kafka-cluster:DescribeTopic and kafka-cluster:WriteData on the topic; one that it may \
                                  not describe looks as if nobody had created it";
pub(crate) const ADMINISTER: &str = "let the policy of this role or user allow kafka-cluster:CreateTopic, DescribeTopic, \
                                     AlterTopic, DescribeTopicDynamicConfiguration and \
                                     AlterTopicDynamicConfiguration on the topic";

/// `None` for a connection in plain text.
pub(crate) fn tls(config: &KafkaConfig, credentials: &Credentials) -> Result<Option<Arc<ClientConfig>>> {
    if !config.protocol.is_encrypted() {
        return Ok(None);
    }
    let authorities =
        sluice_http::tls::authorities(credentials.ca_pem.as_deref()).map_err(|error| error.with("secret", "Kafka"))?;
    Ok(Some(Arc::new(sluice_http::tls::client()?.with_root_certificates(authorities).with_no_client_auth())))
}

/// Name and password of a user whom the protocol has.
pub(crate) fn user(credentials: &Credentials) -> Result<(&str, &Secret)> {
    let user = credentials.username.as_deref().zip(credentials.password.as_ref());
    user.ok_or_else(|| Error::config("the Kafka secret needs username and password for this security protocol"))
}

/// Who we are in AWS, for brokers that take IAM.
pub(crate) fn iam<'a>(config: &KafkaConfig, credentials: &'a Credentials) -> Result<&'a Iam> {
    if !config.protocol.is_encrypted() {
        return Err(Error::config("IAM needs the protocol SASL_SSL: anybody who reads a token may connect with it"));
    }
    credentials.iam.as_ref().ok_or_else(|| Error::internal("IAM is asked for, and no AWS credentials were handed in"))
}

/// `None` where the protocol has no user.
pub(crate) fn sasl(config: &KafkaConfig, credentials: &Credentials) -> Result<Option<SaslConfig>> {
    if !config.protocol.is_authenticated() {
        return Ok(None);
    }
    let with_user: fn(SaslCredentials) -> SaslConfig = match config.mechanism {
        Mechanism::Iam => {
            let bearer = iam(config, credentials)?.bearer(&config.bootstrap);
            return Ok(Some(SaslConfig::Oauthbearer(bearer)));
        }
        Mechanism::Plain => SaslConfig::Plain,
        Mechanism::ScramSha256 => SaslConfig::ScramSha256,
        Mechanism::ScramSha512 => SaslConfig::ScramSha512,
    };
    let (username, password) = user(credentials)?;
    Ok(Some(with_user(SaslCredentials::new(username.to_owned(), password.expose().to_owned()))))
}

/// A refused login, with what to do about it.
pub(crate) fn refused_login(error: Error, config: &KafkaConfig) -> Error {
    // What a broker says where the credentials are about to end.
    let is_short = error.chain().contains("Session too short");
    hinted(error, config, if is_short { LOG_IN } else { CONNECT })
}

/// An error that a right would mend, with what to allow where it is IAM that gives rights.
pub(crate) fn hinted(error: Error, config: &KafkaConfig, hint: &'static str) -> Error {
    match (error.kind(), config.mechanism) {
        (Kind::Auth | Kind::NotFound, Mechanism::Iam) => error.with_hint(hint),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_lacks_is_named_where_iam_gives_rights() {
        let hint = |mechanism, error: Error| {
            let config = KafkaConfig { mechanism, ..KafkaConfig::default() };
            hinted(error, &config, PRODUCE).hint().map(str::to_owned)
        };
        let denied = || Error::new(Kind::Auth, "denied");
        assert_eq!(hint(Mechanism::Iam, denied()).as_deref(), Some(PRODUCE));
        assert_eq!(hint(Mechanism::Iam, Error::not_found("no such topic")).as_deref(), Some(PRODUCE));
        assert_eq!(hint(Mechanism::Iam, Error::unavailable("away")), None);
        assert_eq!(hint(Mechanism::ScramSha512, denied()), None);
    }
}
