//! A connection to one broker: TLS, the user, and one request after the other.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

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

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Connection {
    pub(super) address: String,
    stream: Box<dyn Stream>,
    sent: i32,
    /// The lowest and the highest version of each kind of request that the broker takes.
    takes: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects as the user of these credentials.
    pub(super) async fn open(address: &str, config: &KafkaConfig, credentials: &Credentials) -> Result<Self> {
        let stream = timeout(ANSWERS_WITHIN, connected(address, config, credentials))
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Timeout, "the broker has not answered in time")));
        let stream = stream.map_err(|error| error.with("broker", address))?;
        let mut connection = Connection { address: address.to_owned(), stream, sent: 0, takes: BTreeMap::new() };
        connection.takes = connection.versions().await?;
        if config.protocol.is_authenticated() {
            connection.log_in(config.mechanism, credentials).await?;
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

    async fn log_in(&mut self, mechanism: Mechanism, credentials: &Credentials) -> Result<()> {
        let (user, password) = security::user(credentials)?;
        let name = match mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        let handshake = self.send(SASL_HANDSHAKE, Body::default().text(name)).await?;
        let code = Answer(&handshake).i16()?;
        if code != 0 {
            return Err(refused(code, None).with("mechanism", name));
        }
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
        33 => (Kind::Config, "the broker does not take this way to log in"),
        35 => (Kind::Unsupported, "the broker does not take this version of the request"),
        36 => (Kind::Conflict, "the topic is there already"),
        58 => (Kind::Auth, "the broker refuses the user"),
        89 => (Kind::RateLimited, "the broker takes no more changes for now"),
        _ => (Kind::Unavailable, "the broker could not do it"),
    };
    let error = Error::new(kind, text).with("code", code);
    let error = match said {
        Some(said) => error.because(said),
        None => error,
    };
    match kind {
        Kind::Auth => error.with_hint(
            "check user and password in the Kafka secret, and that the user may describe, create and alter topics and their \
             settings; --secret names another user's",
        ),
        _ => error,
    }
}
