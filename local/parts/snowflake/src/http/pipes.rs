//! Snowpipe's REST API, version 1.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, may_use};
use crate::Emulator;

/// The most files that one request may name, and the longest path in bytes.
const MOST_FILES: usize = 5_000;
const LONGEST_PATH: usize = 1_024;

#[derive(Deserialize)]
pub(super) struct Files {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    size: u64,
}

/// Answered when the files are queued; loaded afterwards.
pub(super) async fn insert_files(
    State(emulator): State<Emulator>,
    Path(pipe): Path<String>,
    headers: HeaderMap,
    Json(Files { files }): Json<Files>,
) -> Result<Json<Value>, Problem> {
    if !may_use(&emulator, &headers, "OPERATE", &pipe)? {
        return Err(unknown(&pipe));
    }
    if files.len() > MOST_FILES || files.iter().any(|file| file.path.len() > LONGEST_PATH) {
        return Err(Problem::new(400, "390142", "too many files, or a path that is too long"));
    }
    let files = files.into_iter().map(|file| (file.path, file.size)).collect();
    let queued = emulator.0.pipes.queue(&pipe, files).ok_or_else(|| unknown(&pipe))?;
    for file in queued {
        let (shared, pipe) = (Arc::clone(&emulator.0), pipe.clone());
        drop(emulator.0.actor.when_open(move |conn| shared.pipes.load(conn, &shared, &pipe, &file)));
    }
    Ok(Json(json!({"requestId": uuid::Uuid::new_v4(), "status": "success"})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Since {
    begin_mark: Option<String>,
}

pub(super) async fn insert_report(
    State(emulator): State<Emulator>,
    Path(pipe): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    if !may_use(&emulator, &headers, "MONITOR", &pipe)? {
        return Err(unknown(&pipe));
    }
    let after = since.begin_mark.as_deref().unwrap_or("0").parse();
    let after = after.map_err(|_| Problem::new(400, "390142", "beginMark is not a mark of this pipe"))?;
    let (files, mark) = emulator.0.pipes.report(&pipe, after).ok_or_else(|| unknown(&pipe))?;
    Ok(Json(json!({"pipe": pipe, "completeResult": true, "nextBeginMark": mark.to_string(), "files": files})))
}

/// There is no such pipe, or the role may not see it: the answer does not tell.
fn unknown(pipe: &str) -> Problem {
    Problem::new(404, "390404", format!("the specified object does not exist or not authorized: pipe {pipe}"))
}
