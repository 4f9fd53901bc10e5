//! A person's own question, which `sluice query` asks: DuckDB's SQL over the warehouse's names, in a transaction that only
//! reads.
//!
//! What the platform sends is held to the shapes that Snowflake is known to take. A person may ask whatever the engine here
//! understands; a statement that Snowflake alone understands gets the engine's error.

use std::collections::HashSet;

use super::{
    Session, Transaction,
    translate::{NOW, all_columns},
};
use crate::{
    failure::Failure,
    names::{Name, identifier, literal},
    result::{self, ResultSet},
    tokens::{Cursor, Token, quoted, tokens},
};

/// The query tag of such a statement.
pub(crate) const TAG: &str = "sluice:query";

impl Session<'_> {
    /// Answers with no more rows than `most`.
    pub(crate) fn ask(mut self, text: &str, most: usize) -> Result<ResultSet, Failure> {
        let pieces = pieces(text)?;
        let first = pieces.iter().find_map(|piece| match piece {
            Piece::Name(name) if !name.quoted => Some(name.text.as_str()),
            _ => None,
        });
        let sql = match first {
            Some("SELECT" | "WITH" | "EXPLAIN") => to_duckdb(&pieces),
            Some("SHOW" | "DESCRIBE" | "DESC") => about_objects(text)?,
            other => return Err(Failure::unsupported(format!("a question that begins with {other:?}"))),
        };
        self.conn.execute_batch("BEGIN TRANSACTION READ ONLY")?;
        self.transaction = Transaction::Begun;
        let answer = result::query_rows(self.conn, &sql, most);
        self.end("ROLLBACK")?;
        let written: HashSet<&str> = pieces.iter().filter_map(Piece::quoted).collect();
        let mut answer = answer?;
        // Snowflake stores and answers a name in upper case unless it was written in quotes.
        if !matches!(first, Some("SHOW" | "DESCRIBE" | "DESC")) {
            for column in answer.columns.iter_mut().filter(|column| !written.contains(column.name.as_str())) {
                column.name = column.name.to_uppercase();
            }
        }
        Ok(answer)
    }
}

/// A part of a statement.
enum Piece<'a> {
    Name(Word),
    Dot,
    Text(String),
    /// A number, a sign, or a blank, as it is.
    Other(&'a str),
}

struct Word {
    /// In upper case unless it was in quotes.
    text: String,
    quoted: bool,
}

impl Piece<'_> {
    fn quoted(&self) -> Option<&str> {
        match self {
            Piece::Name(Word { text, quoted: true }) => Some(text),
            _ => None,
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Failure> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let run = |fits: &dyn Fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        if first == ';' {
            return Err(Failure::syntax("several statements"));
        }
        let length = if rest.starts_with("--") {
            run(&|c| c != '\n')
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").ok_or_else(|| Failure::syntax("a comment is not closed"))? + 4
        } else if let Some(body) = rest.strip_prefix("$$") {
            let end = body.find("$$").ok_or_else(|| Failure::syntax("a $$ is not closed"))?;
            pieces.push(Piece::Text(body[..end].to_owned()));
            end + 4
        } else if first == '\'' || first == '"' {
            let (value, length) = quoted(rest, first)?;
            pieces.push(if first == '"' {
                Piece::Name(Word { text: value, quoted: true })
            } else {
                Piece::Text(value)
            });
            length
        } else if first.is_ascii_digit() {
            let length = run(&|c| c.is_ascii_alphanumeric() || c == '.');
            pieces.push(Piece::Other(&rest[..length]));
            length
        } else if is_part(first) {
            let length = run(&is_part);
            pieces.push(Piece::Name(Word { text: rest[..length].to_ascii_uppercase(), quoted: false }));
            length
        } else {
            let length = first.len_utf8();
            pieces.push(if first == '.' { Piece::Dot } else { Piece::Other(&rest[..length]) });
            length
        };
        rest = &rest[length..];
    }
    Ok(pieces)
}

/// The statement with the names of this machine's engine.
fn to_duckdb(pieces: &[Piece<'_>]) -> String {
    let mut sql = String::new();
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        at += 1;
        match piece {
            Piece::Text(text) => sql.push_str(&literal(text)),
            Piece::Other(text) => sql.push_str(text),
            Piece::Dot => sql.push('.'),
            Piece::Name(first) => {
                let mut parts = vec![first];
                while let (Some(Piece::Dot), Some(Piece::Name(next))) = (pieces.get(at), pieces.get(at + 1)) {
                    parts.push(next);
                    at += 2;
                }
                sql.push_str(&named(&parts));
            }
        }
    }
    let sql = sql.replace("SYSDATE()", NOW).replace("CURRENT_TIMESTAMP()", "CURRENT_TIMESTAMP");
    sql.replacen("EXPLAIN USING TEXT", "EXPLAIN", 1)
}

