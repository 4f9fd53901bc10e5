//! From the tokens of a query or a change of rows to DuckDB's text.
//!
//! The words below are the whole language. Every other word is a name and is quoted, so that nothing DuckDB would
//! understand and Snowflake would not (or the other way round) slips through as a keyword.

use super::{Session, column_type::column_type};
use crate::{
    account,
    failure::Failure,
    lock,
    names::{identifier, literal},
    tokens::{Cursor, Token, name, name_in},
};

const KEYWORDS: [&str; 47] = [
    "UNION",
    "ALL",
    "CASE",
    "ELSE",
    "END",
    "SELECT",
    "FROM",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "AS",
    "GROUP",
    "BY",
    "ORDER",
    "ASC",
    "DESC",
    "NULLS",
    "FIRST",
    "LAST",
    "LIMIT",
    "QUALIFY",
    "OVER",
    "PARTITION",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "MERGE",
    "USING",
    "ON",
    "WHEN",
    "MATCHED",
    "THEN",
    "TRUE",
    "FALSE",
    "EXISTS",
    "DISTINCT",
    "BETWEEN",
    "LIKE",
    "WITHIN",
    "HAVING",
];

const FUNCTIONS: [&str; 13] = [
    "CONTAINS",
    "COUNT",
    "MAX",
    "MIN",
    "SUM",
    "COALESCE",
    "GREATEST",
    "ROW_NUMBER",
    "LEFT",
    "SPLIT_PART",
    "RIGHT",
    "DATEDIFF",
    "PERCENTILE_CONT",
];

/// The present moment as TIMESTAMP_NTZ in UTC.
pub(super) const NOW: &str = "(now() AT TIME ZONE 'UTC')";

/// The same by the account's clock. Its TIMEZONE is not UTC, as that of a new account is not: what is not converted shows.
pub(super) const LOCAL_NOW: &str = "((now() AT TIME ZONE 'UTC') - INTERVAL 8 HOUR)";

/// How far back COPY_HISTORY may be asked: less than 14 days, by a clock that is not the client's.
const MOST_HISTORY_HOURS: u32 = 335;

pub(super) fn to_duckdb(tokens: &[Token], session: &Session<'_>) -> Result<String, Failure> {
    let mut sql: Vec<String> = Vec::new();
    let mut cursor = Cursor::new(tokens);
    loop {
        let before = cursor;
        let piece = match cursor.next() {
            None => return Ok(sql.join(" ")),
            Some(Token::Text(text)) => literal(text),
            Some(Token::Number(number)) => number.clone(),
            Some(Token::Symbol(symbol)) => match *symbol {
                "(" | ")" | "," | "=" | "<" | ">" | "<>" | "<=" | ">=" | "!=" | "+" | "-" | "*" | "/" | "||" => {
                    (*symbol).to_owned()
                }
                "::" => format!("::{}", column_type(&mut cursor)?),
                other => return Err(Failure::unsupported(format!("'{other}' in a statement"))),
            },
            Some(Token::Dollars(_)) => return Err(Failure::unsupported("a $$ text in a statement")),
            Some(Token::Word(_) | Token::Quoted(_)) => {
                cursor = before;
                words(&mut cursor, session)?
            }
        };
        sql.push(piece);
    }
}

/// A keyword, a function's name, a column, a qualified column or a table.
fn words(cursor: &mut Cursor<'_>, session: &Session<'_>) -> Result<String, Failure> {
    if cursor.eat("SYSDATE ( )") {
        return Ok(NOW.to_owned());
    }
    if cursor.eat("DATEADD (") {
        return dateadd(cursor);
    }
    for join in ["FULL OUTER JOIN", "LEFT JOIN", "JOIN"] {
        if cursor.eat(join) {
            return Ok(join.to_owned());
        }
    }
    if cursor.eat("TABLE") {
        let function = cursor.group()?;
        let references = account::references(&lock(&session.shared.account), function)?;
        return references.map_or_else(|| copy_history(function), Ok);
    }
    // The names of a derived table's columns stand behind its own, as the arguments of a function do.
    if let [named, Token::Word(_) | Token::Quoted(_), columns, ..] = cursor.rest()
        && named.is("AS")
        && columns.is("(")
    {
        cursor.next();
        return Ok(format!("AS {}", identifier(&cursor.identifier()?)));
    }
    let bare = matches!(cursor.rest().first(), Some(Token::Word(_)));
    let mut parts = vec![cursor.identifier()?];
    while cursor.eat(".") {
        parts.push(cursor.identifier()?);
    }
    match &parts[..] {
        [word] if bare && KEYWORDS.contains(&word.as_str()) => Ok(word.clone()),
        [word] if cursor.rest().first().is_some_and(|next| next.is("(")) => {
            if bare && FUNCTIONS.contains(&word.as_str()) {
                Ok(word.clone())
            } else {
                Err(Failure::unsupported(format!("the function {word}")))
            }
        }
        [database, schema, view] if schema == "INFORMATION_SCHEMA" && view == "COLUMNS" => Ok(all_columns(database)),
        [_] | [_, _] => Ok(parts.iter().map(|part| identifier(part)).collect::<Vec<_>>().join(".")),
        _ => Ok(session.table(&name(&parts)?)),
    }
}

