//! TLS of the connections that are not HTTP: PostgreSQL's and Kafka's. One provider, named here: nothing depends on a
//! process default.

use std::sync::Arc;

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};
use sluice_core::{Error, Result};

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A client's settings up to how it verifies its server.
pub fn client() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("cannot set up TLS").because(error))
}

/// The public authorities, which managed databases and Kafka clusters use, or those that a secret names in `ca_pem`.
pub fn authorities(ca_pem: Option<&str>) -> Result<RootCertStore> {
    let mut authorities = RootCertStore::empty();
    let Some(pem) = ca_pem else {
        authorities.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(authorities);
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let unusable = "the secret's ca_pem holds a certificate that cannot be used";
        let certificate = certificate.map_err(|error| Error::config(unusable).because(error))?;
        authorities.add(certificate).map_err(|error| Error::config(unusable).because(error))?;
    }
    if authorities.is_empty() {
        return Err(Error::config("the secret's ca_pem holds no certificate"));
    }
    Ok(authorities)
}
