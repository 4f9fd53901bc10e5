//! Snowpipe: a pipe is told which files there are, and asked later what became of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluice_core::{DataFile, Error, Result, TableId, port::Secrets};
use sluice_http::{Request, Response};
use uuid::Uuid;

use crate::{
    client::signed,
    connection::{Account, segment},
    error,
    sql::ddl,
};

/// The most files that one request may name.
const FILES_PER_REQUEST: usize = 5_000;

/// The longest path, in bytes, that Snowpipe takes.
const PATH_BYTES: usize = 1_024;

/// The pipes of the raw tables.
pub struct Snowpipe<Sec> {
    account: Arc<Account<Sec>>,
}

/// What a pipe has done lately: it remembers the last ten minutes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// False when events were dropped between the mark that was given and the first of `files`.
    #[serde(default)]
    pub complete_result: bool,
    /// Where the next report begins. Events can repeat all the same.
    #[serde(default)]
    pub next_begin_mark: Option<String>,
    #[serde(default)]
    pub files: Vec<FileReport>,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileReport {
    /// Below the pipe's stage, so the key in the lake.
    pub path: String,
    #[serde(default)]
    pub rows_inserted: u64,
    #[serde(default)]
    pub rows_parsed: u64,
    #[serde(default)]
    pub errors_seen: u64,
    /// May quote a value: for the ledger, never for a log.
    #[serde(default)]
    pub first_error: Option<String>,
    /// What kept the file from being read at all.
    #[serde(default)]
    pub system_error: Option<String>,
    /// Nothing more will happen to this file.
    #[serde(default)]
    pub complete: bool,
    #[serde(default)]
    pub status: FileStatus,
}

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum FileStatus {
    #[serde(rename = "LOADED")]
    Loaded,
    #[serde(rename = "LOAD_FAILED")]
    Failed,
    #[serde(rename = "PARTIALLY_LOADED")]
    Partial,
    /// Under way, or a word that we do not know; `complete` tells the two apart.
    #[default]
    #[serde(other, rename = "LOAD_IN_PROGRESS")]
    InProgress,
}

impl<Sec: Secrets> Snowpipe<Sec> {
    pub fn new(account: Arc<Account<Sec>>) -> Self {
        Snowpipe { account }
    }

    /// Queues files for the table's pipe. Queued is not loaded. A pipe loads a file once, however often it is named.
    pub async fn insert_files(&self, table: &TableId, files: &[DataFile], request: Uuid) -> Result<()> {
        #[derive(Serialize)]
        struct Files<'a> {
            files: Vec<File<'a>>,
        }
        #[derive(Serialize)]
        struct File<'a> {
            path: &'a str,
            size: u64,
        }
        if let Some(long) = files.iter().find(|file| file.path.len() > PATH_BYTES) {
            return Err(Error::unsupported("a file's path is longer than Snowpipe takes").with("path", &long.path));
        }
        for chunk in files.chunks(FILES_PER_REQUEST) {
            let body = Files { files: chunk.iter().map(|file| File { path: &file.path, size: file.bytes }).collect() };
            let url = self.url(table, "insertFiles");
            let build = |token: &_, _| signed(Request::post(&url), token).query("requestId", request).json(&body);
            let answer = self.send(build, table).await?;
            queued(&answer).map_err(|error| error.with("pipe", ddl::pipe_name(table)))?;
        }
        Ok(())
    }

    /// What the pipe has done, from a mark of an earlier report on or from as far back as it remembers.
    pub async fn insert_report(&self, table: &TableId, begin_mark: Option<&str>) -> Result<Report> {
        let url = self.url(table, "insertReport");
        let build = |token: &_, _| {
            let request = signed(Request::get(&url), token).query("requestId", Uuid::new_v4());
            Ok(match begin_mark {
                Some(mark) => request.query("beginMark", mark),
                None => request,
            })
        };
        self.send(build, table).await?.json()
    }

    async fn send(
        &self,
        build: impl Fn(&sluice_core::Secret, bool) -> Result<Request>,
        table: &TableId,
    ) -> Result<Response> {
        let accepted =
            |response: &Response| if response.status == 200 { Ok(()) } else { Err(error::of_response(response)) };
        self.account
            .send(&self.account.keys, &self.account.pace.retry, build, accepted)
            .await
            .map_err(|error| error.with("pipe", ddl::pipe_name(table)))
    }

    fn url(&self, table: &TableId, operation: &str) -> String {
        format!("{}/v1/data/pipes/{}/{operation}", self.account.base, segment(&ddl::pipe_name(table)))
    }
}

fn queued(answer: &Response) -> Result<()> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        status: Option<String>,
    }
    match answer.json::<Answer>()?.status {
        Some(status) if !status.eq_ignore_ascii_case("success") => {
            Err(Error::unavailable("the pipe did not queue the files").with("answer", status))
        }
        _ => Ok(()),
    }
}