/// `DATEADD('HOUR', -n, SYSDATE())`, after its parenthesis; the unit's case does not count.
fn dateadd(cursor: &mut Cursor<'_>) -> Result<String, Failure> {
    let unit = cursor.text()?.to_uppercase();
    if unit != "HOUR" && unit != "SECOND" {
        return Err(Failure::unsupported("DATEADD of other units than hours and seconds"));
    }
    cursor.expect(",")?;
    let sign = if cursor.eat("-") { "-" } else { "+" };
    let Some(Token::Number(count)) = cursor.next() else { return Err(cursor.unexpected("a number")) };
    cursor.expect(", SYSDATE ( ) )")?;
    Ok(format!("({NOW} {sign} INTERVAL {count} {unit})"))
}

/// `<db>.INFORMATION_SCHEMA.COLUMNS` with Snowflake's names of types. Whole numbers are kept in 64 bits here, whatever their
/// precision, and are told as the widest that the platform writes.
pub(super) fn all_columns(database: &str) -> String {
    let prefix = format!("{database}__");
    format!(
        "(SELECT substr(schema_name, {}) AS \"TABLE_SCHEMA\", table_name AS \"TABLE_NAME\", \
         column_name AS \"COLUMN_NAME\", column_index AS \"ORDINAL_POSITION\", \
         CASE WHEN data_type = 'BIGINT' OR data_type LIKE 'DECIMAL%' THEN 'NUMBER' WHEN data_type = 'VARCHAR' THEN 'TEXT' \
         WHEN data_type = 'TIMESTAMP' THEN 'TIMESTAMP_NTZ' ELSE data_type END AS \"DATA_TYPE\", \
         CASE WHEN data_type = 'BIGINT' THEN 19 WHEN data_type LIKE 'DECIMAL%' THEN numeric_precision END \
         AS \"NUMERIC_PRECISION\", \
         CASE WHEN data_type = 'BIGINT' THEN 0 WHEN data_type LIKE 'DECIMAL%' THEN numeric_scale END \
         AS \"NUMERIC_SCALE\" \
         FROM duckdb_columns() WHERE starts_with(schema_name, {}) AND NOT internal)",
        prefix.chars().count() + 1,
        literal(&prefix)
    )
}

/// `TABLE(<db>.INFORMATION_SCHEMA.COPY_HISTORY(TABLE_NAME => '..', START_TIME => DATEADD(HOUR, -n, CURRENT_TIMESTAMP())))`.
fn copy_history(function: &[Token]) -> Result<String, Failure> {
    let mut cursor = Cursor::new(function);
    let database = cursor.identifier()?;
    cursor.expect(". INFORMATION_SCHEMA . COPY_HISTORY")?;
    let mut arguments = Cursor::new(cursor.group()?);
    cursor.end()?;
    arguments.expect("TABLE_NAME =>")?;
    let table = name_in(arguments.text()?)?;
    arguments.expect(", START_TIME => DATEADD ( HOUR , -")?;
    let Some(Token::Number(hours)) = arguments.next() else { return Err(arguments.unexpected("a number of hours")) };
    arguments.expect(", CURRENT_TIMESTAMP ( ) )")?;
    arguments.end()?;
    if hours.parse().map_or(true, |hours: u32| hours > MOST_HISTORY_HOURS) {
        let text = "Invalid value for START_TIME: it lies more than 14 days back";
        return Err(Failure::new("001044", "42P13", format!("SQL compilation error: {text}")));
    }
    if table.database != database {
        return Err(Failure::missing("Table", &table));
    }
    Ok(format!(
        "(FROM \"_STANDIN\".COPY_HISTORY WHERE TABLE_PATH = {} AND LAST_LOAD_TIME >= {NOW} - INTERVAL {hours} HOUR)",
        literal(&table.to_string())
    ))
}
