//! What the block says of rows and values: how they are compared with the commit, and what the answer means.

use sluice_core::{Commit, Error, Result, commit, port::Row};

use super::RESULT_COLUMN;
use crate::sql::quote;

/// How a block's answer begins when it has loaded nothing, because a column's values are not all there; the column's number
/// follows, from 1.
const VALUES_DIFFER: &str = "values differ in column ";

/// How the answer begins of a block that has merged rows of one key; the number of rows that the table did not get follows.
pub(super) const MERGED_AWAY: &str = "loaded, merged away: ";

/// What follows then where a merge without a version has not taken rows; their number follows.
pub(super) const NOT_TAKEN: &str = ", not taken: ";

/// Rows of a commit that is loaded, and that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// They gave way to others of their key within the commit.
    pub merged_away: u64,
    /// The table has other values under their key, and nothing tells which are newer.
    pub not_taken: u64,
}

/// What the block says of rows that it has left out; `None` when it says nothing of them. An error when it has loaded
/// nothing, because values are missing or too many.
pub fn left_out(commit: &Commit, answer: &[Row]) -> Result<Option<LeftOut>> {
    let said = answer.first().and_then(|row| row.get(RESULT_COLUMN)).and_then(Option::as_deref).unwrap_or_default();
    let names = commit.schema.columns().iter().map(|column| column.name.as_str());
    refuse_differing(said, names).map_err(|error| error.with("table", &commit.table))?;
    let Some(numbers) = said.strip_prefix(MERGED_AWAY) else { return Ok(None) };
    let (merged_away, not_taken) = numbers.split_once(NOT_TAKEN).unwrap_or((numbers, "0"));
    let rows = |number: &str| {
        let none = |_| Error::internal("the block's answer holds no number of rows").with("answer", said);
        number.parse::<u64>().map_err(none)
    };
    Ok(Some(LeftOut { merged_away: rows(merged_away)?, not_taken: rows(not_taken)? }))
}

/// Fails when the answer says that a column's values differ, and names the column.
pub fn refuse_differing<'a>(said: &str, mut names: impl Iterator<Item = &'a str>) -> Result<()> {
    let Some(number) = said.strip_prefix(VALUES_DIFFER) else { return Ok(()) };
    let name = number.parse::<usize>().ok().and_then(|number| names.nth(number.checked_sub(1)?)).unwrap_or(number);
    Err(values_differ(name))
}

fn values_differ(column: &str) -> Error {
    let message = "the warehouse read another number of values from the files than were written; nothing was merged";
    let hint = "compare the raw table's column and the file format SLUICE_PARQUET with what `sluice warehouse plan` asks \
                for; when they are right, `sluice retry`";
    Error::invalid_data(message).with("column", column).with_hint(hint).as_final()
}

/// Asks how the values of a commit that Snowpipe has loaded compare: DIFFERING is the number of a column that has more or
/// fewer than the commit says, 0 if none has. `None` for a commit that does not count.
pub fn piped_values(commit: &Commit) -> Option<String> {
    let differing = first_differing(&column_names(commit), &commit::values(&commit.files)?);
    Some(format!(
        "SELECT {differing} AS DIFFERING FROM {} WHERE _SLUICE_RUN_ID = {} AND _SLUICE_SEQUENCE = {}",
        quote::table(&commit.table),
        quote::literal(&commit.run_id.0),
        commit.sequence
    ))
}

/// Fails when the answer to [`piped_values`] names a column.
pub fn refuse_piped(commit: &Commit, answer: &[Row]) -> Result<()> {
    let number = answer.first().map(|row| sluice_core::port::required(row, "differing")).transpose()?.unwrap_or("0");
    let names = commit.schema.columns().iter().map(|column| column.name.as_str());
    match number {
        "0" => Ok(()),
        number => {
            refuse_differing(&format!("{VALUES_DIFFER}{number}"), names).map_err(|e| e.with("table", &commit.table))
        }
    }
}

pub(super) fn column_names(commit: &Commit) -> Vec<String> {
    commit.schema.columns().iter().map(|column| quote::column(&column.name)).collect()
}

/// Ends the block when a column of a table has more or fewer values than were written. A column that COPY has met in no file
/// is NULL without a word.
pub(crate) fn compare_values(of: &str, names: &[String], values: &[u64]) -> String {
    let differing = first_differing(names, values);
    format!(
        "  LET differing INTEGER := (SELECT {differing} FROM {of});
  IF (differing > 0) THEN
    ROLLBACK;
    RETURN '{VALUES_DIFFER}' || differing;
  END IF;
"
    )
}

/// The number of the first column that has another count, or 0.
fn first_differing(names: &[String], values: &[u64]) -> String {
    let cases = names.iter().zip(values).zip(1..);
    let cases: String = cases.map(|((name, count), at)| format!(" WHEN COUNT({name}) <> {count} THEN {at}")).collect();
    format!("CASE{cases} ELSE 0 END")
}
