//! A commit's rows, or files of no commit, into a table that is not the commit's own.

use sluice_core::{Commit, DataFile, Disposition, Result, TableId, commit};

use super::{
    INCOMING, LOADED, ORIGIN_METADATA, ROWS_MISMATCH,
    apply::{insert, merge},
    column_names, compare_values, copies, incoming,
};
use crate::sql::{HANDLER, block, quote};

/// Adds a commit's rows to a side table as its load adds them to the raw table; no ledger, and no lock. Commits are added in
/// their order.
pub fn add(commit: &Commit, side: &TableId) -> Result<String> {
    let of_side = Commit { table: side.clone(), ..commit.clone() };
    let apply = match commit.disposition {
        Disposition::Append => insert(&of_side, "  "),
        Disposition::Replace => format!("  DELETE FROM {};\n{}", quote::table(side), insert(&of_side, "  ")),
        Disposition::Merge => merge(&of_side),
    };
    let text = format!(
        "DECLARE
  rows_mismatch EXCEPTION ({ROWS_MISMATCH}, 'rows loaded differ from rows committed');
BEGIN
  {incoming};
  BEGIN TRANSACTION;
{copies}  LET loaded INTEGER := (SELECT COUNT(*) FROM {INCOMING});
  IF (loaded <> {rows}) THEN
    RAISE rows_mismatch;
  END IF;
{compare}{apply}  COMMIT;
  RETURN '{LOADED}';
{HANDLER}",
        incoming = incoming(commit),
        copies = copies(INCOMING, &commit.files, ORIGIN_METADATA),
        rows = commit.rows,
        compare = commit::values(&commit.files).map_or_else(String::new, |values| compare_values(
            INCOMING,
            &column_names(commit),
            &values
        )),
    );
    block(&text, &commit.table)
}

/// Fills a side table with what files hold, whatever it held before: those of the rows that a cursor has behind it, which have
/// 0 as their sequence, and those ahead of it, which have none.
pub fn fill(table: &TableId, behind: &[DataFile], ahead: &[DataFile]) -> Result<String> {
    let side = quote::table(table);
    let rows = |files: &[DataFile]| files.iter().map(|file| file.rows).sum::<u64>();
    let text = format!(
        "DECLARE
  rows_mismatch EXCEPTION ({ROWS_MISMATCH}, 'rows loaded differ from rows written');
BEGIN
  BEGIN TRANSACTION;
  DELETE FROM {side};
{behind}  UPDATE {side} SET _SLUICE_SEQUENCE = 0;
{ahead}  LET loaded INTEGER := (SELECT COUNT(*) FROM {side});
  IF (loaded <> {rows}) THEN
    RAISE rows_mismatch;
  END IF;
  COMMIT;
  RETURN '{LOADED}';
{HANDLER}",
        rows = rows(behind) + rows(ahead),
        behind = copies(&side, behind, ""),
        ahead = copies(&side, ahead, ""),
    );
    block(&text, table)
}
