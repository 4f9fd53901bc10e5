//! TLS for the connection, by the secret's `sslmode`.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sluice_core::{Error, Result};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{PostgresConfig, TlsMode};

/// `None` for a connection in plain text.
pub(crate) fn connector(config: &PostgresConfig) -> Result<Option<MakeRustlsConnect>> {
    if config.ca_pem.is_some() && config.sslmode != TlsMode::VerifyFull {
        return Err(Error::config("the secret has a ca_pem, which only sslmode verify-full uses; set that sslmode"));
    }
    let client = match config.sslmode {
        TlsMode::Disable => return Ok(None),
        TlsMode::Require => {
            let any = AnyServer(sluice_http::tls::provider());
            sluice_http::tls::client()?.dangerous().with_custom_certificate_verifier(Arc::new(any))
        }
        TlsMode::VerifyFull => {
            sluice_http::tls::client()?.with_root_certificates(sluice_http::tls::authorities(config.ca_pem.as_deref())?)
        }
    };
    Ok(Some(MakeRustlsConnect::new(client.with_no_client_auth())))
}

/// `sslmode=require` as libpq means it: encrypted, but the server's certificate is not verified.
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
