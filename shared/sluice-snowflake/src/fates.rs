//! What became of the files that Snowpipe was told of, and so of their commit.

use std::collections::BTreeMap;

use sluice_core::{
    Commit, Result,
    port::{Row, required},
};
use sluice_pipeline::load::LoadProgress;

use crate::{
    answer::{optional, text, value},
    pipe::{FileReport, FileStatus},
};

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Pending,
    Loaded(u64),
    /// Its rows were read, and some of them refused: it will not get better.
    Failed(String),
    /// It was not read at all: permissions, keys, the bucket. It may be named again.
    Unread(String),
}

impl Fate {
    fn of_failure(rows_parsed: u64, reason: String) -> Self {
        if rows_parsed > 0 { Fate::Failed(reason) } else { Fate::Unread(reason) }
    }
}

pub(crate) fn fate_of_report(file: &FileReport) -> Fate {
    let failure = || {
        let reason = file.first_error.clone().or_else(|| file.system_error.clone());
        Fate::of_failure(file.rows_parsed, reason.unwrap_or_else(|| "Snowpipe gave no reason".into()))
    };
    match file.status {
        FileStatus::Loaded => Fate::Loaded(file.rows_inserted),
        FileStatus::Failed | FileStatus::Partial => failure(),
        FileStatus::InProgress if file.complete => failure(),
        FileStatus::InProgress => Fate::Pending,
    }
}

pub(crate) fn fate_of_history(row: &Row) -> Result<(&str, Fate)> {
    let fate = match required(row, "status")?.to_ascii_lowercase().as_str() {
        "loaded" => Fate::Loaded(value(row, "row_count")?),
        "load in progress" => Fate::Pending,
        _ => {
            let reason = text(row, "first_error_message").unwrap_or_else(|| "no reason kept".into());
            Fate::of_failure(optional(row, "row_parsed")?.unwrap_or(0), reason)
        }
    };
    Ok((required(row, "file_name")?, fate))
}

/// The fates of the commit's own files. A file may be told about twice: a later word, or a success, counts.
fn fates<'a>(commit: &Commit, told: impl IntoIterator<Item = (&'a str, Fate)>) -> BTreeMap<String, Fate> {
    let mut fates = BTreeMap::new();
    for (told_path, fate) in told {
        let Some(file) = commit.files.iter().find(|file| told_path.ends_with(&file.path)) else { continue };
        if !matches!(fates.get(&file.path), Some(Fate::Loaded(_))) {
            fates.insert(file.path.clone(), fate);
        }
    }
    fates
}

/// The commit is where its files are: unknown as long as one is, pending as long as one is, unread if one is.
pub(crate) fn progress<'a>(commit: &Commit, told: impl IntoIterator<Item = (&'a str, Fate)>) -> LoadProgress {
    let fates = fates(commit, told);
    let mut rows = 0;
    let mut pending = false;
    let mut unread = None;
    for file in &commit.files {
        match fates.get(&file.path) {
            None => return LoadProgress::Unknown,
            Some(Fate::Pending) => pending = true,
            Some(Fate::Loaded(loaded)) => rows += loaded,
            Some(Fate::Failed(reason)) => return LoadProgress::Failed { reason: format!("{}: {reason}", file.path) },
            Some(Fate::Unread(reason)) => unread = Some(format!("{}: {reason}", file.path)),
        }
    }
    match unread {
        Some(reason) => LoadProgress::Unread { reason },
        None if pending => LoadProgress::Pending,
        None => LoadProgress::Loaded { rows },
    }
}
