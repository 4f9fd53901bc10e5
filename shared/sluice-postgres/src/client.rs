//! One connection to one database, for one run.

use std::time::Duration;

use sluice_core::{Error, Result, RunId};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};
use tokio_postgres::{Client, Config, Connection, NoTls, config::SslMode};

use crate::{
    config::PostgresConfig,
    error::{classify, classify_connect},
    tls,
};

/// A server in the same network answers in milliseconds; a host that takes longer is down or unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A network path that silently went away is noticed in about this time, not in the two hours of the system's default.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// `pg_current_snapshot()` came with this version.
const OLDEST_MAJOR: u32 = 13;

/// An open connection. Dropping it ends it, and with it any transaction.
pub(crate) struct Session {
    pub client: Client,
    /// As the server calls it, such as `18.1`.
    pub server_version: String,
    driver: JoinHandle<()>,
}

impl Session {
    pub(crate) async fn open(config: &PostgresConfig, run: &RunId) -> Result<Self> {
        let mut settings = Config::new();
        settings
            .host(&config.host)
            .port(config.port)
            .dbname(&config.dbname)
            .user(&config.username)
            .password(config.password.expose())
            .application_name(format!("sluice {run}"))
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(KEEPALIVE_IDLE);
        let attempted = format!("cannot connect to {}:{}/{}", config.host, config.port, config.dbname);
        let session = match tls::connector(config)? {
            None => {
                let connected = settings.ssl_mode(SslMode::Disable).connect(NoTls).await;
                connected.map(|(client, connection)| Self::drive(client, connection))
            }
            Some(tls) => {
                let connected = settings.ssl_mode(SslMode::Require).connect(tls).await;
                connected.map(|(client, connection)| Self::drive(client, connection))
            }
        }
        .map_err(|error| classify_connect(error, &attempted))?;
        session.check_version()?;
        Ok(session)
    }

    fn drive<S, T>(client: Client, connection: Connection<S, T>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server_version = connection.parameter("server_version").unwrap_or_default().to_owned();
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever waits for the connection gets an error too; this one says what broke it.
                tracing::warn!(error = %classify(error, "the connection to postgres broke").chain());
            }
        });
        Session { client, server_version, driver }
    }

    fn check_version(&self) -> Result<()> {
        let digits = self.server_version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        match digits.parse::<u32>() {
            Ok(major) if major < OLDEST_MAJOR => Err(Error::unsupported(format!(
                "the source is PostgreSQL {}; version {OLDEST_MAJOR} is the oldest that can be read",
                self.server_version
            ))),
            // A pooler that does not pass the version on is no reason to stop; an old server fails by its own words.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
