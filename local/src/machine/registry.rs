//! What runs: a list in the state folder, so that a start can end what an earlier one could not.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::Instant};

use super::state::{Folders, write_whole};

/// How long a part may take to end when asked. A broker writes what it holds only then, and a long topic takes a while:
/// one that is killed loses what it has acknowledged.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// How often it is looked at whether processes have ended.
const LOOK: Duration = Duration::from_millis(50);

/// A process that was started here. The start time tells it from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub name: String,
    pub pid: i32,
    /// In clock ticks since boot, as the kernel counts.
    pub start_time: u64,
    /// The command that lets it write what it holds and take no more, before it is asked to end. Empty for most.
    #[serde(default, rename = "settle")]
    pub flush: Vec<String>,
}

impl Started {
    pub(crate) fn of(name: &str, pid: u32, flush: &[String]) -> Result<Self> {
        let pid = i32::try_from(pid)?;
        let start_time = start_time(pid).with_context(|| format!("{name} ended as soon as it was started"))?;
        Ok(Started { name: name.into(), pid, start_time, flush: flush.to_vec() })
    }

    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }

    /// Signals the process and those that it started, which share its group.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end between the two looks; then there is nobody left to tell.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Lets it write what it holds, asks it to end, and kills it when it does not. Says whether it ended by itself.
    pub(crate) async fn end(&self) -> bool {
        if let Some((program, arguments)) = self.flush.split_first().filter(|_| self.is_alive()) {
            let mut flush = Command::new(program);
            flush.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            // One that does not answer is asked to end all the same.
            let _ = tokio::time::timeout(GRACE, flush.status()).await;
        }
        self.signal(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while self.is_alive() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        let ended = !self.is_alive();
        self.signal(Signal::KILL);
        ended
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

/// Which folder, and since which boot: a copy of the folder holds a copy of the list, whose processes are not its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    device: u64,
    inode: u64,
    boot: String,
}

impl Place {
    fn of(folder: &Path) -> Result<Self> {
        let metadata = fs::metadata(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Place { device: metadata.dev(), inode: metadata.ino(), boot: boot.trim().to_owned() })
    }
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    place: Place,
    processes: Vec<Started>,
}

/// The list of what runs, for the next start to end if this one cannot.
#[derive(Debug)]
pub(crate) struct Registry {
    path: PathBuf,
    place: Place,
    started: Mutex<Vec<Started>>,
}

impl Registry {
    /// Ends whatever an earlier run has left behind. Only processes that were recorded in this very folder are touched, by
    /// id and start time.
    pub(crate) async fn take_over(folders: &Folders) -> Result<Self> {
        let registry = Registry { path: path(folders), place: Place::of(folders.base())?, started: Mutex::default() };
        let (own, others) = registry.left();
        if !others.is_empty() {
            println!("  this state is a copy; what runs for the original is left alone");
        }
        for process in &own {
            println!("  ending {} (process {}), left by an earlier run", process.name, process.pid);
        }
        futures::future::join_all(own.iter().map(Started::end)).await;
        registry.write(&[])?;
        Ok(registry)
    }

    /// Ends everything that was started in this folder, however far the start had come.
    pub(crate) async fn end_all(folders: &Folders) -> Result<()> {
        let registry = Registry { path: path(folders), place: Place::of(folders.base())?, started: Mutex::default() };
        futures::future::join_all(registry.left().0.iter().map(Started::end)).await;
        registry.write(&[])
    }

    /// Those that have ended since are left out, so that a part that is restarted stands once.
    pub(crate) fn add(&self, started: Started) -> Result<()> {
        let mut all = self.lock();
        all.retain(Started::is_alive);
        all.push(started);
        self.write(&all)
    }

    pub(crate) fn clear(&self) -> Result<()> {
        let mut all = self.lock();
        all.clear();
        self.write(&all)
    }

    /// What the file names and what still runs: this folder's own, and those of the folder that it is a copy of.
    fn left(&self) -> (Vec<Started>, Vec<Started>) {
        let recorded = fs::read(&self.path).ok().and_then(|text| serde_json::from_slice::<Recorded>(&text).ok());
        let Some(Recorded { place, processes }) = recorded else { return Default::default() };
        let alive: Vec<Started> = processes.into_iter().filter(Started::is_alive).collect();
        if place == self.place { (alive, Vec::new()) } else { (Vec::new(), alive) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Started>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, started: &[Started]) -> Result<()> {
        let recorded = Recorded { place: self.place.clone(), processes: started.to_vec() };
        write_whole(&self.path, serde_json::to_vec_pretty(&recorded)?)
    }
}

fn path(folders: &Folders) -> PathBuf {
    folders.base().join("processes.json")
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Child};

    use super::*;

    /// A process in a group of its own, with its entry.
    fn sleeper(flush: &[String]) -> (Child, Started) {
        let child = std::process::Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep runs");
        let started = Started::of("sleeper", child.id(), flush).expect("it runs");
        (child, started)
    }

    fn folders() -> Folders {
        let folder = std::env::temp_dir().join(format!("sluice-registry-{}", uuid::Uuid::new_v4()));
        let folders = Folders::find(&folder).expect("the project's folder is above");
        drop(folders.take().expect("a new folder"));
        folders
    }

    #[tokio::test]
    async fn a_start_ends_what_the_folders_last_run_has_left() {
        let folders = folders();
        let registry = Registry::take_over(&folders).await.expect("empty");
        let mark = folders.base().join("flushed");
        let (mut child, started) = sleeper(&["touch".into(), mark.display().to_string()]);
        registry.add(started.clone()).expect("written");
        drop(registry);
        let reaped = std::thread::spawn(move || child.wait());
        Registry::take_over(&folders).await.expect("read");
        assert!(!started.is_alive());
        assert!(mark.exists(), "it was let write what it holds first");
        reaped.join().expect("no panic").expect("it was a child");
        fs::remove_dir_all(folders.base()).expect("removed");
    }

    #[tokio::test]
    async fn a_copied_folder_leaves_the_originals_processes_alone() {
        let (original, copy) = (folders(), folders());
        let registry = Registry::take_over(&original).await.expect("empty");
        let (mut child, started) = sleeper(&[]);
        registry.add(started.clone()).expect("written");
        fs::copy(path(&original), path(&copy)).expect("copied");
        let of_copy = Registry::take_over(&copy).await.expect("read");
        assert!(started.is_alive());
        Registry::end_all(&copy).await.expect("read");
        assert!(started.is_alive());
        assert_eq!(of_copy.left(), (Vec::new(), Vec::new()), "the copy's list is its own from now on");
        child.kill().and_then(|()| child.wait()).expect("it was a child");
        for folders in [original, copy] {
            fs::remove_dir_all(folders.base()).expect("removed");
        }
    }

    #[test]
    fn another_process_with_the_same_id_is_not_the_one_that_was_started() {
        let (mut child, started) = sleeper(&[]);
        let later = Started { start_time: started.start_time + 1, ..started.clone() };
        assert!(started.is_alive() && !later.is_alive());
        later.signal(Signal::KILL);
        assert!(started.is_alive());
        child.kill().and_then(|()| child.wait()).expect("it was a child");
        assert!(!started.is_alive());
    }
}
