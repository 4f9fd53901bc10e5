//! Snowflake on one machine: the endpoints that the platform uses, over one DuckDB file.
//!
//! It keeps the protocols' promises and their traps (202 at any time, lost answers, uncommitted rows that vanish) and
//! knows exactly the statements that the platform renders. It is not Snowflake: what it accepts, Snowflake may refuse.
//!
//! One thread owns the file. [`Emulator::release_file`] gives it away, because DuckDB has one writer and dbt
//! needs its turn; meanwhile statements wait and appends go to a journal.

mod account;
mod actor;
mod catalogue;
mod copy;
mod failure;
mod faults;
mod http;
mod journal;
mod jwt;
mod lake;
mod locks;
mod names;
mod request;
mod result;
mod snowpipe;
mod statements;
mod streaming;
mod tokens;
mod usage;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub use account::IAM_USER;
use anyhow::{Context, Result};
use tokio::{net::TcpListener, sync::watch};

/// Someone who may sign in with a key pair from the beginning.
#[derive(Debug, Clone)]
pub struct User {
    /// The LOGIN_NAME; its case does not count.
    pub name: String,
    /// The public key as PEM, or the base64 between its first and last line.
    pub public_key: String,
    /// The roles that are granted to it.
    pub roles: Vec<String>,
    /// DEFAULT_ROLE: what Snowpipe's API runs as, and whatever names no role.
    pub default_role: Option<String>,
}

/// What Snowflake is sold as; each does what those before it do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    Standard,
    #[default]
    Enterprise,
}

/// Where the warehouse lives and what it may reach.
#[derive(Debug, Clone)]
pub struct Config {
    pub duckdb_path: PathBuf,
    /// The account that tokens must name.
    pub account: String,
    pub users: Vec<User>,
    /// The bucket that stages may read.
    pub lake_bucket: String,
    pub s3_endpoint: String,
    /// Where appends are kept while the file is away, and downloads while they are loaded.
    pub journal_dir: PathBuf,
    /// How long an append stays uncommitted. Snowflake takes seconds; see also `/_emulator/commit-delay`.
    pub commit_delay: Duration,
    /// The role that may use pipes and channels: it has OPERATE and MONITOR on pipes, and owns the raw tables.
    pub loader_role: String,
    /// LOCK_TIMEOUT of the users. Snowflake's own default is twelve hours.
    pub lock_timeout: Duration,
    pub edition: Edition,
    /// Whether a statement needs the privileges that it needs in Snowflake. Without it every role may do everything.
    pub checks_privileges: bool,
}

/// The emulator. Clones are handles on one warehouse.
#[derive(Clone)]
pub struct Emulator(Arc<Shared>);

struct Shared {
    actor: actor::Actor,
    account: Mutex<account::Account>,
    keys: jwt::Keys,
    lake: lake::Lake,
    pipes: snowpipe::Pipes,
    channels: streaming::Channels,
    statements: http::Statements,
    faults: faults::Faults,
    locks: locks::Locks,
    ddl: Mutex<()>,
    /// The database as it was before the last commit of that session, for a query that is to miss it.
    lagging: Mutex<Option<(uuid::Uuid, duckdb::Connection)>>,
    lock_timeout: Duration,
    loader_role: String,
    commit_delay: Mutex<Duration>,
    commit_is_due: AtomicBool,
    is_down: AtomicBool,
}

impl Emulator {
    /// Opens the file, or makes it. Must be called in a Tokio runtime, which then also serves downloads.
    pub fn open(config: Config) -> Result<Self> {
        let conn = catalogue::open(&config.duckdb_path)
            .with_context(|| format!("cannot open the warehouse's file {}", config.duckdb_path.display()))?;
        let account = account::Account::open(&conn, &config)?;
        let journal = journal::Journal::in_folder(&config.journal_dir.join("appends"))?;
        Ok(Emulator(Arc::new(Shared {
            keys: jwt::Keys::new(&config.account),
            lake: lake::Lake::new(&config.lake_bucket, &config.s3_endpoint, &config.journal_dir.join("downloads"))?,
            pipes: snowpipe::Pipes::read(&conn, &account)?,
            account: Mutex::new(account),
            channels: streaming::Channels::read(&conn, journal)?,
            actor: actor::Actor::start(&config.duckdb_path, conn)?,
            statements: http::Statements::default(),
            faults: faults::Faults::default(),
            locks: locks::Locks::default(),
            ddl: Mutex::default(),
            lagging: Mutex::default(),
            lock_timeout: config.lock_timeout,
            loader_role: config.loader_role.to_uppercase(),
            commit_delay: Mutex::new(config.commit_delay),
            commit_is_due: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
        })))
    }

