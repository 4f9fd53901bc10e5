//! Names in SQL.

/// A quoted identifier. PostgreSQL takes any character but NUL, which cannot reach it in a message.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
