//! The way to the server: its addresses, a socket, encryption, and the client on top.

use std::{io, net::SocketAddr, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sluice_core::{Error, Kind, Result};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};
use tokio_postgres::{Client, Config, Connection, NoTls, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    config::PostgresConfig,
    error::{classify_connect, classify_socket},
    interceptor::{CopyInterceptor, CopySink, TlsCopyInterceptor},
};

/// A server in the same network answers in milliseconds; a host that takes longer is down or unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What answered may still be silent: a pooler without a server behind it, a port that is no database's. A server that
/// first has to be woken takes some fifteen seconds.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A network path that silently went away is noticed in about this time, not in the two hours of the system's default.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// A client, and what must run for it to get answers.
pub(crate) struct Connected {
    pub client: Client,
    /// As the server calls it, such as `18.1`.
    pub server_version: String,
    /// The encoding of the database's texts, as the server calls it.
    pub server_encoding: String,
    pub driver: BoxFuture<'static, std::result::Result<(), tokio_postgres::Error>>,
}

/// Tries the host's addresses one after the other. A host that is a path is a folder with the server's socket in it. No
/// step of the way is waited for without a limit.
pub(crate) async fn connect(
    config: &PostgresConfig,
    settings: Config,
    tls: Option<MakeRustlsConnect>,
    copy_sink: &CopySink,
) -> Result<Connected> {
    connect_within(LOGIN_TIMEOUT, config, settings, tls, copy_sink).await
}

async fn connect_within(
    login: Duration,
    config: &PostgresConfig,
    settings: Config,
    tls: Option<MakeRustlsConnect>,
    copy_sink: &CopySink,
) -> Result<Connected> {
    let attempted = format!("cannot connect to {}:{}/{}", config.host, config.port, config.dbname);
    let way = Way { host: &config.host, settings, tls, copy_sink, attempted, login };
    if config.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", config.host, config.port);
        let socket = in_time(UnixStream::connect(path)).await.map_err(|error| way.unreachable(error))?;
        return way.start(socket).await;
    }
    let addresses = lookup_host((config.host.as_str(), config.port));
    let addresses =
        timeout(CONNECT_TIMEOUT, addresses).await.unwrap_or_else(|_| Err(late("the host's name is not found")));
    let addresses = addresses.map_err(|error| way.unreachable(error))?;
    let mut failure = Error::unavailable("the host has no address").with("host", &config.host);
    for address in addresses {
        match way.to(address).await {
            Ok(connected) => return Ok(connected),
            // An address where nobody answers says less than one where a server refused.
            Err(error) if failure.kind() == Kind::Unavailable => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

/// What is the same for all addresses of a host.
struct Way<'a> {
    host: &'a str,
    settings: Config,
    tls: Option<MakeRustlsConnect>,
    copy_sink: &'a CopySink,
    attempted: String,
    /// How long encryption and login may take together.
    login: Duration,
}

impl Way<'_> {
    async fn to(&self, address: SocketAddr) -> Result<Connected> {
        let socket = in_time(TcpStream::connect(address)).await.and_then(configured);
        self.start(socket.map_err(|error| self.unreachable(error))?).await
    }

    async fn start<S>(&self, socket: S) -> Result<Connected>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match timeout(self.login, self.log_in(socket)).await {
            Ok(connected) => connected.map_err(|error| classify_connect(error, &self.attempted)),
            Err(_) => Err(self.unreachable(late("the server accepts the connection and does not answer the login"))),
        }
    }

    /// Encrypts, if so asked, and logs in.
    async fn log_in<S>(&self, socket: S) -> std::result::Result<Connected, tokio_postgres::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut settings = self.settings.clone();
        let copy_sink = self.copy_sink.clone();
        match self.tls.clone() {
            None => {
                settings.ssl_mode(SslMode::Disable);
                settings.connect_raw(CopyInterceptor::new(socket, copy_sink), NoTls).await.map(driven)
            }
            Some(mut tls) => {
                settings.ssl_mode(SslMode::Require);
                let Ok(tls) = MakeTlsConnect::<S>::make_tls_connect(&mut tls, self.host);
                settings.connect_raw(socket, TlsCopyInterceptor { tls, copy_sink }).await.map(driven)
            }
        }
    }

    fn unreachable(&self, error: io::Error) -> Error {
        classify_socket(error, &self.attempted)
    }
}

fn driven<S, T>((client, connection): (Client, Connection<S, T>)) -> Connected
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let parameter = |name| connection.parameter(name).unwrap_or_default().to_owned();
    let (server_version, server_encoding) = (parameter("server_version"), parameter("server_encoding"));
    Connected { client, server_version, server_encoding, driver: connection.boxed() }
}

async fn in_time<T>(connect: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(CONNECT_TIMEOUT, connect).await.unwrap_or_else(|_| Err(late("the server does not answer")))
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

fn configured(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use sluice_core::Secret;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{config::TlsMode, tls};

    /// Long for a socket of this machine, short for a test.
    const SHORT: Duration = Duration::from_millis(200);

    /// In plain text the login stays without an answer, with TLS the request for it.
    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_left_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = tokio::spawn(async move {
            let mut silent = Vec::new();
            while silent.len() < 2 {
                silent.push(listener.accept().await.unwrap());
            }
            silent
        });
        for sslmode in [TlsMode::Disable, TlsMode::Require] {
            let config = PostgresConfig {
                host: "127.0.0.1".into(),
                port,
                dbname: "d".into(),
                username: "u".into(),
                password: Secret::new("p"),
                sslmode,
                ca_pem: None,
            };
            let mut settings = Config::new();
            settings.dbname("d").user("u").password("p");
            let tls = tls::connector(&config).unwrap();
            let copy_sink = CopySink::default();
            let connecting = connect_within(SHORT, &config, settings, tls, &copy_sink);
            let ended = timeout(CONNECT_TIMEOUT, connecting).await.expect("an end");
            let Err(error) = ended else { panic!("nobody has let us in") };
            assert_eq!(error.kind(), Kind::Timeout, "{}", error.chain());
            assert!(error.chain().contains("does not answer the login"), "{}", error.chain());
        }
        assert_eq!(accepted.await.unwrap().len(), 2, "both were taken");
    }
}
