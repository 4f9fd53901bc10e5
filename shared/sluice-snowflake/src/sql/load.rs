//! The load of one commit: one scripting block, so one request and one transaction.
//!
//! The temporary table is made before the transaction, because DDL would commit it. The first statement inside updates
//! the raw table's lock (see [`lock`]): it makes deliveries stand in line, table by table, and it decides. A commit
//! that the lock remembers changes no row of it, and what another session has committed a moment ago cannot be missed
//! there, while a look into the ledger can. The ledger is asked as well, for commits that are older than the lock, and it
//! alone may say that a commit is loaded. The last statement writes it. Whatever fails in between rolls everything back and
//! reaches the caller with its own code.

use sluice_core::{Commit, Disposition, Error, Loader, Result, commit};

use super::{
    HANDLER, OBSERVABILITY, STATEMENT_BYTES, ddl,
    ledger::{self, Status},
    lock, quote,
};

mod apply;
mod copy;
pub mod side;
mod values;

use apply::apply;
pub(crate) use copy::copies;
pub(crate) use values::compare_values;
pub use values::{LeftOut, left_out, piped_values, refuse_differing, refuse_piped};
use values::{MERGED_AWAY, NOT_TAKEN, column_names};

/// What the block answers when it has loaded the commit.
pub const LOADED: &str = "loaded";

/// What the block answers when an earlier delivery had loaded it.
pub const ALREADY_LOADED: &str = "already loaded";

/// What the block answers when the lock remembers the commit, or is not there, and the ledger does not know it (yet).
pub const LOOK_AGAIN: &str = "look again";

/// The column of the block's one row.
pub const RESULT_COLUMN: &str = "anonymous block";

/// What the ledger says of rows that were merged away.
const MERGED_REASON: &str =
    "CASE WHEN :merged > 0 THEN 'rows merged away, because others of the commit have their key: ' || :merged END";

/// What it says where rows may be there that a merge without a version has not taken, too.
const STANDING_REASON: &str = "CASE WHEN :standing = 0 AND :merged = 0 THEN NULL ELSE CASE WHEN :merged > 0 THEN \
    'rows merged away, because others of the commit have their key: ' || :merged ELSE '' END || CASE WHEN :merged > 0 AND \
    :standing > 0 THEN '; ' ELSE '' END || CASE WHEN :standing > 0 THEN 'rows not taken, because the table has other values \
    under their key and the entry has no version_column: ' || :standing ELSE '' END END";

/// How the ledger's reason goes on where it tells of such rows.
pub(crate) const NOT_TAKEN_REASON: &str = "rows not taken";

/// The code that the block raises when the files hold another number of rows than the commit says.
pub const ROWS_MISMATCH: &str = "-20001";

/// Temporary, so private to the request: one name does for all.
const INCOMING: &str = "ADMIN.OBSERVABILITY.INCOMING";

/// Where a row came from, as COPY is asked for it.
const ORIGIN_METADATA: &str = "  INCLUDE_METADATA = (_SLUICE_SOURCE_FILE = METADATA$FILENAME, \
    _SLUICE_ROW_NUMBER = METADATA$FILE_ROW_NUMBER)\n";

/// Renders the block that loads a commit. Refuses what no block can do: a merge without a key, a table that Snowpipe or
/// a stream loads, and a name that would end the block's quotation.
pub fn render(commit: &Commit) -> Result<String> {
    if commit.loader != Loader::Copy {
        let error = Error::unsupported("only a table whose loader is copy is loaded by a block");
        return Err(error.with("table", &commit.table).as_final());
    }
    if commit.disposition == Disposition::Merge && commit.key.is_empty() {
        let error = Error::invalid_data("a merge needs a key and the commit has none");
        return Err(error.with("table", &commit.table).as_final());
    }
    let statement = super::block(&block(commit), &commit.table)?;
    if statement.len() > STATEMENT_BYTES {
        let error = Error::unsupported("the commit's files and columns do not fit into one statement");
        let error =
            error.with("files", commit.files.len()).with("bytes", statement.len()).with("limit", STATEMENT_BYTES);
        return Err(error.with("table", &commit.table).as_final().with_hint(
            "move the table's cursor back with `sluice reset`, then read it in smaller steps: a shorter range by `sluice \
             run TABLE --from … --to …`, or fewer and larger files",
        ));
    }
    Ok(statement)
}

