//! Every statement that the source sends, as text. Names go through [`identifier`]; numbers are numbers; there is no
//! other way in.

mod condition;
mod reads;

pub(crate) use condition::{
    At, Blocks, CursorColumn, Place, Rows, Stretch, Untranslatable, condition_at, condition_within,
};
pub(crate) use reads::{
    blocks, boundaries, converted, copy, copy_bytes, count, estimate, extent, largest, places, seen, writer,
};

use crate::identifier::identifier;

/// Which cluster: transaction numbers of another one mean nothing.
pub(crate) const SYSTEM: &str = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";

/// Which of the cluster's timelines.
pub(crate) const TIMELINE: &str = "SELECT timeline_id::text FROM pg_catalog.pg_control_checkpoint()";

/// For how many seconds the oldest transaction that may have written has been open, a prepared one included; NULL when the
/// role may not see since when. The number of such a transaction is shown to every role.
pub(crate) const OLDEST_TRANSACTION: &str = "\
    SELECT extract(epoch FROM pg_catalog.clock_timestamp() - t.since)::bigint AS seconds FROM ( \
        SELECT backend_xid AS xid, xact_start AS since FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL \
        UNION ALL SELECT transaction, prepared FROM pg_catalog.pg_prepared_xacts \
    ) AS t ORDER BY pg_catalog.age(t.xid) DESC LIMIT 1";

/// The table, the tables that hold its rows (partitions, inheriting tables), and whether one of those is foreign.
pub(crate) const RELATION: &str = "\
    WITH RECURSIVE part(oid) AS ( \
        SELECT c.oid FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 \
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN part ON i.inhparent = part.oid \
    ) \
    SELECT string_agg(part.oid::text, ',' ORDER BY part.oid) AS tables, \
           bool_and(c.relkind IN ('r', 'p')) AS has_transactions \
    FROM part JOIN pg_catalog.pg_class AS c ON c.oid = part.oid";

/// The files that hold the table's rows, and whether some value is kept apart from its row. A row of 8 kB at most, in which
/// values are compressed, is short whatever it holds.
pub(crate) const FILES: &str = "\
    WITH RECURSIVE part(oid) AS ( \
        SELECT c.oid FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 \
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN part ON i.inhparent = part.oid \
    ) \
    SELECT string_agg(pg_relation_filenode(part.oid)::text, ',' ORDER BY part.oid) AS files, \
           bool_or(c.reltoastrelid <> 0 AND pg_relation_size(c.reltoastrelid) IS DISTINCT FROM 0) AS has_long_values \
    FROM part JOIN pg_catalog.pg_class AS c ON c.oid = part.oid";

/// The last number that the cursor column's sequence gave out; no row where it has none, or the role may not see it.
pub(crate) const SEQUENCE: &str = "\
    SELECT s.last_value FROM pg_catalog.pg_attribute AS a \
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass \
        AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i') \
    JOIN pg_catalog.pg_class AS q ON q.oid = d.objid AND q.relkind = 'S' \
    JOIN pg_catalog.pg_namespace AS m ON m.oid = q.relnamespace \
    JOIN pg_catalog.pg_sequences AS s ON s.schemaname = m.nspname AND s.sequencename = q.relname AND s.increment_by > 0 \
    WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND s.last_value IS NOT NULL LIMIT 1";

pub(crate) const COLUMNS: &str = "\
    SELECT a.attname::text AS name, a.attnotnull AS is_required FROM pg_catalog.pg_attribute AS a \
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// The transaction's snapshot, and how far the server's transaction counter is ahead of the snapshot's xmin.
pub(crate) const SNAPSHOT: &str = "\
    SELECT s::text AS snapshot, age(pg_catalog.pg_snapshot_xmin(s)::xid) AS age FROM pg_catalog.pg_current_snapshot() AS s";

/// Before statements that a server may refuse, after each refusal, and after the last: the transaction goes on as if nothing
/// had been asked.
pub(crate) const MAY_FAIL: &str = "SAVEPOINT may_fail";
pub(crate) const HAS_FAILED: &str = "ROLLBACK TO SAVEPOINT may_fail";
pub(crate) const NO_MORE_MAY_FAIL: &str = "RELEASE SAVEPOINT may_fail";

/// Texts are sent as the bytes that they are: where the server knows no encoding of its texts, it only checks them, and ends
/// the read at the first that is not UTF-8.
pub(crate) const AS_BYTES: &str = "SET LOCAL client_encoding = 'SQL_ASCII'";

/// Begins the read. Settings are local to the transaction, so that a connection from a pooler takes none of them along.
/// Row security is off: a policy that would hide rows becomes an error instead of a silent gap. No object of a user stands
/// in for one of the system. A text that the server makes of another type, where a contract asks for text, is the same for
/// every role: times of ISO 8601 in UTC, intervals in PostgreSQL's own style, the shortest exact number, bytes in hexadecimal,
/// names quoted where they must be. The style of money stays, because it also says how many decimals an amount has.
pub(crate) fn begin(statement_timeout_ms: u128, lock_timeout_ms: u128, idle_timeout_ms: u128) -> String {
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL statement_timeout = {statement_timeout_ms}; \
         SET LOCAL lock_timeout = {lock_timeout_ms}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle_timeout_ms}; \
         SET LOCAL row_security = off; SET LOCAL search_path = pg_catalog; \
         SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1; \
         SET LOCAL bytea_output = 'hex'; SET LOCAL intervalstyle = 'postgres'; \
         SET LOCAL quote_all_identifiers = off"
    )
}

/// A statement whose description tells the columns' types. It also takes the table's lock, for the rest of the
/// transaction: from here on its shape stands still.
pub(crate) fn describe<'a>(schema: &str, table: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<String> = columns.map(identifier).collect();
    format!("SELECT {} FROM {}.{}", columns.join(", "), identifier(schema), identifier(table))
}

#[cfg(test)]
mod tests;
