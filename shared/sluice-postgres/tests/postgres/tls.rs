//! Encrypted connections, by the secret's `sslmode`.
//!
//! The PostgreSQL that tests run on is built without TLS, so a front answers its request for encryption as a server
//! does, ends TLS with a certificate of a test authority, and passes everything on.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use sluice_core::{Error, Kind, Table};
use sluice_postgres::{PostgresConfig, TlsMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::support::{Database, Sink, read_as};

/// The protocol's `SSLRequest`: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];

/// An authority, and what it has signed for the host `localhost`.
struct Authority {
    pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    fn new() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = names.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Authority { pem, server: Arc::new(server) }
    }

    /// Starts a front of the database. Its port answers only encrypted.
    async fn front(&self, database: &Database) -> u16 {
        let config = database.config();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(self.server.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (acceptor, to) = (acceptor.clone(), (config.host.clone(), config.port));
                tokio::spawn(async move {
                    let mut request = [0; 8];
                    client.read_exact(&mut request).await.unwrap();
                    assert_eq!(request, SSL_REQUEST, "something was sent before encryption was asked for");
                    client.write_all(b"S").await.unwrap();
                    // A client that breaks off is what some tests are about.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(to).await.unwrap();
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        port
    }
}

/// A table of several blocks of rows.
async fn with_rows() -> (Database, Table) {
    let (database, table) = Database::with_changes().await;
    let insert = "INSERT INTO $.changes (name) SELECT repeat(i::text, 20) FROM generate_series(1, 20000) AS i";
    database.run(insert).await;
    (database, table)
}

async fn read(config: &PostgresConfig, table: &Table) -> Result<Sink, Error> {
    read_as(config, table, None, 0).await.map(|(_, sink)| sink)
}

fn secured(database: &Database, host: &str, port: u16, sslmode: TlsMode, ca_pem: Option<&str>) -> PostgresConfig {
    PostgresConfig { host: host.into(), port, sslmode, ca_pem: ca_pem.map(str::to_owned), ..database.config() }
}

#[tokio::test]
async fn a_proven_server_gives_the_same_rows_as_in_plain_text() {
    let (database, table) = with_rows().await;
    let authority = Authority::new();
    let port = authority.front(&database).await;
    let plain = read(&database.config(), &table).await.unwrap();
    assert_eq!(plain.rows.len(), 20_000);
    let verified = secured(&database, "localhost", port, TlsMode::VerifyFull, Some(&authority.pem));
    assert_eq!(read(&verified, &table).await.unwrap().rows, plain.rows);
    // Encrypted, with a server that is not verified, under whatever name.
    let encrypted = secured(&database, "127.0.0.1", port, TlsMode::Require, None);
    assert_eq!(read(&encrypted, &table).await.unwrap().rows, plain.rows);
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_is_not_proven_is_refused_with_the_reason() {
    let (database, table) = Database::with_changes().await;
    let authority = Authority::new();
    let port = authority.front(&database).await;
    let without_tls = database.config().port;
    let (right, other) = (authority.pem.as_str(), Authority::new().pem);
    for (host, port, ca_pem, reason) in [
        ("localhost", port, Some(other.as_str()), "certificate"),
        ("localhost", port, None, "UnknownIssuer"),
        ("127.0.0.1", port, Some(right), "not valid for name"),
        ("localhost", without_tls, Some(right), "server does not support TLS"),
    ] {
        let config = secured(&database, host, port, TlsMode::VerifyFull, ca_pem);
        let error = read(&config, &table).await.map(|sink| sink.rows.len()).unwrap_err();
        let chain = error.chain();
        assert_eq!(error.kind(), Kind::Config, "{chain}");
        assert!(chain.contains(reason) && chain.contains(&format!("{host}:{port}")), "{chain}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_tried_again() {
    let (database, table) = Database::with_changes().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for (host, sslmode) in
        [("localhost", TlsMode::Disable), ("127.0.0.1", TlsMode::VerifyFull), ("/no/folder", TlsMode::Disable)]
    {
        let config = secured(&database, host, free, sslmode, None);
        let error = read(&config, &table).await.map(|sink| sink.rows.len()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{}", error.chain());
    }
    database.drop().await;
}
