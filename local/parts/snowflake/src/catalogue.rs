//! What the warehouse knows besides tables: the account's objects and grants, channels. Kept in the DuckDB file, in the
//! schema `_STANDIN`, so that it survives restarts and commits together with the rows it speaks of.

use std::{collections::HashMap, sync::Arc};

use duckdb::{Connection, OptionalExt, Result, params};

use crate::{names::Name, usage};

/// The kinds of entries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    /// An object of the account.
    Object,
    Grant,
    Channel,
    /// A journal whose rows are in the file.
    Journal,
}

impl Entry {
    fn as_str(self) -> &'static str {
        match self {
            Entry::Object => "object",
            Entry::Grant => "grant",
            Entry::Channel => "channel",
            Entry::Journal => "journal",
        }
    }
}

/// One column of a table, as DuckDB describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: String,
    pub(crate) required: bool,
}

/// Every table's columns by schema and name.
pub(crate) type Tables = HashMap<(String, String), Arc<[Column]>>;

/// Opens the file and makes the catalogue if it is not there.
pub(crate) fn open(path: &std::path::Path) -> Result<Connection> {
    let conn = prepared(Connection::open(path)?)?;
    conn.execute_batch(
        "CREATE SCHEMA IF NOT EXISTS \"_STANDIN\";
         CREATE TABLE IF NOT EXISTS \"_STANDIN\".OBJECTS (KIND VARCHAR, NAME VARCHAR, DEFINITION VARCHAR);
         CREATE TABLE IF NOT EXISTS \"_STANDIN\".COPY_HISTORY (
             PIPE VARCHAR, TABLE_PATH VARCHAR, FILE_NAME VARCHAR, STATUS VARCHAR, ROW_COUNT BIGINT,
             FIRST_ERROR_MESSAGE VARCHAR, PIPE_RECEIVED_TIME TIMESTAMP, LAST_LOAD_TIME TIMESTAMP);
         ALTER TABLE \"_STANDIN\".COPY_HISTORY ADD COLUMN IF NOT EXISTS ROW_PARSED BIGINT",
    )?;
    usage::found(&conn)?;
    Ok(conn)
}

/// A connection with the settings that each of them needs.
pub(crate) fn prepared(conn: Connection) -> Result<Connection> {
    conn.execute_batch("SET TimeZone = 'UTC'; SET autoinstall_known_extensions = false")?;
    Ok(conn)
}

/// Runs `work` in one transaction: all of it or nothing.
pub(crate) fn transaction<T, E: From<duckdb::Error>>(
    conn: &Connection,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    conn.execute_batch("BEGIN TRANSACTION")?;
    let outcome = work();
    conn.execute_batch(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    outcome
}

pub(crate) fn get(conn: &Connection, kind: Entry, name: &str) -> Result<Option<String>> {
    let sql = "SELECT DEFINITION FROM \"_STANDIN\".OBJECTS WHERE KIND = ? AND NAME = ?";
    conn.query_row(sql, params![kind.as_str(), name], |row| row.get(0)).optional()
}

/// Names and definitions of all entries of a kind.
pub(crate) fn all(conn: &Connection, kind: Entry) -> Result<Vec<(String, String)>> {
    let mut statement = conn.prepare("SELECT NAME, DEFINITION FROM \"_STANDIN\".OBJECTS WHERE KIND = ?")?;
    statement.query_map(params![kind.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Writes an entry, over an older one of the same name.
pub(crate) fn put(conn: &Connection, kind: Entry, name: &str, definition: &str) -> Result<()> {
    delete(conn, kind, name)?;
    conn.execute("INSERT INTO \"_STANDIN\".OBJECTS VALUES (?, ?, ?)", params![kind.as_str(), name, definition])?;
    Ok(())
}

pub(crate) fn delete(conn: &Connection, kind: Entry, name: &str) -> Result<()> {
    let sql = "DELETE FROM \"_STANDIN\".OBJECTS WHERE KIND = ? AND NAME = ?";
    conn.execute(sql, params![kind.as_str(), name])?;
    Ok(())
}

/// Takes out what an older version of the emulator has kept of objects: kind, name and text.
pub(crate) fn take_old(conn: &Connection) -> Result<Vec<(String, String, String)>> {
    let old = "FROM \"_STANDIN\".OBJECTS WHERE KIND IN ('database', 'file format', 'stage', 'integration', 'pipe')";
    let mut statement = conn.prepare(&format!("SELECT KIND, NAME, DEFINITION {old}"))?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect();
    conn.execute(&format!("DELETE {old}"), [])?;
    found
}

/// Every schema, table and view: its kind, its schema and its name.
pub(crate) fn listed(conn: &Connection) -> Result<Vec<(String, String, String)>> {
    let mut statement = conn.prepare(
        "SELECT 'SCHEMA', schema_name, '' FROM duckdb_schemas() WHERE database_name = current_database()
         UNION ALL SELECT 'TABLE', schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary
         UNION ALL SELECT 'VIEW', schema_name, view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary",
    )?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// Whether the schema that a name belongs to is there.
pub(crate) fn has_schema(conn: &Connection, name: &Name) -> Result<bool> {
    let sql = "SELECT count(*) > 0 FROM duckdb_schemas() WHERE schema_name = ? AND database_name = current_database()";
    conn.query_row(sql, params![name.duckdb_schema()], |row| row.get(0))
}

/// The columns of every table, temporary ones included.
pub(crate) fn tables(conn: &Connection) -> Result<Tables> {
    let mut statement = conn.prepare(
        "SELECT schema_name, table_name, column_name, data_type, is_nullable FROM duckdb_columns()
         WHERE NOT internal ORDER BY schema_name, table_name, column_index",
    )?;
    let mut tables: HashMap<(String, String), Vec<Column>> = HashMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let nullable: bool = row.get(4)?;
        let column = Column { name: row.get(2)?, data_type: row.get(3)?, required: !nullable };
        tables.entry((row.get(0)?, row.get(1)?)).or_default().push(column);
    }
    Ok(tables.into_iter().map(|(name, columns)| (name, columns.into())).collect())
}

/// The columns of one table, `None` if it does not exist.
pub(crate) fn columns(conn: &Connection, table: &(String, String)) -> Result<Option<Arc<[Column]>>> {
    Ok(tables(conn)?.remove(table))
}
