//! The one thread that owns the DuckDB file. A file belongs to one process; here work lines up for it, each statement goes
//! into a session of its own, and here the file is given away to another process (dbt) and taken back.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
};

use anyhow::{Context, Result, anyhow};
use duckdb::Connection;
use tokio::sync::{oneshot, watch};

use crate::{
    catalogue::{self, Tables},
    lock,
};

/// The file, or what replaces it while somebody else has it.
pub(crate) enum File {
    Open(Connection),
    Away {
        /// An empty database in memory, to judge rows by.
        scratch: Connection,
        /// The tables as they were when the file was given away.
        tables: Tables,
    },
}

enum Message {
    /// Runs now, also while another program has the file.
    Now(Box<dyn FnOnce(&mut File) + Send>),
    /// Waits until the file is here.
    WhenOpen(Waiting),
}

/// What came while the file may be away.
enum Waiting {
    /// Runs on this thread.
    Here(Box<dyn FnOnce(&Connection) + Send>),
    /// Runs on a thread of its own, beside others.
    Session(Box<dyn FnOnce(duckdb::Result<Connection>) + Send>),
}

/// How many sessions there are.
#[derive(Default)]
struct Sessions {
    count: Mutex<usize>,
    ended: Condvar,
}

impl Sessions {
    fn wait_for_the_end(&self) {
        let count = lock(&self.count);
        // A panic in a session leaves the number as right as before.
        drop(self.ended.wait_while(count, |count| *count > 0).unwrap_or_else(PoisonError::into_inner));
    }

    fn ended(&self) {
        *lock(&self.count) -= 1;
        self.ended.notify_all();
    }
}

/// A handle on the thread. The thread ends, and closes the file, when the last handle is gone.
pub(crate) struct Actor {
    inbox: mpsc::Sender<Message>,
    path: PathBuf,
    away: watch::Sender<bool>,
    sessions: Arc<Sessions>,
}

impl Actor {
    pub(crate) fn start(path: &Path, conn: Connection) -> Result<Self> {
        let (inbox, messages) = mpsc::channel();
        let sessions = Arc::new(Sessions::default());
        let started = Arc::clone(&sessions);
        thread::Builder::new()
            .name("warehouse".to_owned())
            .spawn(move || work(File::Open(conn), messages, &started))
            .context("cannot start the warehouse's thread")?;
        Ok(Actor { inbox, path: path.to_owned(), away: watch::Sender::new(false), sessions })
    }

    /// Runs `job` on the thread as soon as the file is open. The answer comes through the receiver, which may be dropped.
    pub(crate) fn when_open<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        // A send fails only when the thread has ended; the receiver then says so.
        let job = Waiting::Here(Box::new(move |conn| {
            let _ = answer.send(job(conn));
        }));
        let _ = self.inbox.send(Message::WhenOpen(job));
        receiver
    }

    /// Runs `job` in a session of its own as soon as the file is open, beside whatever else runs.
    pub(crate) fn session<T: Send + 'static>(
        &self,
        job: impl FnOnce(duckdb::Result<Connection>) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        let job = Waiting::Session(Box::new(move |conn| {
            let _ = answer.send(job(conn));
        }));
        let _ = self.inbox.send(Message::WhenOpen(job));
        receiver
    }

    /// Runs `job` on the thread even while the file is away.
    pub(crate) async fn now<T: Send + 'static>(&self, job: impl FnOnce(&mut File) -> T + Send + 'static) -> Result<T> {
        let (answer, receiver) = oneshot::channel();
        let _ = self.inbox.send(Message::Now(Box::new(move |file| {
            let _ = answer.send(job(file));
        })));
        receiver.await.map_err(|_| anyhow!("the warehouse's thread has ended"))
    }

    /// Waits until the file is being given away.
    pub(crate) async fn gone(&self) {
        // The sender is in `self`, so the wait ends only with the value.
        let _ = self.away.subscribe().wait_for(|away| *away).await;
    }

    /// Waits for the sessions, runs `before`, then closes the file. Statements that come later wait.
    pub(crate) async fn release(&self, before: impl FnOnce(&File) + Send + 'static) -> Result<()> {
        self.away.send_replace(true);
        let sessions = Arc::clone(&self.sessions);
        let released = self.now(move |file| {
            sessions.wait_for_the_end();
            before(file);
            let File::Open(conn) = file else { return Ok(()) };
            let tables = catalogue::tables(conn)?;
            conn.execute_batch("CHECKPOINT")?;
            *file = File::Away { scratch: Connection::open_in_memory()?, tables };
            Ok::<(), duckdb::Error>(())
        });
        let released = released.await?.context("cannot close the warehouse's file");
        if released.is_err() {
            self.away.send_replace(false);
        }
        released
    }

    /// Opens the file again, runs `after`, then what has been waiting.
    pub(crate) async fn take_back(&self, after: impl FnOnce(&Connection) -> Result<()> + Send + 'static) -> Result<()> {
        let path = self.path.clone();
        let taken = self.now(move |file| {
            if matches!(file, File::Away { .. }) {
                let conn = catalogue::open(&path)
                    .with_context(|| format!("cannot open the warehouse's file {} again", path.display()))?;
                after(&conn)?;
                *file = File::Open(conn);
            }
            anyhow::Ok(())
        });
        taken.await??;
        self.away.send_replace(false);
        Ok(())
    }
}

fn work(mut file: File, messages: mpsc::Receiver<Message>, sessions: &Arc<Sessions>) {
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    for message in messages {
        match message {
            Message::Now(job) => job(&mut file),
            Message::WhenOpen(job) => waiting.push_back(job),
        }
        while let File::Open(conn) = &file
            && let Some(job) = waiting.pop_front()
        {
            match job {
                Waiting::Here(job) => job(conn),
                Waiting::Session(job) => start(job, conn, sessions),
            }
        }
    }
}

fn start(job: Box<dyn FnOnce(duckdb::Result<Connection>) + Send>, conn: &Connection, sessions: &Arc<Sessions>) {
    let conn = conn.try_clone().and_then(catalogue::prepared);
    *lock(&sessions.count) += 1;
    let running = Arc::clone(sessions);
    let spawned = thread::Builder::new().name("session".to_owned()).spawn(move || {
        job(conn);
        running.ended();
    });
    if spawned.is_err() {
        // The job is gone, and the caller that waits for its answer gets an error.
        sessions.ended();
    }
}
