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
    /// One of its values was refused: it will not get better.
    Failed(String),
    /// Anything else, also in the middle of the file: permissions, keys, the bucket. It may be named again.
    Unread(String),
}

impl Fate {
    fn of_failure(rows_parsed: u64, reason: String) -> Self {
        if rows_parsed > 0 && is_about_a_value(&reason) { Fate::Failed(reason) } else { Fate::Unread(reason) }
    }
}

/// How the warehouse begins to say that it refuses a value, and what it says after the value. Snowpipe tells no codes; beside
/// each phrase stands the one that the same words have in a statement. Each was found in Snowflake's documentation or in what
/// its users have shown of their loads, and none is a guess: a phrase that is missing here costs another attempt, a wrong one rows.
const REFUSALS: [(&str, &str); 14] = [
    // 100038, 100039 and 100046.
    ("numeric value '", " is not recognized"),
    ("numeric value '", " is out of range"),
    ("number out of representable range", ""),
    // 100037.
    ("boolean value '", " is not recognized"),
    // 100040, 100035 and 100096.
    ("date '", " is not recognized"),
    ("timestamp '", " is not recognized"),
    ("can't parse '", " with format '"),
    // 100072.
    ("null result in a non-nullable column", ""),
    // 100071.
    ("failed to cast variant value ", " to "),
    // 100078 and 100082; a COPY words the first otherwise, as 100074.
    ("string '", " is too long and would be truncated"),
    ("max lob size (", ") exceeded"),
    ("user character length limit (", ") exceeded"),
    ("invalid utf8 detected in string '", ""),
    // 100069.
    ("error parsing json", ""),
];

/// Whether a reason is one of those that no later attempt changes. What is not known to be one may pass, and waits.
fn is_about_a_value(reason: &str) -> bool {
    let reason = reason.trim_start().to_lowercase();
    REFUSALS.iter().any(|&(start, then)| reason.strip_prefix(start).is_some_and(|rest| rest.contains(then)))
}

pub(crate) fn fate_of_report(file: &FileReport) -> Fate {
    let failure = || {
        let reason = file.system_error.clone().or_else(|| file.first_error.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows_parsed: u64, first: Option<&str>, system: Option<&str>) -> FileReport {
        FileReport {
            path: "raw/a.parquet".into(),
            rows_inserted: 0,
            rows_parsed,
            errors_seen: 1,
            first_error: first.map(str::to_owned),
            system_error: system.map(str::to_owned),
            complete: true,
            status: FileStatus::Failed,
        }
    }

    fn line(rows_parsed: u64, reason: &str) -> Row {
        let cells = [("status", "Load failed"), ("file_name", "raw/a.parquet"), ("first_error_message", reason)];
        let mut row: Row = cells.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into();
        row.insert("row_parsed".to_owned(), Some(rows_parsed.to_string()));
        row
    }

    #[test]
    fn only_a_refused_value_ends_a_pipes_load_for_good() {
        let refused = [
            "Numeric value 'abc' is not recognized",
            "Numeric value '1e40' is out of range",
            "Number out of representable range: type FIXED[SB16](38,0){nullable}, value 1e40",
            "Boolean value 'maybe' is not recognized",
            "Date '2026-02-30' is not recognized",
            "Timestamp 'yesterday' is not recognized",
            "NULL result in a non-nullable column",
            "Failed to cast variant value \"x\" to FIXED",
            "String 'abc' is too long and would be truncated",
            "User character length limit (10) exceeded by string 'abc'",
            "Max LOB size (16777216) exceeded, actual size of parsed column is 17894470",
            "Can't parse '31/01/26' as date with format 'YYYY-MM-DD'",
            "Error parsing JSON: unknown keyword \"All\", pos 4",
            "Invalid UTF8 detected in string '0xFF'",
        ];
        let passing = [
            "Failure using stage area. Cause: [Access Denied (Status Code: 403; Error Code: AccessDenied)]",
            "Failed to access remote file: access denied. Please check your credentials",
            "Remote file 'raw/Numeric value x is not recognized' was not found",
            "The KMS key is disabled",
            "Connection reset while reading the file",
            "Date of the request is too old",
            "Time for the file's listing is over; the stage is not recognized",
            "Date header '2026' differs; the signature is not recognized",
            "String to sign is too long and would be truncated by the store",
            "Max LOB size cannot be told",
            "Snowpipe gave no reason",
            "",
        ];
        for (reasons, is_final) in [(&refused[..], true), (&passing[..], false)] {
            for &reason in reasons {
                let fates = [
                    fate_of_report(&report(1, Some(reason), None)),
                    fate_of_history(&line(1, reason)).expect("a line of the history").1,
                ];
                for fate in fates {
                    assert_eq!(matches!(fate, Fate::Failed(_)), is_final, "{reason}: {fate:?}");
                    assert_eq!(matches!(fate, Fate::Unread(_)), !is_final, "{reason}: {fate:?}");
                }
            }
        }
        let value = Some(refused[0]);
        assert!(matches!(fate_of_report(&report(0, value, None)), Fate::Unread(_)), "no row was read");
        assert!(matches!(fate_of_report(&report(1, value, Some("Access Denied"))), Fate::Unread(_)));
    }
}
