//! A connection to one broker: TLS, the user, and one request after the other.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    sync::Arc,
    time::Duration,
};

use rsasl::prelude::{Mechname, SASLClient, SASLConfig};
use rustls::pki_types::ServerName;
use sluice_core::{Error, Kind, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::wire::{Answer, Body};
use crate::{
    config::{Credentials, KafkaConfig, Mechanism},
    security,
};

const CLIENT_ID: &str = "sluice";
/// How long a broker may take to answer, or to be connected to.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// No answer is longer: the names of all topics of a large cluster are some megabytes.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// A kind of request in the version that is spoken here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) version: i16,
    /// As Kafka's documentation calls it.
    pub(super) name: &'static str,
}

const API_VERSIONS: Api = Api { key: 18, version: 0, name: "ApiVersions" };
const SASL_HANDSHAKE: Api = Api { key: 17, version: 1, name: "SaslHandshake" };
const SASL_AUTHENTICATE: Api = Api { key: 36, version: 0, name: "SaslAuthenticate" };

/// The code of a refused mechanism, and that of a refused login.
const NO_SUCH_MECHANISM: i16 = 33;
const REFUSED: i16 = 58;

/// What the first of the brokers answers that is there. It begins at a random one: one that is away takes the time of all who ask
/// it first.
pub(super) async fn of_any<T, F>(config: &KafkaConfig, ask: impl Fn(String) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let named = config.bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty());
    let addresses: Vec<&str> = named.collect();
    let random = RandomState::new().build_hasher().finish() as usize;
    let (before, from) = addresses.split_at(random % addresses.len().max(1));
    let mut last = Error::config("no broker is named; a broker is `host:port`");
    for address in from.iter().chain(before) {
        match ask((*address).to_owned()).await {
            // The next broker refuses the same.
            Err(error) if !matches!(error.kind(), Kind::Auth | Kind::Config) => last = error,
            answered => return answered,
        }
    }
    Err(last)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) struct Connection {
    pub(super) address: String,
    stream: Box<dyn Stream>,
    sent: i32,
    /// The lowest and the highest version of each kind of request that the broker takes.
    takes: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects to one of the brokers that is there.
    pub(crate) async fn to_any(config: &KafkaConfig, credentials: &Credentials) -> Result<Self> {
        of_any(config, |address| async move { Self::open(&address, config, credentials).await }).await
    }

    /// Connects as the user of these credentials.
    pub(super) async fn open(address: &str, config: &KafkaConfig, credentials: &Credentials) -> Result<Self> {
        let stream = timeout(ANSWERS_WITHIN, connected(address, config, credentials))
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Timeout, "the broker has not answered in time")));
        let stream = stream.map_err(|error| error.with("broker", address))?;
        let mut connection = Connection { address: address.to_owned(), stream, sent: 0, takes: BTreeMap::new() };
        connection.takes = connection.versions().await?;
        if config.protocol.is_authenticated() {
            connection.log_in(config, credentials).await?;
        }
        Ok(connection)
    }

    async fn versions(&mut self) -> Result<BTreeMap<i16, (i16, i16)>> {
        let answer = self.send(API_VERSIONS, Body::default()).await?;
        let mut answer = Answer(&answer);
        let code = answer.i16()?;
        if code != 0 {
            return Err(refused(code, None).with("request", API_VERSIONS.name));
        }
        let takes = answer.list(|answer| Ok((answer.i16()?, (answer.i16()?, answer.i16()?))))?;
        Ok(takes.into_iter().collect())
    }

    async fn log_in(&mut self, config: &KafkaConfig, credentials: &Credentials) -> Result<()> {
        let name = match config.mechanism {
            Mechanism::Iam => return self.bear_token(config, credentials).await,
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        let (user, password) = security::user(credentials)?;
        self.shake_hands(name).await?;
        let unusable = |error: String| Error::internal("cannot prepare the login").because(error);
        let settings = SASLConfig::with_credentials(None, user.to_owned(), password.expose().to_owned());
        let client = SASLClient::new(settings.map_err(|error| unusable(error.to_string()))?);
        let offered = Mechname::parse(name.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        let session = client.start_suggested(&[offered]);
        let mut session = session.map_err(|error| unusable(error.to_string()))?;
        let mut heard: Option<Vec<u8>> = None;
        loop {
            let mut said = Vec::new();
            let state = session.step(heard.as_deref(), &mut said).map_err(|error| {
                // What the broker says proves that it knows the password, too.
                Error::new(Kind::Auth, "the broker does not prove that it knows the user").because(error.to_string())
            })?;
            if state.has_sent_message() {
                heard = Some(self.authenticate(&said).await?);
            }
            if state.is_finished() {
                return Ok(());
            }
        }
    }

    /// SASL/OAUTHBEARER, RFC 7628.
    async fn bear_token(&mut self, config: &KafkaConfig, credentials: &Credentials) -> Result<()> {
        let token = security::iam(config, credentials)?.token(&config.bootstrap).await?;
        self.shake_hands("OAUTHBEARER").await?;
        let message = format!("n,,\u{1}auth=Bearer {}\u{1}\u{1}", token.expose());
        let answer = match self.authenticate(message.as_bytes()).await {
            Ok(answer) if answer.is_empty() => return Ok(()),
            // Only a refusal says more.
            Ok(said) => refused(REFUSED, Some(String::from_utf8_lossy(&said).into())),
            Err(error) => error,
        };
        Err(security::refused_login(answer, config))
    }

    async fn shake_hands(&mut self, mechanism: &str) -> Result<()> {
        let answer = self.send(SASL_HANDSHAKE, Body::default().text(mechanism)).await?;
        match Answer(&answer).i16()? {
            0 => Ok(()),
            code => Err(refused(code, None).with("mechanism", mechanism)),
        }
    }

    async fn authenticate(&mut self, token: &[u8]) -> Result<Vec<u8>> {
        let answer = self.send(SASL_AUTHENTICATE, Body::default().bytes(token)).await?;
        let mut answer = Answer(&answer);
        let (code, said) = (answer.i16()?, answer.nullable_text()?);
        match code {
            0 => answer.bytes(),
            code => Err(refused(code, said)),
        }
    }

    /// Asks; what comes back is the answer's body. A broker that does not take the request is told by its name.
    pub(super) async fn ask(&mut self, api: Api, body: Body) -> Result<Vec<u8>> {
        let takes = self.takes.get(&api.key).is_some_and(|(low, high)| (*low..=*high).contains(&api.version));
        if !takes {
            let error = Error::unsupported("the broker does not take this request");
            return Err(error.with("request", api.name).with("version", api.version));
        }
        self.send(api, body).await
    }

    async fn send(&mut self, api: Api, body: Body) -> Result<Vec<u8>> {
        let answered = timeout(ANSWERS_WITHIN, self.exchange(api, body)).await;
        let answered =
            answered.unwrap_or_else(|_| Err(Error::new(Kind::Timeout, "the broker has not answered in time")));
        answered.map_err(|error| error.with("broker", &self.address).with("request", api.name))
    }

    async fn exchange(&mut self, api: Api, body: Body) -> Result<Vec<u8>> {
        let lost = |error: io::Error| Error::unavailable("the connection to the broker was lost").because(error);
        self.sent += 1;
        let mut request = Body::default().i16(api.key).i16(api.version).i32(self.sent).text(CLIENT_ID);
        request.0.extend(body.0);
        let frame = Body::default().bytes(&request.0);
        self.stream.write_all(&frame.0).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)?;
        let length = usize::try_from(self.stream.read_i32().await.map_err(lost)?).unwrap_or(usize::MAX);
        if !(4..=MOST_ANSWER_BYTES).contains(&length) {
            return Err(Error::invalid_data("what answers at this address is no Kafka broker"));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.map_err(lost)?;
        let body = answer.split_off(4);
        if answer != self.sent.to_be_bytes() {
            return Err(Error::invalid_data("the broker answers another request"));
        }
        Ok(body)
    }
}

async fn connected(address: &str, config: &KafkaConfig, credentials: &Credentials) -> Result<Box<dyn Stream>> {
    let lost = |error: io::Error| Error::unavailable("cannot connect to the broker").because(error);
    let stream = TcpStream::connect(address).await.map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    let Some(tls) = security::tls(config, credentials)? else { return Ok(Box::new(stream)) };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        Error::config("the broker's address has no host that a certificate could name").because(error)
    })?;
    let stream = TlsConnector::from(Arc::clone(&tls)).connect(name, stream).await.map_err(lost)?;
    Ok(Box::new(stream))
}

