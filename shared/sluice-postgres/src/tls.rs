//! TLS for the connection, by the secret's `sslmode`. One provider, named here: nothing depends on a process default.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use sluice_core::{Error, Result};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{PostgresConfig, TlsMode};

/// `None` for a connection in plain text.
pub(crate) fn connector(config: &PostgresConfig) -> Result<Option<MakeRustlsConnect>> {
    if config.ca_pem.is_some() && config.sslmode != TlsMode::VerifyFull {
        return Err(Error::config("the secret has a ca_pem, which only sslmode verify-full uses; set that sslmode"));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("cannot set up TLS").because(error))?;
    let client = match config.sslmode {
        TlsMode::Disable => return Ok(None),
        TlsMode::Require => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
        TlsMode::VerifyFull => builder.with_root_certificates(roots(config.ca_pem.as_deref())?),
    };
    Ok(Some(MakeRustlsConnect::new(client.with_no_client_auth())))
}

fn roots(ca_pem: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = ca_pem else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let unusable = "the secret's ca_pem holds a certificate that cannot be used";
        let certificate = certificate.map_err(|error| Error::config(unusable).because(error))?;
        roots.add(certificate).map_err(|error| Error::config(unusable).because(error))?;
    }
    if roots.is_empty() {
        return Err(Error::config("the secret's ca_pem holds no certificate"));
    }
    Ok(roots)
}

/// `sslmode=require` as libpq means it: encrypted, but with whoever holds the key of the certificate that was shown.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::{Kind, Secret};

    use super::*;

    fn config(sslmode: TlsMode, ca_pem: Option<&str>) -> PostgresConfig {
        PostgresConfig {
            host: "db".into(),
            port: 5432,
            dbname: "d".into(),
            username: "u".into(),
            password: Secret::new("p"),
            sslmode,
            ca_pem: ca_pem.map(str::to_owned),
        }
    }

    #[test]
    fn only_disable_is_plain_text() {
        assert!(connector(&config(TlsMode::Disable, None)).unwrap().is_none());
        assert!(connector(&config(TlsMode::Require, None)).unwrap().is_some());
        assert!(connector(&config(TlsMode::VerifyFull, None)).unwrap().is_some());
    }

    #[test]
    fn a_ca_that_would_not_be_used_or_cannot_be_is_refused() {
        for (sslmode, pem, part) in [
            (TlsMode::Require, "x", "only sslmode verify-full"),
            (TlsMode::VerifyFull, "", "holds no certificate"),
            (TlsMode::VerifyFull, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
        ] {
            let Err(error) = connector(&config(sslmode, Some(pem))) else { panic!("{pem} was accepted") };
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
