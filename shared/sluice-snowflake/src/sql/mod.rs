//! Every statement that the platform sends to Snowflake, as pure functions from values to text.
//!
//! There are no bind variables in a scripting block, so values become literals; [`quote`] is the one way to do that.
//! The rendered text is kept under `snapshots/`, where an independent parser and two emulators judge it.

use sluice_core::{Error, Result, TableId};

pub mod activations;
pub mod aside;
pub mod changes;
pub(crate) mod column_types;
pub mod costs;
pub mod dbt;
pub mod ddl;
pub mod evolve;
mod inserts;
pub(crate) mod integration;
pub mod ledger;
pub mod load;
pub mod lock;
pub mod observe;
pub mod quote;
pub mod read_only;
pub mod rebuild;
pub mod replay;
pub mod session;
pub mod swap;
pub mod verify;
pub mod views;
pub mod watch;
pub mod why;

/// The longest text of a statement that Snowflake takes, in bytes.
pub(crate) const STATEMENT_BYTES: usize = 1_000_000;

/// The schema that holds the ledger, the locks of raw tables, the lake's stage and its file format.
pub(crate) const OBSERVABILITY: &str = "ADMIN.OBSERVABILITY";

/// How every block ends: a failure rolls everything back and goes on to the caller.
pub(crate) const HANDLER: &str = "EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
";

/// `CREATE TABLE IF NOT EXISTS`, one column to a line.
pub(crate) fn create_table(name: &str, columns: &[String]) -> String {
    format!("CREATE TABLE IF NOT EXISTS {name} (\n  {}\n)", columns.join(",\n  "))
}

/// A scripting block. A name that would end its quotation is refused.
pub(crate) fn block(text: &str, table: &TableId) -> Result<String> {
    if text.contains("$$") {
        let error = Error::unsupported("a name holds two dollar signs in a row");
        return Err(error.with("table", table).as_final());
    }
    Ok(format!("EXECUTE IMMEDIATE $$\n{text}$$"))
}

#[cfg(test)]
pub(crate) mod snapshot {
    //! Compares rendered SQL with a file, byte by byte; `UPDATE_SNAPSHOTS=1` rewrites the file instead.

    use std::path::Path;

    pub(crate) fn check(name: &str, statements: &[String]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql/snapshots").join(name).with_extension("sql");
        let text: Vec<String> = statements.iter().map(|statement| format!("{statement};\n")).collect();
        let text = text.join("\n");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &text).expect("a writable snapshot");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, kept, "the SQL of {} has changed; UPDATE_SNAPSHOTS=1 accepts it", path.display());
    }
}
