//! The types of columns, in DuckDB.

use crate::{
    failure::Failure,
    tokens::{Cursor, Token},
};

/// A type of ours in DuckDB. Whole numbers are BIGINT: 64 bits hold every number that the platform writes.
pub(super) fn column_type(cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    let word = cursor.identifier()?;
    let mut arguments = Vec::new();
    if cursor.eat("(") {
        loop {
            match cursor.next() {
                Some(Token::Number(number)) => arguments.push(number.as_str()),
                _ => return Err(cursor.unexpected("a type's argument")),
            }
            if !cursor.eat(",") {
                cursor.expect(")")?;
                break;
            }
        }
    }
    Ok(match (word.as_str(), &arguments[..]) {
        ("NUMBER", ["19" | "20" | "10", "0"]) | ("INTEGER", []) => "BIGINT".to_owned(),
        ("NUMBER", [precision, scale]) => format!("DECIMAL({precision},{scale})"),
        ("VARCHAR", []) => "VARCHAR".to_owned(),
        ("TIMESTAMP_NTZ", ["6"]) => "TIMESTAMP".to_owned(),
        ("DATE", []) => "DATE".to_owned(),
        ("BOOLEAN", []) => "BOOLEAN".to_owned(),
        (word, arguments) => {
            return Err(Failure::unsupported(format!("the type {word}({})", arguments.join(","))));
        }
    })
}
