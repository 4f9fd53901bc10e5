//! Rows of an append on their way into a table: every value is staged as text, judged by DuckDB's own casts, and only
//! good rows are inserted. Bad rows are counted, never quoted.

use std::{borrow::Cow, collections::HashMap};

use anyhow::Result;
use duckdb::{Connection, ToSql, appender_params_from_iter};
use serde_json::value::RawValue;

use crate::{
    catalogue::Column,
    names::{Name, identifier, literal},
};

/// The temporary table that holds the last judged rows.
const STAGED: &str = "_STANDIN_STAGED";

pub(super) struct Judged {
    pub(super) parsed: u64,
    pub(super) good: u64,
    /// What is wrong with one of the bad rows.
    pub(super) error: Option<String>,
}

/// Stages the rows and counts the good ones.
pub(super) fn judge(conn: &Connection, columns: &[Column], batches: &[&[u8]]) -> Result<Judged> {
    let definitions: Vec<String> =
        columns.iter().map(|column| format!("{} VARCHAR", identifier(&column.name))).collect();
    conn.execute_batch(&format!("CREATE OR REPLACE TEMP TABLE {STAGED} ({})", definitions.join(", ")))?;
    let (mut parsed, mut objects) = (0, 0);
    let mut appender = conn.appender_to_catalog_and_db(STAGED, "temp", "main")?;
    let lines = batches.iter().flat_map(|batch| batch.split(|byte| *byte == b'\n'));
    for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
        parsed += 1;
        if let Ok(row) = serde_json::from_slice::<HashMap<Cow<'_, str>, &RawValue>>(line) {
            objects += 1;
            append(&mut appender, columns, row)?;
        }
    }
    appender.flush()?;
    drop(appender);
    let problem = problem(columns);
    let (good, error): (u64, Option<String>) = conn.query_row(
        &format!("SELECT count(*) FILTER ({problem} IS NULL), any_value({problem}) FROM {STAGED}"),
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let malformed = (objects < parsed).then(|| "a row is not a JSON object".to_owned());
    Ok(Judged { parsed, good, error: error.or(malformed) })
}

/// Inserts the good rows of the last [`judge`], in the caller's transaction.
pub(super) fn insert(conn: &Connection, table: &Name, columns: &[Column]) -> Result<()> {
    let names: Vec<String> = columns.iter().map(|column| identifier(&column.name)).collect();
    let values: Vec<String> =
        columns.iter().zip(&names).map(|(column, name)| format!("CAST({name} AS {})", column.data_type)).collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM {STAGED} WHERE {} IS NULL",
        table.duckdb(),
        names.join(", "),
        values.join(", "),
        problem(columns)
    );
    conn.execute(&sql, [])?;
    Ok(())
}

/// Names match without case; what the table does not have is dropped, what the row does not have is NULL.
fn append(
    appender: &mut duckdb::Appender<'_>,
    columns: &[Column],
    row: HashMap<Cow<'_, str>, &RawValue>,
) -> Result<()> {
    let mut values: Vec<Option<Cow<'_, str>>> = vec![None; columns.len()];
    for (name, value) in &row {
        if let Some(i) = columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)) {
            values[i] = text(value)?;
        }
    }
    appender.append_row(appender_params_from_iter(values.iter().map(|value| value as &dyn ToSql)))?;
    Ok(())
}

/// A JSON value as text; numbers keep every digit.
fn text(value: &RawValue) -> Result<Option<Cow<'_, str>>> {
    let json = value.get();
    Ok(match json.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') if !json.contains('\\') => Some(Cow::Borrowed(&json[1..json.len() - 1])),
        Some(b'"') => Some(Cow::Owned(serde_json::from_str(json)?)),
        _ => Some(Cow::Borrowed(json)),
    })
}

/// An expression that is NULL for a good row and names the first bad column of any other.
fn problem(columns: &[Column]) -> String {
    let mut cases = String::from("CASE");
    for column in columns {
        let name = identifier(&column.name);
        if column.required {
            let words = literal(&format!("a row has no {}", column.name));
            cases.push_str(&format!(" WHEN {name} IS NULL THEN {words}"));
        }
        if column.data_type != "VARCHAR" {
            let words = literal(&format!("a row's {} is not of its type", column.name));
            let data_type = &column.data_type;
            cases.push_str(&format!(
                " WHEN {name} IS NOT NULL AND TRY_CAST({name} AS {data_type}) IS NULL THEN {words}"
            ));
        }
    }
    // A CASE needs one arm; a table may need no check.
    cases.push_str(" WHEN false THEN '' END");
    cases
}
