//! The record of every run: in memory for the API, in `<work>/runs/<id>/run.json` for the next process.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

/// How many runs are kept: as many as one listing shows at most.
const KEPT: usize = 100;

/// The states of runs and steps, with dbt Cloud's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Queued = 1,
    Starting = 2,
    Running = 3,
    Success = 10,
    Error = 20,
    Cancelled = 30,
}

impl Status {
    pub(crate) fn ended(self) -> bool {
        matches!(self, Status::Success | Status::Error | Status::Cancelled)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub id: u64,
    pub cause: String,
    pub status: Status,
    pub message: Option<String>,
    pub steps: Vec<Step>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub command: String,
    pub status: Status,
}

/// All runs by number.
pub(crate) struct Book {
    directory: PathBuf,
    pages: Mutex<BTreeMap<u64, Page>>,
    queued: Notify,
}

struct Page {
    run: Run,
    cancelled: watch::Sender<bool>,
}

impl Book {
    /// Reads what an earlier process left. What had not ended then never will.
    pub(crate) fn open(work_dir: &Path) -> anyhow::Result<Self> {
        let directory = work_dir.join("runs");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let book = Book { directory, pages: Mutex::default(), queued: Notify::new() };
        for entry in fs::read_dir(&book.directory).context("cannot list the runs of earlier")? {
            // A directory without a readable record is of a run whose creation did not complete.
            let Ok(text) = fs::read(entry?.path().join("run.json")) else { continue };
            let Ok(mut run) = serde_json::from_slice::<Run>(&text) else { continue };
            if !run.status.ended() {
                run.end(Status::Cancelled, Some("interrupted by the end of the server".into()));
                book.save(&run)?;
            }
            book.pages().insert(run.id, Page { run, cancelled: watch::Sender::new(false) });
        }
        Ok(book)
    }

    /// A new run at the end of the queue.
    pub(crate) fn enqueue(&self, cause: String, commands: Vec<String>) -> anyhow::Result<Run> {
        let mut pages = self.pages();
        let run = Run {
            id: pages.keys().next_back().map_or(1, |last| last + 1),
            cause,
            status: Status::Queued,
            message: None,
            steps: commands.into_iter().map(|command| Step { command, status: Status::Queued }).collect(),
            created_at: Utc::now(),
            started_at: None,
            finished_at: None,
        };
        fs::create_dir_all(self.run_dir(run.id)).context("cannot create the directory of a run")?;
        self.save(&run)?;
        pages.insert(run.id, Page { run: run.clone(), cancelled: watch::Sender::new(false) });
        self.forget_oldest(&mut pages);
        self.queued.notify_one();
        Ok(run)
    }

    /// The oldest run that waits, as soon as there is one, and whether it is to be cancelled.
    pub(crate) async fn next(&self) -> (Run, watch::Receiver<bool>) {
        loop {
            let waiting = self.queued.notified();
            let first = self
                .pages()
                .values()
                .find(|page| page.run.status == Status::Queued)
                .map(|page| (page.run.clone(), page.cancelled.subscribe()));
            if let Some(first) = first {
                return first;
            }
            waiting.await;
        }
    }

    /// Ends a run that waits; tells the worker about one that is under way; leaves one that has ended. `None`: no such run.
    pub(crate) fn cancel(&self, id: u64) -> anyhow::Result<Option<Run>> {
        let mut pages = self.pages();
        let Some(page) = pages.get_mut(&id) else { return Ok(None) };
        if page.run.status == Status::Queued {
            page.run.end(Status::Cancelled, None);
            self.save(&page.run)?;
        }
        page.cancelled.send_replace(true);
        Ok(Some(page.run.clone()))
    }

    /// Changes a run's record. A run that was cancelled while it waited stays as it is and gives `false`.
    pub(crate) fn update(&self, id: u64, change: impl FnOnce(&mut Run)) -> anyhow::Result<bool> {
        let mut pages = self.pages();
        let Some(page) = pages.get_mut(&id).filter(|page| !page.run.status.ended()) else { return Ok(false) };
        change(&mut page.run);
        self.save(&page.run)?;
        Ok(true)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Run> {
        self.pages().get(&id).map(|page| page.run.clone())
    }

    /// All runs, oldest first.
    pub(crate) fn all(&self) -> Vec<Run> {
        self.pages().values().map(|page| page.run.clone()).collect()
    }

    pub(crate) fn run_dir(&self, id: u64) -> PathBuf {
        self.directory.join(id.to_string())
    }

    /// Where a step's output goes; steps count from 1.
    pub(crate) fn log_path(&self, id: u64, step: usize) -> PathBuf {
        self.run_dir(id).join(format!("step-{step}.log"))
    }

    /// Where a step's artifacts are kept.
    pub(crate) fn artifacts_dir(&self, id: u64, step: usize) -> PathBuf {
        self.run_dir(id).join(format!("step-{step}-artifacts"))
    }

    fn save(&self, run: &Run) -> anyhow::Result<()> {
        let path = self.run_dir(run.id).join("run.json");
        fs::write(&path, serde_json::to_vec_pretty(run)?).with_context(|| format!("cannot write {}", path.display()))
    }

    fn forget_oldest(&self, pages: &mut BTreeMap<u64, Page>) {
        while pages.len() > KEPT && pages.first_key_value().is_some_and(|(_, page)| page.run.status.ended()) {
            if let Some((id, _)) = pages.pop_first() {
                // What cannot be removed now only costs space.
                drop(fs::remove_dir_all(self.run_dir(id)));
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<u64, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Steps that had not ended end with the run; those that never started were cancelled.
    pub(crate) fn end(&mut self, status: Status, message: Option<String>) {
        for step in self.steps.iter_mut().filter(|step| !step.status.ended()) {
            step.status = if step.status == Status::Running { status } else { Status::Cancelled };
        }
        self.status = status;
        self.message = message;
        self.finished_at = Some(Utc::now());
    }
}
