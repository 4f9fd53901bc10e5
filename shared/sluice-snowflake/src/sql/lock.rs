//! The lock of a raw table, and what its loads claim there.

use sluice_core::{Commit, LakeId, TableId};

use super::{
    OBSERVABILITY,
    ledger::{self, RESET},
    quote,
};

/// Makes a raw table's lock, if it is not there: a table of its own with one row, because an UPDATE locks a whole table in
/// Snowflake, and never a row. Made with its row in one statement, so that there is no second one.
///
/// RECENT holds the sequences and runs that were loaded last, each between commas; HIGHEST the highest sequence that
/// brought rows, at first as the ledger knows it.
pub fn create(lake: &LakeId, table: &TableId) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} AS\n\
         SELECT ','::VARCHAR AS RECENT, COALESCE(MAX(SEQUENCE), 0)::NUMBER(20,0) AS HIGHEST, \
         SYSDATE()::TIMESTAMP_NTZ(6) AS LOCKED_AT\n\
         FROM {OBSERVABILITY}.LOADS WHERE {} AND STATUS = 'loaded' AND LOADER <> '{RESET}'",
        name(lake, table),
        ledger::is_table(lake, table)
    )
}

/// The lock of a raw table, for the commits of one lake.
pub(crate) fn name(lake: &LakeId, table: &TableId) -> String {
    format!("{OBSERVABILITY}.{}", quote::identifier(&format!("LOCK_{lake}_{table}")))
}

/// Locks the table and notes the commit, unless it is noted: then no row is updated.
pub(crate) fn claim(commit: &Commit) -> String {
    let highest = match commit.reset {
        // It brings no rows, so an older replacement still counts.
        Some(_) => String::new(),
        None => format!("HIGHEST = GREATEST(HIGHEST, {}), ", commit.sequence),
    };
    claim_entry(&commit.lake_id, &commit.table, &commit.sequence.to_string(), &highest)
}

/// The same for anything else that happens to the table once. `entry` holds no comma.
pub(crate) fn claim_entry(lake: &LakeId, table: &TableId, entry: &str, also: &str) -> String {
    format!(
        "UPDATE {} SET RECENT = RIGHT(RECENT || {}, {RECENT_CHARS}), {also}LOCKED_AT = SYSDATE() \
         WHERE NOT CONTAINS(RECENT, {})",
        name(lake, table),
        quote::literal(&format!("{entry},")),
        quote::literal(&format!(",{entry},"))
    )
}

/// How much a lock remembers: more than a thousand loads. It has to remember those that the ledger may not show yet to
/// another session, which is a matter of seconds.
const RECENT_CHARS: usize = 10_000;
