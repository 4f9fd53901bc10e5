//! One CSV file: a header that names the columns in any order, and rows that are read one by one.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use super::BadLine;

/// One row, by column name.
pub(super) struct Row<'a> {
    columns: &'a HashMap<String, usize>,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    /// The text of a column as it stands; `None` when it is empty or the file lacks the column.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        self.record.get(*self.columns.get(column)?).filter(|text| !text.is_empty())
    }

    pub(super) fn required(&self, column: &str) -> Result<&str, String> {
        self.text(column).map(str::trim).ok_or_else(|| format!("{column} is empty"))
    }

    pub(super) fn number<T: FromStr>(&self, column: &str) -> Result<T, String> {
        self.required(column)?.parse().map_err(|_| format!("{column} is not a whole number"))
    }

    /// Microseconds since 1970 UTC; a time without an offset is UTC, and a date is its midnight.
    pub(super) fn moment(&self, column: &str) -> Result<i64, String> {
        let text = self.required(column)?;
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(time.timestamp_micros());
        }
        let plain = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
        let naive = plain.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let midnight = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
        let time = naive.or_else(midnight).ok_or_else(|| format!("{column} is not a time"))?;
        Ok(time.and_utc().timestamp_micros())
    }
}

/// Reads every row with `parse`; what goes wrong, in a row or with the file, goes to `problems`.
pub(super) fn read<T>(
    folder: &Path,
    file: &'static str,
    required: &[&str],
    problems: &mut Vec<BadLine>,
    mut parse: impl FnMut(&Row<'_>) -> Result<T, String>,
) -> Vec<T> {
    let mut bad = |line: Option<u64>, problem: String| problems.push(BadLine { file, line, problem });
    let text = match std::fs::read(folder.join(file)) {
        Ok(text) => text,
        Err(error) => {
            bad(None, format!("cannot be read: {error}"));
            return Vec::new();
        }
    };
    // Spreadsheets put a byte order mark in front.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    let mut reader = csv::Reader::from_reader(text);
    let columns: HashMap<String, usize> = match reader.headers() {
        Ok(header) => header.iter().enumerate().map(|(i, name)| (name.trim().to_lowercase(), i)).collect(),
        Err(error) => {
            bad(Some(1), format!("the header cannot be read: {error}"));
            return Vec::new();
        }
    };
    for column in required.iter().filter(|column| !columns.contains_key(**column)) {
        bad(Some(1), format!("the header lacks the column {column}"));
    }
    if !required.iter().all(|column| columns.contains_key(*column)) {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => match parse(&Row { columns: &columns, record: &record }) {
                Ok(row) => rows.push(row),
                Err(problem) => bad(record.position().map(csv::Position::line), problem),
            },
            Err(error) => bad(error.position().map(csv::Position::line), unreadable(&error)),
        }
    }
    rows
}

fn unreadable(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} fields, the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}
