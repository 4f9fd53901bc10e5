//! A front before the broker: it ends TLS, answers the requests that come before a user is known, then passes frames on.
//! Where the broker names its own port, the front puts its own.

use std::sync::{Arc, Once};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::scram::{self, Digest};

const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const UNSUPPORTED_VERSION: i16 = 35;
const UNSUPPORTED_MECHANISM: i16 = 33;
const AUTHENTICATION_FAILED: i16 = 58;
/// Requests and their versions that the client uses here.
const VERSIONS: [(i16, i16, i16); 11] = [
    (0, 3, 7),
    (1, 4, 4),
    (2, 1, 1),
    (3, 1, 4),
    (19, 2, 4),
    (32, 1, 1),
    (37, 0, 0),
    (44, 0, 0),
    (SASL_HANDSHAKE, 1, 1),
    (API_VERSIONS, 0, 0),
    (SASL_AUTHENTICATE, 0, 0),
];

/// Whom the front lets in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Login {
    None,
    Plain { user: &'static str, password: &'static str },
    Scram { digest: Digest, user: &'static str, password: &'static str, honest: bool },
}

pub(crate) struct Front {
    pub port: u16,
    /// The authority that has signed the front's certificate.
    pub ca_pem: String,
}

impl Front {
    pub(crate) async fn start(broker: &str, login: Login) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(aws_lc_rs::default_provider().install_default()));
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::default();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("names");
        let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = ServerConfig::builder().with_no_client_auth();
        let tls = tls.with_single_cert(vec![certificate.der().clone()], key).expect("a TLS configuration");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (acceptor, broker) = (TlsAcceptor::from(Arc::new(tls)), broker.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, broker) = (acceptor.clone(), broker.clone());
                tokio::spawn(async move {
                    // A client that breaks off is what some tests are about.
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    if admit(&mut client, login).await.is_some() {
                        pass(client, &broker, port).await;
                    }
                });
            }
        });
        Front { port, ca_pem }
    }
}

/// A frame: four bytes of length, then the rest.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let length = stream.read_i32().await.ok()?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    stream.write_i32(i32::try_from(bytes.len()).ok()?).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

fn number(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Answers what comes before the user is known. `None` ends the connection.
async fn admit(client: &mut (impl AsyncRead + AsyncWrite + Unpin), login: Login) -> Option<()> {
    let mut said: Option<String> = None;
    loop {
        let request = frame(client).await?;
        let (api, version) = (number(&request, 0)?, number(&request, 2)?);
        let mut answer = request.get(4..8)?.to_vec();
        // Behind the correlation id stands the client's name.
        let body = request.get(10 + usize::try_from(number(&request, 8)?).unwrap_or(0)..)?;
        match api {
            API_VERSIONS => {
                let error = if version == 0 { 0 } else { UNSUPPORTED_VERSION };
                answer.extend(error.to_be_bytes());
                answer.extend((VERSIONS.len() as i32).to_be_bytes());
                VERSIONS.iter().for_each(|(key, min, max)| {
                    [key, min, max].iter().for_each(|n| answer.extend(n.to_be_bytes()));
                });
                send(client, &answer).await?;
                if error == 0 && matches!(login, Login::None) {
                    return Some(());
                }
            }
            SASL_HANDSHAKE => {
                let ours = match login {
                    Login::None => return None,
                    Login::Plain { .. } => "PLAIN",
                    Login::Scram { digest, .. } => digest.mechanism(),
                };
                let wanted = std::str::from_utf8(body.get(2..)?).ok()?;
                let error = if wanted == ours { 0 } else { UNSUPPORTED_MECHANISM };
                answer.extend(error.to_be_bytes());
                answer.extend(1_i32.to_be_bytes());
                answer.extend((ours.len() as i16).to_be_bytes());
                answer.extend(ours.as_bytes());
                send(client, &answer).await?;
            }
            SASL_AUTHENTICATE => {
                let token = std::str::from_utf8(body.get(4..)?).ok()?;
                let step = step(login, token, &mut said);
                let error = if step.is_some() { 0 } else { AUTHENTICATION_FAILED };
                answer.extend(error.to_be_bytes());
                answer.extend((-1_i16).to_be_bytes());
                let (reply, done) = step.unwrap_or_default();
                answer.extend((reply.len() as i32).to_be_bytes());
                answer.extend(reply.as_bytes());
                send(client, &answer).await?;
                if done {
                    return Some(());
                }
            }
            // Everything else needs a user.
            _ => return None,
        }
    }
}

/// The server's reply to a token, and whether the user is known with it. `None` refuses.
fn step(login: Login, token: &str, said: &mut Option<String>) -> Option<(String, bool)> {
    match login {
        Login::None => None,
        Login::Plain { user, password } => (token == format!("\0{user}\0{password}")).then_some((String::new(), true)),
        Login::Scram { digest, user, password, honest } => match said.take() {
            None => {
                let (first, so_far) = scram::first(token, user, "server-nonce")?;
                *said = Some(so_far);
                Some((first, false))
            }
            Some(so_far) if honest => Some((scram::last(digest, password, &so_far, token)?, true)),
            Some(so_far) => Some((scram::forged(digest, &so_far, token)?, true)),
        },
    }
}

/// Passes frames both ways, with the broker's port replaced.
async fn pass(client: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, broker: &str, port: u16) {
    let own: i32 = broker.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let Ok(stream) = TcpStream::connect(broker).await else { return };
    let ((mut from_client, mut to_client), (mut from_broker, mut to_broker)) = (split(client), stream.into_split());
    tokio::spawn(async move {
        while let Some(request) = frame(&mut from_client).await {
            if send(&mut to_broker, &request).await.is_none() {
                return;
            }
        }
    });
    while let Some(mut answer) = frame(&mut from_broker).await {
        let host = b"127.0.0.1";
        let mut at = 0;
        while let Some(found) = answer.get(at..).and_then(|rest| rest.windows(host.len()).position(|part| part == host))
        {
            at += found + host.len();
            if answer.get(at..at + 4) == Some(own.to_be_bytes().as_slice()) {
                answer[at..at + 4].copy_from_slice(&i32::from(port).to_be_bytes());
            }
        }
        if send(&mut to_client, &answer).await.is_none() {
            return;
        }
    }
}
