//! One connection to one database, for one run.

use sluice_core::{Error, Result, RunId};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};

use crate::{
    config::PostgresConfig,
    connect::{Connected, connect},
    error::classify,
    interceptor::CopySink,
    tls,
};

/// `pg_current_snapshot()` came with this version.
const OLDEST_MAJOR: u32 = 13;

/// An open connection. Dropping it ends it, and with it any transaction.
pub(crate) struct Session {
    pub client: Client,
    /// Opened, it takes the rows of the next `COPY` in the client's place.
    pub copy_sink: CopySink,
    /// As the server calls it, such as `18.1`.
    pub server_version: String,
    /// The database knows no encoding of its texts: any bytes may be one.
    pub has_any_bytes: bool,
    /// The server converts texts to UTF-8, and there may be some that it cannot convert.
    pub converts: bool,
    driver: JoinHandle<()>,
}

impl Session {
    pub(crate) async fn open(config: &PostgresConfig, run: &RunId) -> Result<Self> {
        let mut settings = Config::new();
        settings
            .dbname(&config.dbname)
            .user(&config.username)
            .password(config.password.expose())
            .application_name(format!("sluice {run}"));
        let copy_sink = CopySink::default();
        let Connected { client, server_version, server_encoding, driver } =
            connect(config, settings, tls::connector(config)?, &copy_sink).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                // The caller that waits for the connection gets an error too; this one says what broke it.
                tracing::warn!(error = %classify(error, "the connection to postgres broke").chain());
            }
        });
        let has_any_bytes = server_encoding == "SQL_ASCII";
        let converts = !["", "UTF8", "SQL_ASCII", "LATIN1"].contains(&server_encoding.as_str());
        let session = Session { client, copy_sink, server_version, has_any_bytes, converts, driver };
        session.check_version()?;
        Ok(session)
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
