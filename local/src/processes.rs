//! Child processes with a log, a readiness check, and an end.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::state::{Journal, Layout};

/// How long a part may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(15);
/// How many lines of a log say what went wrong.
const TAIL: usize = 20;

/// A running part: the head of its own process group, so that its children end with it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    log: PathBuf,
    stop_signal: Signal,
    journal: Journal,
    ended: bool,
}

impl Process {
    /// Starts a part; what it prints goes to its log, which begins anew.
    pub fn spawn(layout: &Layout, journal: &Journal, name: &str, mut command: Command) -> Result<Self> {
        let log = layout.log(name);
        let (out, err) = open_log(&log)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("a process has no id")?;
        let process = Process {
            name: name.to_owned(),
            child,
            group: Pid::from_raw(pid).context("a process has no id")?,
            log,
            stop_signal: Signal::TERM,
            journal: journal.clone(),
            ended: false,
        };
        // A part that has ended already is reported by `ready`, with its log.
        let _ = journal.record(name, pid);
        Ok(process)
    }

    /// Uses another signal than SIGTERM to ask the part to end.
    pub fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Asks `probe` until it says yes. A part that ends or is not ready in time is named, with the end of its log.
    pub async fn ready(&mut self, within: Duration, probe: impl AsyncFn() -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().with_context(|| format!("watching {}", self.name))? {
                bail!("{} ended before it was ready ({status}){}", self.name, tail(&self.log));
            }
            if probe().await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} was not ready after {} s{}", self.name, within.as_secs(), tail(&self.log));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Fails, with the end of the log, if the part has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("watching {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}){}", self.name, tail(&self.log)),
        }
    }

    /// Asks the part to end, waits, and kills it and its children if that was in vain.
    pub async fn stop(mut self) -> Result<()> {
        let _ = kill_process_group(self.group, self.stop_signal);
        let in_time = timeout(GRACE, self.child.wait()).await.is_ok();
        let _ = kill_process_group(self.group, Signal::KILL);
        if !in_time {
            self.child.wait().await.with_context(|| format!("ending {}", self.name))?;
        }
        self.ended = true;
        self.journal.forget(self.group.as_raw_nonzero().get())
    }
}

impl Drop for Process {
    /// The way out of an error: no time to wait, but nothing may stay. A clean end goes through [`Process::stop`].
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

/// Runs a program to its end; its output goes to a log, whose end is the error if it fails.
pub async fn run(layout: &Layout, name: &str, mut command: Command) -> Result<()> {
    let log = layout.log(name);
    let (out, err) = open_log(&log)?;
    command.stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true);
    let status = command.status().await.with_context(|| format!("starting {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status}){}", tail(&log));
    }
    Ok(())
}

/// A command that knows nothing of this process's environment but where programs and the home folder are.
///
/// Credentials, proxies and endpoints of whoever runs the demo must not reach a part by accident.
pub fn bare_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LANG", "C.UTF-8");
    command
}

fn open_log(log: &Path) -> Result<(File, File)> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let out = File::create(log).with_context(|| format!("opening {}", log.display()))?;
    let err = out.try_clone().with_context(|| format!("opening {}", log.display()))?;
    Ok((out, err))
}

/// The last lines of a log, as the end of an error message.
fn tail(log: &Path) -> String {
    const WINDOW: u64 = 16 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "; its log is empty".to_owned();
    }
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    format!("; the end of {}:\n    {}", log.display(), last.join("\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn shell(script: &str) -> Command {
        let mut command = bare_command("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_part_that_does_not_come_up_is_named_with_the_end_of_its_log() {
        let scratch = Scratch::new();
        let journal = Journal::open(&scratch.layout()).expect("a journal");
        let script = "seq 1 30; echo no such port >&2; exit 3";
        let mut part = Process::spawn(&scratch.layout(), &journal, "broker", shell(script)).expect("a part");
        let error = part.ready(Duration::from_secs(20), async || false).await.expect_err("it ended").to_string();
        assert!(error.contains("broker ended before it was ready (exit status: 3)"), "{error}");
        assert!(error.contains("no such port"), "{error}");
        assert!(error.contains("\n    12\n") && !error.contains("\n    11\n"), "the last twenty lines: {error}");
    }

    #[tokio::test]
    async fn stopping_a_part_ends_its_children_too() {
        let scratch = Scratch::new();
        let journal = Journal::open(&scratch.layout()).expect("a journal");
        let script = "trap '' TERM; sleep 600 & echo $! > child; trap 'exit 0' TERM; wait";
        let mut command = shell(script);
        command.current_dir(&scratch.root);
        let mut part = Process::spawn(&scratch.layout(), &journal, "parent", command).expect("a part");
        let file = scratch.root.join("child");
        let written = async || fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
        part.ready(Duration::from_secs(20), written).await.expect("a child");
        let child = fs::read_to_string(&file).expect("its id");
        part.stop().await.expect("an end");
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
        assert!(journal.end_leftovers().await.expect("leftovers").is_empty());
    }

    #[tokio::test]
    async fn a_part_gets_nothing_of_our_environment() {
        let scratch = Scratch::new();
        run(&scratch.layout(), "env", shell("env")).await.expect("env runs");
        let log = fs::read_to_string(scratch.layout().log("env")).expect("a log");
        assert!(log.contains("PATH=") && !log.contains("CARGO_MANIFEST_DIR"), "{log}");
    }
}