/// A refusal by its code, with what the broker says of it.
pub(super) fn refused(code: i16, said: Option<String>) -> Error {
    let (kind, text) = match code {
        3 => (Kind::NotFound, "the broker does not know the topic"),
        7 => (Kind::Timeout, "the brokers have not done it in time; it may still come"),
        17 | 37..=40 | 42 | 44 => (Kind::Config, "the broker takes no such topic"),
        29..=31 => (Kind::Auth, "the user may not do this"),
        NO_SUCH_MECHANISM => (Kind::Config, "the broker does not take this way to log in"),
        35 => (Kind::Unsupported, "the broker does not take this version of the request"),
        36 => (Kind::Conflict, "the topic is there already"),
        // MSK bounds how many logins by IAM a broker takes in a second.
        REFUSED if said.as_ref().is_some_and(|said| said.contains("Too many connects")) => {
            (Kind::RateLimited, "the broker takes no more logins for now")
        }
        REFUSED => (Kind::Auth, "the broker refuses the user"),
        89 => (Kind::RateLimited, "the broker takes no more changes for now"),
        _ => (Kind::Unavailable, "the broker could not do it"),
    };
    let error = Error::new(kind, text).with("code", code);
    let error = match said {
        Some(said) => error.because(said),
        None => error,
    };
    match code {
        NO_SUCH_MECHANISM => error.with_hint(
            "set the SASL mechanism that the brokers take; those of MSK take IAM at port 9098, and SCRAM at 9096",
        ),
        REFUSED if kind == Kind::Auth => error.with_hint("check user and password in the Kafka secret"),
        _ if kind == Kind::Auth => error.with_hint(
            "let the user describe, create and alter topics and their settings; --secret names another user's secret",
        ),
        _ => error,
    }
}
