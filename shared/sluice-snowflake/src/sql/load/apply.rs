//! The rows of the temporary table into the raw table, as the table's disposition says.

use sluice_core::{Commit, Disposition};

use super::INCOMING;
use crate::sql::{lock, quote};

/// Where a row came from, as COPY tells it.
const ORIGIN: [&str; 2] = ["_SLUICE_SOURCE_FILE", "_SLUICE_ROW_NUMBER"];

/// A reset has no rows, and none is what it must change: an empty replacement would empty the table.
pub(super) fn apply(commit: &Commit) -> String {
    if commit.reset.is_some() {
        return String::new();
    }
    match commit.disposition {
        Disposition::Append => insert(commit, "  "),
        Disposition::Replace => replace(commit),
        Disposition::Merge => merge(commit),
    }
}

/// Sequences may arrive out of order, and the rows of the highest one are the table.
fn replace(commit: &Commit) -> String {
    format!(
        "  LET newer INTEGER := (SELECT COUNT(*) FROM {} WHERE HIGHEST > {});
  IF (newer = 0) THEN
    DELETE FROM {};
{}  END IF;
",
        lock::name(&commit.lake_id, &commit.table),
        commit.sequence,
        quote::table(&commit.table),
        insert(commit, "    ")
    )
}

pub(super) fn insert(commit: &Commit, indent: &str) -> String {
    let (columns, values) = row(commit, "");
    // Appended rows are facts, each of which counts; a replaced table has one row per key.
    let one_per_key = match commit.disposition {
        Disposition::Append => String::new(),
        Disposition::Merge | Disposition::Replace if commit.key.is_empty() => String::new(),
        Disposition::Merge | Disposition::Replace => format!("\n{indent}{}", newest_per_key(commit)),
    };
    format!(
        "{indent}INSERT INTO {} ({columns})\n{indent}SELECT {values} FROM {INCOMING}{one_per_key};\n",
        quote::table(&commit.table)
    )
}

/// With a version column the newer version wins, and of equal versions the later load; without one a row never changes.
/// No version is older than any: a comparison with NULL would be neither true nor false, and the row would stay for ever.
pub(super) fn merge(commit: &Commit) -> String {
    let key: Vec<String> = commit.key.iter().map(|name| quote::column(name)).collect();
    let on: Vec<String> = key.iter().map(|name| format!("t.{name} = s.{name}")).collect();
    let (columns, values) = row(commit, "s.");
    let update = commit.version_column.as_deref().map(quote::column).map(|version| {
        format!(
            "  WHEN MATCHED AND (s.{version} > t.{version} OR (t.{version} IS NULL AND s.{version} IS NOT NULL)
    OR (s.{version} IS NOT DISTINCT FROM t.{version} AND {} > COALESCE(t._SLUICE_SEQUENCE, 0)))
    THEN UPDATE SET {}
",
            commit.sequence,
            assignments(commit)
        )
    });
    format!(
        "  MERGE INTO {} t
  USING (
    SELECT * FROM {INCOMING}
    {}
  ) s
  ON {}
{}  WHEN NOT MATCHED THEN INSERT ({columns})
    VALUES ({values});
",
        quote::table(&commit.table),
        newest_per_key(commit),
        on.join(" AND "),
        update.unwrap_or_default()
    )
}

/// One row per key, the same one each time. NULLS LAST, because Snowflake would rank a missing version highest.
fn newest_per_key(commit: &Commit) -> String {
    let key: Vec<String> = commit.key.iter().map(|name| quote::column(name)).collect();
    let version = commit.version_column.as_deref().map(|name| format!("{} DESC NULLS LAST, ", quote::column(name)));
    let [file, number] = ORIGIN;
    format!(
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {}{file} DESC, {number} DESC) = 1",
        key.join(", "),
        version.unwrap_or_default()
    )
}

/// The target's columns and, in the same order, their values.
fn row(commit: &Commit, from: &str) -> (String, String) {
    let mut columns: Vec<String> = commit.schema.columns().iter().map(|column| quote::column(&column.name)).collect();
    let mut values: Vec<String> = columns.iter().map(|column| format!("{from}{column}")).collect();
    for (column, value) in loaded_values(commit, from) {
        columns.push(column.to_owned());
        values.push(value);
    }
    (columns.join(", "), values.join(", "))
}

fn assignments(commit: &Commit) -> String {
    let changing = commit.schema.columns().iter().filter(|column| !commit.key.contains(&column.name));
    let mut assignments: Vec<String> =
        changing.map(|column| quote::column(&column.name)).map(|column| format!("{column} = s.{column}")).collect();
    assignments.extend(loaded_values(commit, "s.").map(|(column, value)| format!("{column} = {value}")));
    assignments.join(", ")
}

fn loaded_values(commit: &Commit, from: &str) -> [(&'static str, String); 5] {
    let [file, number] = ORIGIN;
    [
        ("_SLUICE_RUN_ID", quote::literal(&commit.run_id.0)),
        ("_SLUICE_SEQUENCE", commit.sequence.to_string()),
        ("_SLUICE_LOADED_AT", "SYSDATE()".to_owned()),
        (file, format!("{from}{file}")),
        (number, format!("{from}{number}")),
    ]
}
