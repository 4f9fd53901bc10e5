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

use crate::{
    iam::Msk,
    scram::{self, Digest},
};

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
    (SASL_AUTHENTICATE, 0, 1),
];

/// Whom the front lets in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Login {
    None,
    Plain { user: &'static str, password: &'static str },
    Scram { digest: Digest, user: &'static str, password: &'static str, honest: bool },
    Iam(&'static Msk),
}

impl Login {
    /// The mechanisms that the front takes, MSK's in its order.
    fn mechanisms(self) -> &'static [&'static str] {
        match self {
            Login::None => &[],
            Login::Plain { .. } => &["PLAIN"],
            Login::Scram { digest: Digest::Sha256, .. } => &["SCRAM-SHA-256"],
            Login::Scram { digest: Digest::Sha512, .. } => &["SCRAM-SHA-512"],
            Login::Iam(_) => &["AWS_MSK_IAM", "OAUTHBEARER"],
        }
    }

    /// The number of the session of a connection that is made now.
    fn session(self) -> u64 {
        if let Login::Iam(msk) = self { msk.session() } else { 0 }
    }
}

/// What the front says to a message of a login.
struct Reply {
    said: String,
    is_done: bool,
    lifetime_ms: i64,
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
                    let session = login.session();
                    if admit(&mut client, login).await.is_some() {
                        pass(client, &broker, port, move || login.session() == session).await;
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
                let wanted = std::str::from_utf8(body.get(2..)?).ok()?;
                let ours = login.mechanisms();
                let error = if ours.contains(&wanted) && wanted != "AWS_MSK_IAM" { 0 } else { UNSUPPORTED_MECHANISM };
                answer.extend(error.to_be_bytes());
                answer.extend((ours.len() as i32).to_be_bytes());
                for name in ours {
                    answer.extend((name.len() as i16).to_be_bytes());
                    answer.extend(name.as_bytes());
                }
                send(client, &answer).await?;
            }
            SASL_AUTHENTICATE => {
                let step = step(login, body.get(4..)?, &mut said);
                let error = if step.is_ok() { 0 } else { AUTHENTICATION_FAILED };
                answer.extend(error.to_be_bytes());
                match step.as_ref().err().and_then(Option::as_ref) {
                    None => answer.extend((-1_i16).to_be_bytes()),
                    Some(why) => {
                        answer.extend((why.len() as i16).to_be_bytes());
                        answer.extend(why.as_bytes());
                    }
                }
                let said = step.as_ref().map(|reply| reply.said.as_bytes()).unwrap_or_default();
                answer.extend((said.len() as i32).to_be_bytes());
                answer.extend(said);
                if version >= 1 {
                    answer.extend(step.as_ref().map_or(0, |reply| reply.lifetime_ms).to_be_bytes());
                }
                send(client, &answer).await?;
                // A broker ends the connection of whom it refuses.
                if step.ok()?.is_done {
                    return Some(());
                }
            }
            // Everything else needs a user.
            _ => return None,
        }
    }
}

/// The server's reply to a message, or a refusal with what it says of it.
fn step(login: Login, message: &[u8], said: &mut Option<String>) -> Result<Reply, Option<String>> {
    if let Login::Iam(msk) = login {
        let lifetime_ms = msk.log_in(message).map_err(Some)?;
        return Ok(Reply { said: String::new(), is_done: true, lifetime_ms });
    }
    let (said, is_done) = std::str::from_utf8(message).ok().and_then(|text| of_user(login, text, said)).ok_or(None)?;
    Ok(Reply { said, is_done, lifetime_ms: 0 })
}

/// The server's reply to a user, and whether the user is known with it. `None` refuses.
fn of_user(login: Login, token: &str, said: &mut Option<String>) -> Option<(String, bool)> {
    match login {
        Login::None | Login::Iam(_) => None,
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

/// Passes frames both ways, with the broker's port replaced. The first request after the end of the session ends the connection
/// and is not carried out (KIP-368).
async fn pass(
    client: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    broker: &str,
    port: u16,
    lasts: impl Fn() -> bool + Send + 'static,
) {
    let own: i32 = broker.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let Ok(stream) = TcpStream::connect(broker).await else { return };
    let ((mut from_client, mut to_client), (mut from_broker, mut to_broker)) = (split(client), stream.into_split());
    tokio::spawn(async move {
        while let Some(request) = frame(&mut from_client).await {
            if !lasts() || send(&mut to_broker, &request).await.is_none() {
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
