//! Where one machine keeps its state, and what it has started: `.sluice/` in the project's folder, unless told otherwise.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What to do about a folder that cannot be written.
const ANOTHER: &str = "make room there or let this user write there, or name another folder with --state";

/// Which set of data ran last.
const LAST: &str = "last";

/// The project's folder and the paths below it.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub root: PathBuf,
    /// What all runs share: the lock, the ports, the list of what was started.
    base: PathBuf,
    /// Everything else that a run leaves behind. Each set of data has its own: they must not mix.
    home: PathBuf,
}

impl Folders {
    /// The folder that holds `template.yaml`: the current one or one above it.
    pub(crate) fn find(base: &Path) -> Result<Self> {
        let here = std::env::current_dir()?;
        let root = here.ancestors().find(|folder| folder.join("template.yaml").exists());
        let root = root.context("start this in the project's folder: no template.yaml here or above")?;
        let base = root.join(base);
        Ok(Folders { root: root.into(), home: base.clone(), base })
    }

    /// The folders for another set of data than the usual one.
    pub(crate) fn of_data(mut self, name: &str) -> Result<Self> {
        self.home = self.base.join("data").join(name);
        self.create()?;
        self.end_forgetting()?;
        Ok(self)
    }

    /// The folders of the set of data that ran last.
    pub(crate) fn of_last(self) -> Result<Self> {
        match fs::read_to_string(self.base.join(LAST)) {
            Ok(name) if !name.is_empty() => self.of_data(&name),
            _ => Ok(self),
        }
    }

    /// Keeps the name of the set that runs; the usual one has none.
    pub(crate) fn remember(&self, name: Option<&str>) -> Result<()> {
        write_whole(&self.base.join(LAST), name.unwrap_or_default())
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.home.join("state").join(name)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    pub(crate) fn warehouse(&self) -> PathBuf {
        self.home.join("warehouse.duckdb")
    }

    /// A command of one of the tools' virtual environments.
    pub(crate) fn tool(&self, venv: &str, command: &str) -> PathBuf {
        self.root.join(".tools/venv").join(venv).join("bin").join(command)
    }

    /// Makes the folders and takes them for this process. The lock ends with the handle, however the process ends.
    pub(crate) fn take(&self) -> Result<File> {
        self.create()?;
        let path = self.base.join("lock");
        let lock = File::create(&path).with_context(|| format!("cannot write {}; {ANOTHER}", path.display()))?;
        lock.try_lock().context("another sluice-local is running in this folder; stop it with Ctrl-C")?;
        self.end_forgetting()?;
        Ok(lock)
    }

    /// Forgets what the runs of this set of data have left behind. Nothing of it may run.
    pub(crate) fn forget(&self) -> Result<()> {
        let state = self.home.join("state");
        fs::rename(&state, self.forgotten()).with_context(|| format!("cannot move {}", state.display()))?;
        self.end_forgetting()?;
        self.create()
    }

    /// State that is being forgotten: as long as it is there, what belongs to it may be too.
    fn forgotten(&self) -> PathBuf {
        self.home.join("forgotten")
    }

    /// Goes on where a process has ended that was forgetting.
    fn end_forgetting(&self) -> Result<()> {
        if !self.forgotten().exists() {
            return Ok(());
        }
        for file in [self.warehouse(), self.warehouse().with_extension("duckdb.wal")] {
            gone(&file, fs::remove_file(&file))?;
        }
        for folder in [self.home.join("logs"), self.forgotten()] {
            gone(&folder, fs::remove_dir_all(&folder))?;
        }
        self.create()
    }

    fn create(&self) -> Result<()> {
        for folder in ["state", "logs"] {
            let folder = self.home.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}; {ANOTHER}", folder.display()))?;
            // A folder that was there already may be on a disk that is full or may only be read.
            let trial = folder.join(".trial");
            let written = fs::write(&trial, "trial").and_then(|()| fs::remove_file(&trial));
            written.with_context(|| format!("cannot write into {}; {ANOTHER}", folder.display()))?;
        }
        Ok(())
    }
}

