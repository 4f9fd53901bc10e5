//! Names of the warehouse's objects, and how DuckDB writes names and texts.

use serde::{Deserialize, Serialize};

/// `DATABASE.SCHEMA.OBJECT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) database: String,
    pub(crate) schema: String,
    pub(crate) object: String,
}

impl Name {
    /// Its parts, as the account keeps names.
    pub(crate) fn path(&self) -> Vec<String> {
        vec![self.database.clone(), self.schema.clone(), self.object.clone()]
    }

    /// The DuckDB schema that stands for a database's schema.
    pub(crate) fn duckdb_schema(&self) -> String {
        format!("{}__{}", self.database, self.schema)
    }

    /// Schema and table as DuckDB's catalogue lists them.
    pub(crate) fn listed(&self) -> (String, String) {
        (self.duckdb_schema(), self.object.clone())
    }

    /// Schema and table as DuckDB's SQL names them.
    pub(crate) fn duckdb(&self) -> String {
        format!("{}.{}", identifier(&self.duckdb_schema()), identifier(&self.object))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.database, self.schema, self.object)
    }
}

/// A name in DuckDB, always quoted.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in DuckDB, where a backslash is only a backslash.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as results print it: quoted only where it must be.
pub(crate) fn shown(path: &[String]) -> String {
    let part = |part: &String| {
        let plain = part.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '$');
        if plain { part.clone() } else { identifier(part) }
    };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}
