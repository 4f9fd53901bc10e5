//! Snowpipe: files are named to a pipe, loaded one by one in the background, each once, with the rights of the pipe's owner.
//!
//! The queue is in memory: files that were queued and not loaded when the process ends are not in the history, so the
//! loader submits them again.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use duckdb::{Connection, params};
use serde::Serialize;

use crate::{
    Shared, account::Account, catalogue, copy::CopyInto, failure::Failure, lock, names::Name, statements::Tables,
};

/// How far back a report goes.
const REMEMBERED: TimeDelta = TimeDelta::minutes(10);

/// All pipes.
#[derive(Default)]
pub(crate) struct Pipes(Mutex<State>);

#[derive(Default)]
struct State {
    pipes: HashMap<String, Pipe>,
    /// Counts events; a report's mark is the last one it has seen.
    events: u64,
}

struct Pipe {
    copy: CopyInto,
    /// Paths that are queued or loaded, and are not taken again.
    taken: HashSet<String>,
    events: Vec<(u64, FileEvent)>,
}

/// How a file stands, in the words of `insertReport`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileEvent {
    path: String,
    file_size: u64,
    time_received: DateTime<Utc>,
    last_insert_time: DateTime<Utc>,
    rows_inserted: u64,
    rows_parsed: u64,
    errors_seen: u64,
    error_limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    complete: bool,
    status: &'static str,
}

/// A file that a pipe has taken.
pub(crate) struct Queued {
    pub(crate) path: String,
    pub(crate) size: u64,
    received: DateTime<Utc>,
}

impl Pipes {
    /// The pipes of the file and what they have loaded.
    pub(crate) fn read(conn: &Connection, account: &Account) -> Result<Self> {
        let pipes = Pipes::default();
        for pipe in account.of("PIPE") {
            let name = pipe.path.join(".");
            let copy = CopyInto::of_pipe(pipe.text("DEFINITION").unwrap_or_default())
                .map_err(|failure| anyhow::anyhow!(failure.message))?;
            let sql = "SELECT FILE_NAME FROM \"_STANDIN\".COPY_HISTORY WHERE PIPE = ? AND STATUS = 'Loaded'";
            let taken = conn.prepare(sql)?.query_map(params![name], |row| row.get(0))?.collect::<Result<_, _>>()?;
            lock(&pipes.0).pipes.insert(name, Pipe { copy, taken, events: Vec::new() });
        }
        Ok(pipes)
    }

    pub(crate) fn add(&self, name: &Name, copy: CopyInto) {
        let pipe = Pipe { copy, taken: HashSet::new(), events: Vec::new() };
        lock(&self.0).pipes.insert(name.to_string(), pipe);
    }

    pub(crate) fn remove(&self, name: &Name) {
        lock(&self.0).pipes.remove(&name.to_string());
    }

    /// Takes the files that the pipe has not seen; `None` if there is no such pipe.
    pub(crate) fn queue(&self, pipe: &str, files: Vec<(String, u64)>) -> Option<Vec<Queued>> {
        let mut state = lock(&self.0);
        let pipe = state.pipes.get_mut(pipe)?;
        let new = files.into_iter().filter(|(path, _)| pipe.taken.insert(path.clone()));
        Some(new.map(|(path, size)| Queued { path, size, received: Utc::now() }).collect())
    }

    /// Loads one file: its rows and its line of history in one transaction. Runs on the warehouse's thread.
    pub(crate) fn load(&self, conn: &Connection, shared: &Shared, pipe: &str, file: &Queued) {
        let Some(copy) = lock(&self.0).pipes.get(pipe).map(|pipe| pipe.copy.clone()) else { return };
        let history = |status: &str, rows: u64, parsed: u64, error: Option<&str>| {
            conn.execute(
                "INSERT INTO \"_STANDIN\".COPY_HISTORY BY NAME SELECT ? AS PIPE, ? AS TABLE_PATH, ? AS FILE_NAME, \
                 ? AS STATUS, ? AS ROW_COUNT, ? AS FIRST_ERROR_MESSAGE, CAST(? AS TIMESTAMP) AS PIPE_RECEIVED_TIME, \
                 now() AT TIME ZONE 'UTC' AS LAST_LOAD_TIME, ? AS ROW_PARSED",
                params![
                    pipe,
                    copy.into.to_string(),
                    file.path,
                    status,
                    rows,
                    error,
                    file.received.naive_utc().to_string(),
                    parsed
                ],
            )
        };
        let path: Vec<String> = pipe.split('.').map(str::to_owned).collect();
        let outcome = catalogue::transaction(conn, || {
            lock(&shared.account).require_pipe(&path, &copy)?;
            let rows = copy.load(conn, shared, &Tables::default(), std::slice::from_ref(&file.path))?;
            history("Loaded", rows, rows, None)?;
            Ok::<u64, Failure>(rows)
        });
        let error = outcome.as_ref().err().map(|failure| failure.message.clone());
        // A file that was refused for a value was read; one that could not be had was not.
        let parsed = match &outcome {
            Ok(rows) => *rows,
            Err(failure) => u64::from(failure.code.starts_with("100")),
        };
        if let Some(error) = &error {
            // The report below still tells what happened if this line cannot be written.
            let _ = history("Load failed", 0, parsed, Some(error));
        }
        let rows = outcome.unwrap_or(0);
        let event = FileEvent {
            path: file.path.clone(),
            file_size: file.size,
            time_received: file.received,
            last_insert_time: Utc::now(),
            rows_inserted: rows,
            rows_parsed: parsed,
            errors_seen: u64::from(error.is_some()),
            error_limit: 1,
            complete: true,
            status: if error.is_some() { "LOAD_FAILED" } else { "LOADED" },
            first_error: error,
        };
        let mut state = lock(&self.0);
        state.events += 1;
        let mark = state.events;
        if let Some(pipe) = state.pipes.get_mut(pipe) {
            if event.first_error.is_some() {
                pipe.taken.remove(&event.path);
            }
            pipe.events.push((mark, event));
        }
    }

    /// The pipe's events after the mark and the mark to go on from; `None` if there is no such pipe.
    pub(crate) fn report(&self, pipe: &str, after: u64) -> Option<(Vec<FileEvent>, u64)> {
        let mut state = lock(&self.0);
        let mark = state.events;
        let oldest = Utc::now() - REMEMBERED;
        let pipe = state.pipes.get_mut(pipe)?;
        pipe.events.retain(|(_, event)| event.last_insert_time >= oldest);
        let new = pipe.events.iter().filter(|(event, _)| *event > after);
        Some((new.map(|(_, event)| event.clone()).collect(), mark))
    }
}
