//! Where one machine keeps its state, and what it has started: `.sluice/` in the project's folder, unless told otherwise.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// How long a part may take to end when asked. A broker writes what it holds only then, and a long topic takes a while:
/// one that is killed loses what it has acknowledged.
pub const GRACE: Duration = Duration::from_secs(60);

/// The project's folder and the paths below it.
#[derive(Debug, Clone)]
pub struct Folders {
    pub root: PathBuf,
    /// What all runs share: the lock, the ports, the list of what was started.
    base: PathBuf,
    /// Everything else that a run leaves behind. Each set of data has its own: they must not mix.
    home: PathBuf,
}

impl Folders {
    /// The folder that holds `template.yaml`: the current one or one above it.
    pub fn find(base: &Path) -> Result<Self> {
        let here = std::env::current_dir()?;
        let root = here.ancestors().find(|folder| folder.join("template.yaml").exists());
        let root = root.context("start this in the project's folder: no template.yaml here or above")?;
        let base = root.join(base);
        Ok(Folders { root: root.into(), home: base.clone(), base })
    }

    /// The folders for another set of data than the usual one.
    pub fn of_data(mut self, name: &str) -> Result<Self> {
        self.home = self.base.join("data").join(name);
        self.create()?;
        Ok(self)
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    pub fn state(&self, name: &str) -> PathBuf {
        self.home.join("state").join(name)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    pub fn warehouse(&self) -> PathBuf {
        self.home.join("warehouse.duckdb")
    }

    /// A command of one of the tools' virtual environments.
    pub fn tool(&self, venv: &str, command: &str) -> PathBuf {
        self.root.join(".tools/venv").join(venv).join("bin").join(command)
    }

    /// Makes the folders and takes them for this process. The lock ends with the handle, however the process ends.
    pub fn take(&self) -> Result<File> {
        self.create()?;
        let lock = File::create(self.base.join("lock"))?;
        lock.try_lock().context("another sluice-local is running in this folder; stop it with Ctrl-C")?;
        Ok(lock)
    }

    fn create(&self) -> Result<()> {
        for folder in ["state", "logs"] {
            let folder = self.home.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(())
    }
}

/// The port of every part. Kept from run to run, because the deployed functions know them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ports {
    pub aws: u16,
    pub postgres: u16,
    pub kafka: u16,
    pub snowflake: u16,
    pub dbt: u16,
    pub hubspot: u16,
    pub rates: u16,
    /// The address of collect-events, and the shop's page.
    pub events: u16,
    pub shop: u16,
    /// Where a command beside the stack asks the warehouse and restarts parts.
    pub control: u16,
}

impl Ports {
    /// Last time's ports where all of them are free, else new ones.
    pub fn choose(folders: &Folders) -> Result<Self> {
        let path = folders.base.join("ports.json");
        let last: Option<Ports> = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(ports) = last.filter(|ports| ports.all().into_iter().all(is_free)) {
            return Ok(ports);
        }
        // All are held at once, so that no two are the same.
        let held: Vec<TcpListener> =
            (0..10).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<std::io::Result<_>>()?;
        let free: Vec<u16> = held.iter().map(|held| Ok(held.local_addr()?.port())).collect::<Result<_>>()?;
        let [aws, postgres, kafka, snowflake, dbt, hubspot, rates, events, shop, control] = free[..] else {
            anyhow::bail!("ten ports were asked for");
        };
        let ports = Ports { aws, postgres, kafka, snowflake, dbt, hubspot, rates, events, shop, control };
        fs::write(&path, serde_json::to_vec_pretty(&ports)?)?;
        Ok(ports)
    }

    fn all(&self) -> [u16; 10] {
        let Ports { aws, postgres, kafka, snowflake, dbt, hubspot, rates, events, shop, control } = *self;
        [aws, postgres, kafka, snowflake, dbt, hubspot, rates, events, shop, control]
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A process that was started here. The start time tells it from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    pub name: String,
    pub pid: i32,
    /// In clock ticks since boot, as the kernel counts.
    pub start_time: u64,
}

impl Started {
    pub fn of(name: &str, pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid)?;
        let start_time = start_time(pid).with_context(|| format!("{name} ended as soon as it was started"))?;
        Ok(Started { name: name.into(), pid, start_time })
    }

    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }

    /// Signals the process and those that it started, which share its group.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end between the two looks; then there is nobody left to tell.
            let _ = kill_process_group(group, signal);
        }
    }
}

/// The 22nd field of `/proc/<pid>/stat`; the second may hold spaces and ends with the last parenthesis.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)).flatten()?.parse().ok()
}

/// The list of what runs, for the next start to end if this one cannot.
#[derive(Debug)]
pub struct Registry {
    path: PathBuf,
    started: Mutex<Vec<Started>>,
}

impl Registry {
    /// Ends whatever an earlier run has left behind. Only processes whose id and start time are recorded are touched.
    pub async fn take_over(folders: &Folders) -> Result<Self> {
        let path = folders.base.join("processes.json");
        let left: Vec<Started> = read(&path).into_iter().filter(Started::is_alive).collect();
        for process in &left {
            println!("  ending {} (process {}), left by an earlier run", process.name, process.pid);
            process.signal(Signal::TERM);
        }
        let deadline = tokio::time::Instant::now() + GRACE;
        while left.iter().any(Started::is_alive) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for process in &left {
            process.signal(Signal::KILL);
        }
        let registry = Registry { path, started: Mutex::default() };
        registry.write(&[])?;
        Ok(registry)
    }

    /// Those that have ended since are left out, so that a part that is restarted stands once.
    pub fn add(&self, started: Started) -> Result<()> {
        let mut all = self.lock();
        all.retain(Started::is_alive);
        all.push(started);
        self.write(&all)
    }

    pub fn clear(&self) -> Result<()> {
        let mut all = self.lock();
        all.clear();
        self.write(&all)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Started>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, started: &[Started]) -> Result<()> {
        fs::write(&self.path, serde_json::to_vec_pretty(started)?)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn read(path: &Path) -> Vec<Started> {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
