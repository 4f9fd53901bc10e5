//! The statements that arrive: recognised by shape, translated to DuckDB, run.
//!
//! Only the shapes that `sluice-snowflake` renders are known. Everything else is answered "unsupported", so that a new
//! statement is met by a decision and not by a guess.

mod block;
mod copy;
mod ddl;
mod result;
mod tokens;
mod translate;

use std::{borrow::Cow, collections::HashSet};

use duckdb::Connection;

pub(crate) use copy::CopyInto;
pub(crate) use result::{ResultColumn, ResultSet, query};
pub(crate) use tokens::Name;
pub(crate) use translate::{identifier, literal};

use crate::{lake::Lake, snowpipe::Pipes};
use tokens::{Cursor, tokens};

/// A failed statement as the SQL API tells it.
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
        Failure::new("002003", sql_state, format!("{kind} '{name}' does not exist or not authorized."))
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
            "Conversion" | "Out of Range" => Failure::new("100038", "22018", text),
            "Constraint" => Failure::new("100072", "22000", text),
            "INTERRUPT" => Failure::cancelled(),
            _ => Failure::internal(text),
        }
    }
}

/// What a request's statements share. Nothing of it outlives the request, as in the SQL API.
pub(crate) struct Session<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) lake: &'a Lake,
    pub(crate) pipes: &'a Pipes,
    pub(crate) temporary: HashSet<Name>,
    pub(crate) in_transaction: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(conn: &'a Connection, lake: &'a Lake, pipes: &'a Pipes) -> Self {
        Session { conn, lake, pipes, temporary: HashSet::new(), in_transaction: false }
    }

    /// Runs one request's statement and leaves no transaction and no temporary table behind.
    pub(crate) fn run(mut self, text: &str) -> Result<ResultSet, Failure> {
        let outcome = self.dispatch(text);
        if self.in_transaction {
            self.conn.execute_batch("ROLLBACK")?;
        }
        for name in &self.temporary {
            self.conn.execute_batch(&format!("DROP TABLE IF EXISTS {}", self.table(name)))?;
        }
        outcome
    }

    fn dispatch(&mut self, text: &str) -> Result<ResultSet, Failure> {
        let tokens = tokens(text)?;
        let mut cursor = Cursor::new(&tokens);
        if cursor.eat("EXECUTE IMMEDIATE") {
            return block::execute(self, cursor);
        }
        if cursor.eat("CREATE") {
            return ddl::create(self, cursor, text);
        }
        if cursor.eat("ALTER TABLE") {
            return ddl::alter(self, cursor);
        }
        if cursor.eat("DROP TABLE IF EXISTS") {
            return ddl::drop_side_table(self, cursor);
        }
        // Outside a load block only a failed commit's entry in the ledger is ever deleted.
        if cursor.eat("DELETE") && !cursor.eat("FROM ADMIN . OBSERVABILITY . LOADS WHERE") {
            return Err(Failure::unsupported("DELETE outside a load block"));
        }
        self.sql(tokens.strip_suffix(&[tokens::Token::Symbol(";")]).unwrap_or(&tokens))
    }

    /// A query or a change of rows, without the `;`.
    pub(crate) fn sql(&mut self, statement: &[tokens::Token]) -> Result<ResultSet, Failure> {
        let changed = |counts: &[&'static str]| Some(counts.to_vec());
        let counts = match statement.first() {
            Some(tokens::Token::Word(verb)) => match verb.as_str() {
                "SELECT" => None,
                "INSERT" => changed(&["number of rows inserted"]),
                "UPDATE" => changed(&["number of rows updated", "number of multi-joined rows updated"]),
                "MERGE" => changed(&["number of rows inserted"]),
                "DELETE" => changed(&["number of rows deleted"]),
                verb => return Err(Failure::unsupported(format!("the statement {verb}"))),
            },
            _ => return Err(Failure::unsupported("a statement that does not begin with a word")),
        };
        let sql = translate::to_duckdb(statement, self)?;
        match counts {
            None => result::query(self.conn, &sql),
            Some(columns) => Ok(ResultSet::counts(&columns, self.conn.execute(&sql, [])?)),
        }
    }

    /// A table's name in DuckDB. Temporary tables live in a catalogue of their own, which has no schemas.
    pub(crate) fn table(&self, name: &Name) -> String {
        if self.temporary.contains(name) {
            return format!("temp.main.{}", identifier(&name.to_string()));
        }
        name.duckdb()
    }

    /// A table's schema and name as DuckDB's catalogue lists them.
    pub(crate) fn listed(&self, name: &Name) -> (String, String) {
        if self.temporary.contains(name) {
            return ("main".to_owned(), name.to_string());
        }
        name.listed()
    }
}