fn named(parts: &[&Word]) -> String {
    let one = |word: &Word| if word.quoted { identifier(&word.text) } else { word.text.clone() };
    match parts {
        [database, schema, view] if schema.text == "INFORMATION_SCHEMA" && view.text == "COLUMNS" => {
            all_columns(&database.text)
        }
        [database, schema, object, columns @ ..] => {
            let [database, schema, object] = [database, schema, object].map(|word| word.text.clone());
            let columns = columns.iter().map(|word| format!(".{}", one(word))).collect::<String>();
            format!("{}{columns}", Name { database, schema, object }.duckdb())
        }
        _ => parts.iter().map(|word| one(word)).collect::<Vec<_>>().join("."),
    }
}

/// SHOW and DESCRIBE of what a person looks for.
fn about_objects(text: &str) -> Result<String, Failure> {
    let tokens = tokens(text)?;
    let mut cursor = Cursor::new(&tokens);
    if cursor.eat("DESCRIBE") || cursor.eat("DESC") {
        let _kind = cursor.eat("TABLE") || cursor.eat("VIEW");
        let (schema, object) = cursor.name()?.listed();
        cursor.end()?;
        return Ok(format!(
            "SELECT column_name AS \"name\", data_type AS \"type\", CASE WHEN is_nullable THEN 'Y' ELSE 'N' END AS \"null?\" \
             FROM duckdb_columns() WHERE lower(schema_name) = lower({}) AND lower(table_name) = lower({}) \
             ORDER BY column_index",
            literal(&schema),
            literal(&object)
        ));
    }
    cursor.expect("SHOW")?;
    let (columns, kind) = if cursor.eat("TABLES") {
        ("upper(table_name) AS \"name\", ", "AND table_type = 'BASE TABLE'")
    } else if cursor.eat("VIEWS") {
        ("upper(table_name) AS \"name\", ", "AND table_type = 'VIEW'")
    } else if cursor.eat("SCHEMAS") {
        ("", "")
    } else {
        return Err(cursor.unexpected("TABLES, VIEWS or SCHEMAS"));
    };
    let like =
        if cursor.eat("LIKE") { format!("AND table_name ILIKE {}", literal(cursor.text()?)) } else { String::new() };
    let mut place = Vec::new();
    if cursor.eat("IN") {
        let _kind = cursor.eat("SCHEMA") || cursor.eat("DATABASE");
        while let Some(Token::Word(part) | Token::Quoted(part)) = cursor.rest().first() {
            cursor.next();
            place.push(part.clone());
            cursor.eat(".");
        }
        place.retain(|part| part != "ACCOUNT");
    }
    cursor.end()?;
    let within = match &place[..] {
        [] => String::new(),
        [database] => format!("AND starts_with(table_schema, {})", literal(&format!("{database}__"))),
        parts => format!("AND table_schema = {}", literal(&parts.join("__"))),
    };
    Ok(format!(
        "SELECT DISTINCT {columns}split_part(table_schema, '__', 1) AS \"database_name\", \
         substr(table_schema, position('__' IN table_schema) + 2) AS \"schema_name\" \
         FROM information_schema.tables WHERE table_catalog = current_database() AND contains(table_schema, '__') \
         {kind} {like} {within} ORDER BY database_name, schema_name, 1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> String {
        to_duckdb(&pieces(text).expect("pieces"))
    }

    #[test]
    fn the_warehouses_names_become_the_engines_and_nothing_else_changes() {
        for (asked, sent) in [
            ("select s.email from analytics.marts.sales s", "SELECT S.EMAIL FROM \"ANALYTICS__MARTS\".\"SALES\" S"),
            ("SELECT \"a.b\".\"C\" FROM D.E.\"f\"", "SELECT \"a.b\".\"C\" FROM \"D__E\".\"f\""),
            (r"SELECT 'it''s \\ a.b.c' -- d.e.f", r"SELECT 'it''s \ a.b.c' "),
            ("SELECT A.B.C.D, 1.5e3 /* x.y.z */ FROM A.B.C", "SELECT \"A__B\".\"C\".D, 1.5e3  FROM \"A__B\".\"C\""),
            ("SELECT [1, 2][1] -> 'x' FROM t", "SELECT [1, 2][1] -> 'x' FROM T"),
        ] {
            assert_eq!(translated(asked), sent);
        }
        assert!(translated("SELECT * FROM D.INFORMATION_SCHEMA.COLUMNS").contains("duckdb_columns()"));
        for bad in ["SELECT 'open", "SELECT /* open", "SELECT $$open", "SELECT 1; COMMIT"] {
            assert!(pieces(bad).is_err(), "{bad}");
        }
    }
}
