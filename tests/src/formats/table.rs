//! One CSV file: a header that names the columns in any order, and rows that are read one by one.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime};

use super::BadLine;
use super::text::{self, Lines};

/// The years that every database and the warehouse keep.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

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

    /// A whole number. Tools that keep numbers as floats write 7.0 for 7.
    pub(super) fn number<T: FromStr>(&self, column: &str) -> Result<T, String> {
        let text = self.required(column)?;
        let whole = match text.split_once('.') {
            Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') => whole,
            _ => text,
        };
        whole.parse().map_err(|_| format!("{column} is not a whole number"))
    }

    /// Microseconds since 1970 UTC; a time without an offset is UTC, and a date is its midnight.
    pub(super) fn moment(&self, column: &str) -> Result<i64, String> {
        let text = self.required(column)?;
        let with_offset = sluice_core::time::instant(text).map(|time| time.naive_utc());
        let plain = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
        let naive = plain.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let midnight = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
        let time = with_offset.or(naive).or_else(midnight);
        let time =
            time.ok_or_else(|| format!("{column} is not a time such as 2026-03-04 or 2026-03-04T12:00:00+01:00"))?;
        if !YEARS.contains(&time.year()) {
            return Err(format!("{column} is not in the years 1 to 9999"));
        }
        Ok(time.and_utc().timestamp_micros())
    }
}

/// Reads every row with `parse`; what goes wrong, in a row or with the file, goes to `problems`.
pub(super) fn read<T>(
    folder: &Path,
    file: &'static str,
    required: &[&str],
    optional: &[&str],
    problems: &mut Vec<BadLine>,
    mut parse: impl FnMut(&Row<'_>) -> Result<T, String>,
) -> Vec<T> {
    let Some(text) = text::read(folder, file, problems) else { return Vec::new() };
    let mut bad = |line: Option<u64>, problem: String| problems.push(BadLine { file, line, problem });
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let names: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(|name| name.trim().to_lowercase()).collect(),
        Err(error) => {
            bad(Some(1), format!("the header cannot be read: {error}"));
            return Vec::new();
        }
    };
    if let [only] = names.as_slice()
        && only.contains([';', '\t'])
    {
        bad(Some(1), "the header's names are not separated by commas".to_owned());
        return Vec::new();
    }
    let times = |column: &str| names.iter().filter(|name| *name == column).count();
    let lacking = required.iter().filter(|column| times(column) == 0);
    let mut faults: Vec<String> = lacking.map(|column| format!("the header lacks the column {column}")).collect();
    let twice = required.iter().chain(optional).filter(|column| times(column) > 1);
    faults.extend(twice.map(|column| format!("the header has the column {column} more than once")));
    if !faults.is_empty() {
        faults.into_iter().for_each(|fault| bad(Some(1), fault));
        return Vec::new();
    }
    let columns: HashMap<String, usize> = names.into_iter().zip(0..).collect();
    // The reader's own line numbers are those of the end of the line before, where lines end with two characters.
    let lines = Lines::of(&text);
    let line = |position: Option<&csv::Position>| position.map(|position| lines.number(position.byte()));
    let mut rows = Vec::new();
    let mut last = None;
    for record in reader.records() {
        last = match &record {
            Ok(record) => record.position().cloned(),
            Err(error) => error.position().cloned(),
        };
        match record {
            Ok(record) if record.as_slice().contains('\0') => {
                bad(line(record.position()), "holds a NUL character, which no database keeps".to_owned());
            }
            Ok(record) if record.iter().any(|text| text.len() > text::LONGEST) => {
                bad(line(record.position()), "holds a text of more than 16 MiB, which no warehouse keeps".to_owned());
            }
            Ok(record) => match parse(&Row { columns: &columns, record: &record }) {
                Ok(row) => rows.push(row),
                Err(problem) => bad(line(record.position()), problem),
            },
            Err(error) => bad(line(error.position()), unreadable(&error)),
        }
    }
    if last.as_ref().is_some_and(|last| is_unclosed(&text, last)) {
        let line = line(last.as_ref());
        let problem = "opens a quote that is never closed, so the rest of the file is one field".to_owned();
        problems.retain(|other| (other.file, other.line) != (file, line));
        problems.push(BadLine { file, line, problem });
    }
    rows
}

/// Whether the last row goes over several lines and holds an odd number of quotes: each that is closed has two.
fn is_unclosed(text: &[u8], last: &csv::Position) -> bool {
    let start = usize::try_from(last.byte()).unwrap_or(usize::MAX).min(text.len());
    let row = text[start..].trim_ascii();
    row.iter().filter(|byte| **byte == b'"').count() % 2 == 1 && row.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
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
