//! Where one machine keeps things, and which processes it has started.
//!
//! Everything that a run writes lies under `.sluice/`. The journal there names each started process by id *and* start
//! time, so that a later run can end what a killed one left behind, and never a stranger that was given the same id.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// The repository's folders as one machine uses them.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Finds the repository from a folder inside it.
    pub fn find(from: &Path) -> Result<Self> {
        let from = from.canonicalize().with_context(|| format!("opening {}", from.display()))?;
        let is_root = |folder: &&Path| folder.join("template.yaml").is_file() && folder.join("platform").is_dir();
        match from.ancestors().find(is_root) {
            Some(root) => Ok(Layout { root: root.to_owned() }),
            None => bail!("{} is not inside the repository: no folder above it has template.yaml", from.display()),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of what one part keeps from run to run.
    pub fn state(&self, part: &str) -> PathBuf {
        self.root.join(".sluice/state").join(part)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join(".sluice/logs").join(format!("{name}.log"))
    }

    /// A program of one of the virtual environments that `tools/setup` makes.
    pub fn tool(&self, environment: &str, program: &str) -> Result<PathBuf> {
        let path = self.root.join(".tools/venv").join(environment).join("bin").join(program);
        if path.exists() {
            return Ok(path);
        }
        bail!("{} is not there: run tools/setup {environment}", path.display())
    }

    /// A file that a Python package of an environment brings along, whatever the Python version.
    pub fn package_file(&self, environment: &str, file: &str) -> Result<PathBuf> {
        let lib = self.root.join(".tools/venv").join(environment).join("lib");
        let versions = fs::read_dir(&lib).into_iter().flatten().flatten();
        let found = versions.map(|entry| entry.path().join("site-packages").join(file)).find(|path| path.exists());
        found.with_context(|| format!("{file} is not in {}: run tools/setup {environment}", lib.display()))
    }

    /// A binary of the release build.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.root.join("target/x86_64-unknown-linux-gnu/release").join(name)
    }
}

/// One entry of the journal. The boot is part of it because start times count from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Started {
    name: String,
    pid: i32,
    start_time: u64,
    boot: String,
}

/// The journal of started processes, and the lock that keeps a second run out. Clones share both.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    boot: String,
    started: Mutex<Vec<Started>>,
    /// Held as long as the journal lives; the kernel lets go of it however the process ends.
    _lock: File,
}

impl Journal {
    /// Opens the journal for this run. Another run on the same folder is an error.
    pub fn open(layout: &Layout) -> Result<Self> {
        let folder = layout.state("");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let lock = File::create(folder.join("lock")).context("opening the lock file")?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another sluice-local is running on {}", layout.root().display()),
            Err(TryLockError::Error(error)) => return Err(error).context("locking the state folder"),
        }
        let path = folder.join("processes.json");
        let started = match fs::read(&path) {
            // A journal that cannot be read names nothing that could be ended safely.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("reading the boot's id")?;
        let inner = Inner { path, boot: boot.trim().to_owned(), started: Mutex::new(started), _lock: lock };
        Ok(Journal { inner: Arc::new(inner) })
    }

    /// Ends what an earlier run has left running and answers with its names.
    pub async fn end_leftovers(&self) -> Result<Vec<String>> {
        let entries = self.entries().clone();
        let mut ended = Vec::new();
        for entry in entries {
            if entry.boot == self.inner.boot && start_time(entry.pid) == Some(entry.start_time) {
                end_group(&entry).await?;
                ended.push(entry.name.clone());
            }
            self.forget(entry.pid)?;
        }
        Ok(ended)
    }

    /// Notes a process that was just started as the head of its own group.
    pub fn record(&self, name: &str, pid: i32) -> Result<()> {
        let start_time = start_time(pid).with_context(|| format!("{name} ended at once"))?;
        let mut entries = self.entries();
        entries.push(Started { name: name.to_owned(), pid, start_time, boot: self.inner.boot.clone() });
        self.write(&entries)
    }

    pub fn forget(&self, pid: i32) -> Result<()> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.pid != pid);
        self.write(&entries)
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Started>> {
        self.inner.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, entries: &[Started]) -> Result<()> {
        write_whole(&self.inner.path, &serde_json::to_vec_pretty(entries)?)
    }
}

/// Replaces a file so that a reader, or a crash, sees the old text or the new one.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes).with_context(|| format!("writing {}", fresh.display()))?;
    fs::rename(&fresh, path).with_context(|| format!("replacing {}", path.display()))
}

/// Field 22 of `/proc/<pid>/stat`; `None` when the process is gone or only waits to be reaped.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything, so counting starts behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

async fn end_group(entry: &Started) -> Result<()> {
    let Some(group) = Pid::from_raw(entry.pid) else { return Ok(()) };
    for (signal, grace) in [(Signal::TERM, Duration::from_secs(10)), (Signal::KILL, Duration::from_secs(5))] {
        // A group that is gone by now is what was wanted.
        let _ = kill_process_group(group, signal);
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if start_time(entry.pid) != Some(entry.start_time) {
                let _ = kill_process_group(group, Signal::KILL);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    bail!("{} (process {}) of an earlier run does not end", entry.name, entry.pid)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;
    use crate::scratch::Scratch;

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep")
    }

    fn pid(child: &std::process::Child) -> i32 {
        i32::try_from(child.id()).expect("an id")
    }

    #[tokio::test]
    async fn what_a_killed_run_left_is_ended() {
        let scratch = Scratch::new();
        let mut child = sleeper();
        // The journal of the run that was killed: dropped without a word to the process.
        Journal::open(&scratch.layout()).and_then(|run| run.record("sleeper", pid(&child))).expect("a journal");

        let journal = Journal::open(&scratch.layout()).expect("a second run");
        // Somebody has to reap the child while its end is waited for, as init does for a real leftover.
        let reaper = std::thread::spawn(move || child.wait());
        assert_eq!(journal.end_leftovers().await.expect("leftovers"), ["sleeper"]);
        assert!(!reaper.join().expect("a reaper").expect("its end").success());
        assert!(journal.end_leftovers().await.expect("again").is_empty());
    }

    #[tokio::test]
    async fn a_stranger_with_the_same_id_is_left_alone() {
        let scratch = Scratch::new();
        let mut child = sleeper();
        let journal = Journal::open(&scratch.layout()).expect("a journal");
        journal.record("sleeper", pid(&child)).expect("an entry");
        journal.entries()[0].start_time += 1;
        assert!(journal.end_leftovers().await.expect("leftovers").is_empty());
        assert!(child.try_wait().expect("its state").is_none(), "the stranger still runs");
        child.kill().and_then(|()| child.wait()).expect("its end");
    }

    #[test]
    fn a_second_run_on_the_same_folder_is_refused() {
        let scratch = Scratch::new();
        let _first = Journal::open(&scratch.layout()).expect("a first run");
        let error = Journal::open(&scratch.layout()).expect_err("a second run");
        assert!(error.to_string().contains("another sluice-local"), "{error}");
    }
}
