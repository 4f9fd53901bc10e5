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
    tap::{Outlet, Tap, TlsTap},
};

/// A server in the same network answers in milliseconds; a host that takes longer is down or unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A network path that silently went away is noticed in about this time, not in the two hours of the system's default.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// A client, and what must run for it to get answers.
pub(crate) struct Connected {
    pub client: Client,
    /// As the server calls it, such as `18.1`.
    pub server_version: String,
    pub driver: BoxFuture<'static, std::result::Result<(), tokio_postgres::Error>>,
}

/// Tries the host's addresses one after the other. A host that is a path is a folder with the server's socket in it.
pub(crate) async fn connect(
    config: &PostgresConfig,
    settings: Config,
    tls: Option<MakeRustlsConnect>,
    outlet: &Outlet,
) -> Result<Connected> {
    let attempted = format!("cannot connect to {}:{}/{}", config.host, config.port, config.dbname);
    let way = Way { host: &config.host, settings, tls, outlet, attempted };
    if config.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", config.host, config.port);
        let socket = in_time(UnixStream::connect(path)).await.map_err(|error| way.unreachable(error))?;
        return way.start(socket).await;
    }
    let addresses = lookup_host((config.host.as_str(), config.port)).await.map_err(|error| way.unreachable(error))?;
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
    outlet: &'a Outlet,
    attempted: String,
}

impl Way<'_> {
    async fn to(&self, address: SocketAddr) -> Result<Connected> {
        let socket = in_time(TcpStream::connect(address)).await.and_then(configured);
        self.start(socket.map_err(|error| self.unreachable(error))?).await
    }

    /// Encrypts, if so asked, and logs in.
    async fn start<S>(&self, socket: S) -> Result<Connected>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut settings = self.settings.clone();
        let outlet = self.outlet.clone();
        let connected = match self.tls.clone() {
            None => {
                settings.ssl_mode(SslMode::Disable);
                settings.connect_raw(Tap::new(socket, outlet), NoTls).await.map(driven)
            }
            Some(mut tls) => {
                settings.ssl_mode(SslMode::Require);
                let Ok(tls) = MakeTlsConnect::<S>::make_tls_connect(&mut tls, self.host);
                settings.connect_raw(socket, TlsTap { tls, outlet }).await.map(driven)
            }
        };
        connected.map_err(|error| classify_connect(error, &self.attempted))
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
    let server_version = connection.parameter("server_version").unwrap_or_default().to_owned();
    Connected { client, server_version, driver: connection.boxed() }
}

async fn in_time<T>(connect: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer");
    timeout(CONNECT_TIMEOUT, connect).await.map_err(late)?
}

fn configured(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE))?;
    Ok(socket)
}