fn block(commit: &Commit) -> String {
    let is_commit = ledger::is_commit(&commit.lake_id, &commit.table, commit.sequence);
    let (mut count_merged, mut tell_merged, mut reason) = match merges_rows(commit) {
        true => (
            count_merged(commit),
            format!("  IF (merged > 0) THEN\n    RETURN '{MERGED_AWAY}' || merged;\n  END IF;\n"),
            MERGED_REASON,
        ),
        false => (String::new(), String::new(), "NULL"),
    };
    if let Some(count) = count_standing(commit) {
        count_merged += &count;
        let tell_standing = format!(
            "  IF (standing > 0) THEN\n    RETURN '{MERGED_AWAY}' || merged || '{NOT_TAKEN}' || standing;\n  END IF;\n"
        );
        tell_merged = tell_standing + &tell_merged;
        reason = STANDING_REASON;
    }
    format!(
        "DECLARE
  rows_mismatch EXCEPTION ({ROWS_MISMATCH}, 'rows loaded differ from rows committed');
BEGIN
  {incoming};
  BEGIN TRANSACTION;
  {claim};
  LET claimed INTEGER := SQLROWCOUNT;
  LET done INTEGER := (SELECT COUNT(*) FROM {OBSERVABILITY}.LOADS WHERE {is_commit} AND STATUS = 'loaded');
  IF (done > 0) THEN
    ROLLBACK;
    RETURN '{ALREADY_LOADED}';
  END IF;
  IF (claimed = 0) THEN
    ROLLBACK;
    RETURN '{LOOK_AGAIN}';
  END IF;
{copies}  LET loaded INTEGER := (SELECT COUNT(*) FROM {INCOMING});
  IF (loaded <> {rows}) THEN
    RAISE rows_mismatch;
  END IF;
{compare}{count_merged}{apply}  INSERT INTO {OBSERVABILITY}.LOADS ({columns})
  SELECT {values};
  COMMIT;
{tell_merged}  RETURN '{LOADED}';
{HANDLER}",
        incoming = incoming(commit),
        claim = lock::claim(commit),
        copies = copies(INCOMING, &commit.files, ORIGIN_METADATA),
        rows = commit.rows,
        compare = commit::values(&commit.files).map_or_else(String::new, |values| compare_values(
            INCOMING,
            &column_names(commit),
            &values
        )),
        apply = apply(commit),
        columns = ledger::COLUMNS,
        values = ledger::values(commit, Status::Loaded, commit.rows, reason),
    )
}

/// Whether rows of one key become one.
fn merges_rows(commit: &Commit) -> bool {
    commit.disposition != Disposition::Append && !commit.key.is_empty() && commit.rows > 0
}

/// How many rows are left out because another one of the commit has their key.
fn count_merged(commit: &Commit) -> String {
    let key: Vec<String> = commit.key.iter().map(|name| quote::column(name)).collect();
    format!(
        "  LET merged INTEGER := (SELECT {} - COUNT(*) FROM (SELECT DISTINCT {} FROM {INCOMING}) k);\n",
        commit.rows,
        key.join(", ")
    )
}

/// How many rows a merge does not take, because the table has a row of their key that is another one: the source has changed
/// a row that should never change, or uses its numbers again. `None` where the merge decides by a version.
fn count_standing(commit: &Commit) -> Option<String> {
    if commit.disposition != Disposition::Merge || commit.version_column.is_some() || !merges_rows(commit) {
        return None;
    }
    let columns = commit.schema.columns().iter().map(|column| column.name.as_str());
    let (key, others): (Vec<&str>, Vec<&str>) = columns.partition(|name| commit.key.iter().any(|key| key == name));
    let each = |names: Vec<&str>, comparison: &str, between: &str| {
        let names = names.into_iter().map(quote::column);
        names.map(|name| format!("s.{name} {comparison} t.{name}")).collect::<Vec<_>>().join(between)
    };
    (!others.is_empty()).then(|| {
        format!(
            "  LET standing INTEGER := (SELECT COUNT(*) FROM {INCOMING} s JOIN {} t ON {} WHERE {});\n",
            quote::table(&commit.table),
            each(key, "=", " AND "),
            each(others, "IS DISTINCT FROM", " OR ")
        )
    })
}

fn incoming(commit: &Commit) -> String {
    let mut columns: Vec<String> = commit.schema.columns().iter().map(ddl::column_definition).collect();
    columns.push("_SLUICE_SOURCE_FILE VARCHAR".to_owned());
    columns.push("_SLUICE_ROW_NUMBER NUMBER(20,0)".to_owned());
    format!("CREATE OR REPLACE TEMPORARY TABLE {INCOMING} (\n    {}\n  )", columns.join(",\n    "))
}

#[cfg(test)]
pub(crate) mod tests;