/// What was not there is gone as well.
fn gone(path: &Path, removed: io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Replaces a folder by another one, so that whenever the process ends, one of the two is there: see [`replaced`].
pub(crate) fn replace(folder: &Path, by: &Path) -> io::Result<()> {
    let before = folder.with_extension("before");
    if folder.exists() {
        fs::rename(folder, &before)?;
    }
    fs::rename(by, folder)?;
    if before.exists() { fs::remove_dir_all(&before) } else { Ok(()) }
}

/// Puts a folder back whose replacement did not come to its end, and removes what one that did has left.
pub(crate) fn replaced(folder: &Path) -> io::Result<()> {
    let before = folder.with_extension("before");
    match (before.exists(), folder.exists()) {
        (true, false) => fs::rename(before, folder),
        (true, true) => fs::remove_dir_all(before),
        (false, _) => Ok(()),
    }
}

/// Writes a file whole or not at all, however the process ends.
pub(crate) fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let draft = path.with_extension("draft");
    let written = fs::write(&draft, content).and_then(|()| fs::rename(&draft, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The port of every part. Kept from run to run, because the deployed functions know them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub aws: u16,
    pub postgres: u16,
    pub kafka: u16,
    pub snowflake: u16,
    pub dbt: u16,
    pub hubspot: u16,
    pub rates: u16,
    /// The schema registry.
    pub registry: u16,
    /// The address of collect-events, and the shop's page.
    pub events: u16,
    pub shop: u16,
    /// Where a command beside the stack asks the warehouse and restarts parts.
    pub control: u16,
}

impl Ports {
    /// Last time's ports where all of them are free, else new ones. They are held, so that nobody else has one when its part
    /// begins: that may be after a deployment.
    pub(crate) fn choose(folders: &Folders) -> Result<(Self, HeldPorts)> {
        let path = folders.base.join("ports.json");
        if let Some(ports) = Self::last(folders)
            && let Ok(held) = HeldPorts::of(ports.all())
        {
            return Ok((ports, held));
        }
        // All are held at once, so that no two are the same.
        let held = HeldPorts::of([0; 11])?;
        let free: Vec<u16> = held.0.keys().copied().collect();
        let [aws, postgres, kafka, snowflake, dbt, hubspot, rates, registry, events, shop, control] = free[..] else {
            anyhow::bail!("eleven ports were asked for");
        };
        let ports = Ports { aws, postgres, kafka, snowflake, dbt, hubspot, rates, registry, events, shop, control };
        write_whole(&path, serde_json::to_vec_pretty(&ports)?)?;
        Ok((ports, held))
    }

    /// Last time's ports.
    pub(crate) fn last(folders: &Folders) -> Option<Self> {
        fs::read(folders.base.join("ports.json")).ok().and_then(|text| serde_json::from_slice(&text).ok())
    }

    fn all(&self) -> [u16; 11] {
        let Ports { aws, postgres, kafka, snowflake, dbt, hubspot, rates, registry, events, shop, control } = *self;
        [aws, postgres, kafka, snowflake, dbt, hubspot, rates, registry, events, shop, control]
    }
}

/// Ports that no part has yet.
pub(crate) struct HeldPorts(BTreeMap<u16, TcpListener>);

impl HeldPorts {
    fn of(ports: [u16; 11]) -> io::Result<Self> {
        let hold = |port| {
            let held = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            Ok((held.local_addr()?.port(), held))
        };
        ports.into_iter().map(hold).collect::<io::Result<_>>().map(HeldPorts)
    }

    /// Lets a port go to the process that takes it next.
    pub(crate) fn release(&mut self, port: u16) {
        self.0.remove(&port);
    }

    /// Hands a port on to a part of this process.
    pub(crate) fn listener(&mut self, port: u16) -> Result<tokio::net::TcpListener> {
        let held = self.0.remove(&port).with_context(|| format!("the port {port} is not held"))?;
        let listener = held.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(held));
        listener.with_context(|| format!("cannot listen on port {port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_was_forgetting_is_forgotten_by_the_next_one() {
        let base = std::env::temp_dir().join(format!("sluice-forgotten-{}", uuid::Uuid::new_v4()));
        let folders = Folders { root: base.clone(), home: base.clone(), base: base.clone() };
        drop(folders.take().expect("a new folder"));
        fs::write(folders.warehouse(), "rows").expect("written");
        drop(folders.take().expect("taken again"));
        assert!(folders.warehouse().exists(), "nothing is forgotten unasked");
        fs::write(folders.state("ministack"), "a lake").expect("written");
        fs::rename(base.join("state"), base.join("forgotten")).expect("moved");
        drop(folders.take().expect("taken by the next process"));
        assert!(!folders.warehouse().exists() && !folders.state("ministack").exists());
        assert!(base.join("state").exists() && !base.join("forgotten").exists());
        fs::remove_dir_all(&base).expect("removed");
    }

    #[tokio::test]
    async fn a_chosen_port_is_nobody_elses_until_its_part_has_it() {
        let base = std::env::temp_dir().join(format!("sluice-ports-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&base).expect("a folder");
        let folders = Folders { root: base.clone(), home: base.clone(), base: base.clone() };
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let (ports, mut held) = Ports::choose(&folders).expect("free ports");
        assert!(ports.all().into_iter().all(|port| !is_free(port)), "one could be taken before its part begins");
        held.release(ports.kafka);
        assert!(is_free(ports.kafka));
        let control = held.listener(ports.control).expect("a listener");
        assert_eq!(control.local_addr().expect("an address").port(), ports.control);
        drop(held);
        assert!(is_free(ports.shop) && !is_free(ports.control));
        drop(control);
        let (again, _held) = Ports::choose(&folders).expect("the same ports");
        assert_eq!(again.all(), ports.all());
        let (others, _held_too) = Ports::choose(&folders).expect("other ports");
        assert!(others.all().into_iter().all(|port| !ports.all().contains(&port)), "last time's are not free");
        fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
        let base = std::env::temp_dir().join(format!("sluice-state-{}", uuid::Uuid::new_v4()));
        let folders = Folders { root: base.clone(), home: base.clone(), base: base.clone() };
        drop(folders.take().expect("a folder of our own"));
        fs::remove_file(base.join("lock")).expect("removed");
        fs::create_dir(base.join("lock")).expect("in the way");
        let error = format!("{:#}", folders.take().expect_err("no file can be written"));
        assert!(error.contains(&base.join("lock").display().to_string()) && error.contains("--state"), "{error}");
        fs::remove_dir_all(base.join("logs")).expect("removed");
        fs::write(base.join("logs"), "a file").expect("in the way");
        let error = format!("{:#}", folders.take().expect_err("no folder can be made"));
        assert!(error.contains(&base.join("logs").display().to_string()) && error.contains("--state"), "{error}");
        fs::remove_dir_all(&base).expect("removed");
    }
}
