//! TLS and SASL of the producer's connections.

use std::sync::Arc;

use rskafka::client::{Credentials as SaslCredentials, SaslConfig};
use rustls::ClientConfig;
use sluice_core::{Error, Result};

use crate::config::{Credentials, KafkaConfig, Mechanism};

/// `None` for a connection in plain text.
pub(crate) fn tls(config: &KafkaConfig, credentials: &Credentials) -> Result<Option<Arc<ClientConfig>>> {
    if !config.protocol.is_encrypted() {
        return Ok(None);
    }
    let authorities =
        sluice_http::tls::authorities(credentials.ca_pem.as_deref()).map_err(|error| error.with("secret", "Kafka"))?;
    Ok(Some(Arc::new(sluice_http::tls::client()?.with_root_certificates(authorities).with_no_client_auth())))
}

/// `None` where the protocol has no user.
pub(crate) fn sasl(config: &KafkaConfig, credentials: &Credentials) -> Result<Option<SaslConfig>> {
    if !config.protocol.is_authenticated() {
        return Ok(None);
    }
    let (Some(username), Some(password)) = (&credentials.username, &credentials.password) else {
        return Err(Error::config("the Kafka secret needs username and password for this security protocol"));
    };
    let user = SaslCredentials::new(username.clone(), password.expose().to_owned());
    Ok(Some(match config.mechanism {
        Mechanism::Plain => SaslConfig::Plain(user),
        Mechanism::ScramSha256 => SaslConfig::ScramSha256(user),
        Mechanism::ScramSha512 => SaslConfig::ScramSha512(user),
    }))
}
