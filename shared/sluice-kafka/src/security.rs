//! TLS and SASL of connections to brokers.

use std::sync::Arc;

use rskafka::client::{Credentials as SaslCredentials, SaslConfig};
use rustls::ClientConfig;
use sluice_core::{Error, Result, Secret};

use crate::{
    config::{Credentials, KafkaConfig, Mechanism},
    iam::Iam,
};

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
        return Err(Error::config("IAM needs the protocol SASL_SSL: whoever reads a token may connect with it"));
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
