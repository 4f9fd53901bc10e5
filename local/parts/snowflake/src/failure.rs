//! A failed statement as the SQL API tells it.

use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Cow<'static, str>,
    pub(crate) sql_state: &'static str,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(
        code: impl Into<Cow<'static, str>>,
        sql_state: &'static str,
        message: impl Into<String>,
    ) -> Failure {
        Failure { code: code.into(), sql_state, message: message.into() }
    }

    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Failure {
        Failure::new("000002", "0A000", format!("unsupported: {what}"))
    }

    pub(crate) fn syntax(what: impl std::fmt::Display) -> Failure {
        Failure::new("001003", "42000", format!("SQL compilation error: {what}"))
    }

    pub(crate) fn internal(what: impl std::fmt::Display) -> Failure {
        Failure::new("000603", "XX000", format!("internal execution error: {what}"))
    }

    pub(crate) fn missing(kind: &str, name: impl std::fmt::Display) -> Failure {
        let sql_state = if kind == "Table" { "42S02" } else { "02000" };
        let text = format!("SQL compilation error:\n{kind} '{name}' does not exist or not authorized.");
        Failure::new("002003", sql_state, text)
    }

    pub(crate) fn insufficient(kind: &str, name: impl std::fmt::Display) -> Failure {
        let kind = kind.to_lowercase();
        let text = format!("SQL access control error:\nInsufficient privileges to operate on {kind} '{name}'.");
        Failure::new("003001", "42501", text)
    }

    /// What the edition lacks.
    pub(crate) fn unsupported_feature(name: &str) -> Failure {
        Failure::new("000002", "0A000", format!("Unsupported feature '{name}'."))
    }

    pub(crate) fn cancelled() -> Failure {
        Failure::new("000604", "57014", "SQL execution canceled")
    }
}

impl From<duckdb::Error> for Failure {
    /// The kind of a DuckDB error is only in its text.
    fn from(error: duckdb::Error) -> Failure {
        let text = error.to_string();
        let kind = text.split_once(" Error:").map_or("", |(kind, _)| kind);
        match kind {
            "Parser" => Failure::unsupported(text),
            "Catalog" => Failure::new("002003", "42S02", format!("object does not exist or not authorized: {text}")),
            "Binder" => Failure::new("000904", "42000", format!("SQL compilation error: invalid identifier: {text}")),
            // In the warehouse's own words, by which a pipe's reader tells a refused value from anything else.
            "Conversion" | "Out of Range" => {
                Failure::new("100038", "22018", format!("Numeric value is not recognized: {text}"))
            }
            "Constraint" => Failure::new("100072", "22000", format!("NULL result in a non-nullable column: {text}")),
            "INTERRUPT" => Failure::cancelled(),
            _ => Failure::internal(text),
        }
    }
}
