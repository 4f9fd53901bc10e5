//! The parts that run as processes of their own: start, wait until ready, stop.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use super::{
    registry::{GRACE, Registry, Started},
    state::Folders,
};

/// How long a part may take to answer after its start.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// So much of a log is shown when its part fails.
const LOG_LINES: usize = 20;

/// A running part, in a process group of its own. Dropped without [`Part::stop`], it stays in the registry, whose
/// [`Registry::end_all`] ends it.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    child: Child,
    started: Started,
    log: PathBuf,
}

impl Part {
    /// `flush` is the command that lets the part write what it holds, if it needs one.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        flush: &[String],
        folders: &Folders,
        registry: &Registry,
    ) -> Result<Self> {
        let log = folders.log(name);
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}; have the tools been set up?"))?;
        let started = Started::of(name, child.id().context("the process has no id")?, flush)?;
        registry.add(started.clone())?;
        Ok(Part { name, child, started, log })
    }

    /// Waits until `ready` says so. A part that ends or takes too long is named with the end of its log.
    pub(crate) async fn ready<F: Future<Output = bool>>(&mut self, mut ready: impl FnMut() -> F) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if ready().await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it was ready\n{}", self.name, tail(&self.log));
            }
            if Instant::now() > deadline {
                bail!("{} was not ready after {} s\n{}", self.name, READY_WITHIN.as_secs(), tail(&self.log));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks the part to end, and kills it if it does not.
    pub(crate) async fn stop(mut self) {
        // A child that has ended is there until somebody waits for it.
        let (ended, _) = tokio::join!(self.started.end(), self.child.wait());
        if !ended {
            let seconds = GRACE.as_secs();
            println!("  {} did not end within {seconds} s and was killed; what it had not written is lost", self.name);
        }
    }
}

/// Runs a command to its end with its output in a log, which is shown if it fails.
pub(crate) async fn run(name: &str, mut command: Command, folders: &Folders) -> Result<()> {
    let log = folders.log(name);
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
    let status: ExitStatus = command.status().await.with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed with {status}\n{}", tail(&log));
    }
    Ok(())
}

fn tail(log: &PathBuf) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
    format!("the end of {}:\n    {}", log.display(), shown.join("\n    "))
}
