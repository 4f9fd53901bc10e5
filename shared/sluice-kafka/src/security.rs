//! TLS and SASL of the producer's connections. One TLS provider, named here: nothing depends on a process default.

use std::sync::Arc;

use rskafka::client::{Credentials as SaslCredentials, SaslConfig};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use sluice_core::{Error, Result};

use crate::config::{Credentials, KafkaConfig, Mechanism};

/// `None` for a connection in plain text.
pub(crate) fn tls(config: &KafkaConfig, credentials: &Credentials) -> Result<Option<Arc<ClientConfig>>> {
    if !config.protocol.is_encrypted() {
        return Ok(None);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("cannot set up TLS for Kafka").because(error))?;
    let roots = roots(credentials.ca_pem.as_deref())?;
    Ok(Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

/// The public authorities, which both Amazon MSK and Confluent Cloud use, or the one that the secret names.
fn roots(ca_pem: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = ca_pem else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let unusable = "the Kafka secret's ca_pem holds a certificate that cannot be used";
        let certificate = certificate.map_err(|error| Error::config(unusable).because(error))?;
        roots.add(certificate).map_err(|error| Error::config(unusable).because(error))?;
    }
    if roots.is_empty() {
        return Err(Error::config("the Kafka secret's ca_pem holds no certificate"));
    }
    Ok(roots)
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
