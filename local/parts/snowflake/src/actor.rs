//! The one thread that owns the DuckDB file. A file has one writer; here statements line up for it, and here it is
//! given away to another process (dbt) and taken back.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use anyhow::{Context, Result, anyhow};
use duckdb::{Connection, InterruptHandle};
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
    /// Runs now, whoever has the file.
    Now(Box<dyn FnOnce(&mut File) + Send>),
    /// Waits until the file is here.
    WhenOpen(Box<dyn FnOnce(&Connection) + Send>),
}

/// A handle on the thread. The thread ends, and closes the file, when the last handle is gone.
pub(crate) struct Actor {
    inbox: mpsc::Sender<Message>,
    path: PathBuf,
    away: watch::Sender<bool>,
    /// Of the connection that is open or was open last.
    interrupt: Arc<Mutex<Arc<InterruptHandle>>>,
}

impl Actor {
    pub(crate) fn start(path: &Path, conn: Connection) -> Result<Self> {
        let (inbox, messages) = mpsc::channel();
        let interrupt = Arc::new(Mutex::new(conn.interrupt_handle()));
        thread::Builder::new()
            .name("warehouse".to_owned())
            .spawn(move || work(File::Open(conn), messages))
            .context("cannot start the warehouse's thread")?;
        Ok(Actor { inbox, path: path.to_owned(), away: watch::Sender::new(false), interrupt })
    }

    /// Runs `job` on the thread as soon as the file is open. The answer comes through the receiver, which may be dropped.
    pub(crate) fn when_open<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        // A send fails only when the thread has ended; the receiver then says so.
        let _ = self.inbox.send(Message::WhenOpen(Box::new(move |conn| {
            let _ = answer.send(job(conn));
        })));
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

    /// Ends the statement that is running.
    pub(crate) fn interrupt(&self) {
        lock(&self.interrupt).interrupt();
    }

    /// Runs `before`, then closes the file. Statements that come later wait.
    pub(crate) async fn release(&self, before: impl FnOnce(&File) + Send + 'static) -> Result<()> {
        self.away.send_replace(true);
        let released = self.now(move |file| {
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
        let interrupt = Arc::clone(&self.interrupt);
        let taken = self.now(move |file| {
            if matches!(file, File::Away { .. }) {
                let conn = catalogue::open(&path)
                    .with_context(|| format!("cannot open the warehouse's file {} again", path.display()))?;
                after(&conn)?;
                *lock(&interrupt) = conn.interrupt_handle();
                *file = File::Open(conn);
            }
            anyhow::Ok(())
        });
        taken.await??;
        self.away.send_replace(false);
        Ok(())
    }
}

/// A statement that came while the file was away.
type Waiting = Box<dyn FnOnce(&Connection) + Send>;

fn work(mut file: File, messages: mpsc::Receiver<Message>) {
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    for message in messages {
        match message {
            Message::Now(job) => job(&mut file),
            Message::WhenOpen(job) => waiting.push_back(job),
        }
        while let File::Open(conn) = &file
            && let Some(job) = waiting.pop_front()
        {
            job(conn);
        }
    }
}