    /// Answers requests until `shutdown` turns true; what was appended by then is committed.
    pub async fn serve(self, listener: TcpListener, mut shutdown: watch::Receiver<bool>) -> Result<()> {
        let router = http::router(self.clone());
        let stop = async move {
            // A sender that is gone means stop, too.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        let router = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
        axum::serve(listener, router).with_graceful_shutdown(stop).await.context("cannot serve the warehouse")?;
        self.commit().await
    }

    /// Gives the file away: waits for the running statement, commits what was appended, writes everything to the file
    /// and closes it. Until [`take_back`](Self::take_back) statements wait and appends go to the journal.
    pub async fn release_file(&self) -> Result<()> {
        let shared = Arc::clone(&self.0);
        let before = move |file: &actor::File| {
            lock(&shared.lagging).take();
            shared.channels.commit(file);
        };
        self.0.actor.release(before).await
    }

    /// Opens the file again, adds the journal's rows, then runs the statements that have waited.
    pub async fn take_back(&self) -> Result<()> {
        let shared = Arc::clone(&self.0);
        let after = move |conn: &duckdb::Connection| {
            shared.channels.catch_up(conn)?;
            lock(&shared.account).adopt(conn).map_err(|failure| anyhow::anyhow!(failure.message))
        };
        self.0.actor.take_back(after).await
    }

    /// Runs a query in DuckDB's own SQL; every value as DuckDB prints it. Refused while the file is away.
    pub async fn query(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let sql = format!("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({sql})");
        let answer = self.0.actor.now(move |file| match file {
            actor::File::Open(conn) => result::query(conn, &sql).map_err(|failure| anyhow::anyhow!(failure.message)),
            actor::File::Away { .. } => Err(anyhow::anyhow!("the warehouse's file is away")),
        });
        Ok(answer.await??.rows)
    }

    /// How many statements have waited for a table that another one had locked.
    pub fn lock_waits(&self) -> u64 {
        self.0.locks.waited()
    }

    /// The offset token of every channel that has one, by the channel's name.
    pub fn offset_tokens(&self) -> BTreeMap<String, String> {
        self.0.channels.tokens()
    }

    /// An outage: for this long every connection breaks, also those with an answer under way, and what is not committed is
    /// lost. Channels must be opened again, as after a crash of the service.
    pub async fn restart(&self, down_for: Duration) -> Result<()> {
        self.0.is_down.store(true, Ordering::Release);
        tokio::time::sleep(down_for).await;
        let shared = Arc::clone(&self.0);
        let forgotten = self.0.actor.now(move |_| shared.channels.forget()).await;
        self.0.is_down.store(false, Ordering::Release);
        forgotten
    }

    fn is_down(&self) -> bool {
        self.0.is_down.load(Ordering::Acquire)
    }

    async fn commit(&self) -> Result<()> {
        let shared = Arc::clone(&self.0);
        self.0.actor.now(move |file| shared.channels.commit(file)).await
    }

    /// Commits after the delay, once for all appends until then.
    fn commit_soon(&self) {
        if self.0.commit_is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let emulator = self.clone();
        tokio::spawn(async move {
            let delay = *lock(&emulator.0.commit_delay);
            tokio::time::sleep(delay).await;
            emulator.0.commit_is_due.store(false, Ordering::Release);
            // It fails only when the thread has ended, and then nothing can be committed any more.
            let _ = emulator.commit().await;
        });
    }
}

/// A value behind a mutex, also after a panic: no lock here is held across anything that leaves a value half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
