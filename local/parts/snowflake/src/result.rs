//! What a statement answers, in the SQL API's types and text encodings.

use duckdb::{
    Connection,
    arrow::datatypes::{DataType, TimeUnit},
    types::ValueRef,
};
use serde::Serialize;

use crate::failure::Failure;

/// One entry of `rowType`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResultColumn {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) length: Option<u64>,
    pub(crate) precision: Option<u8>,
    pub(crate) scale: Option<i8>,
    pub(crate) nullable: bool,
}

impl ResultColumn {
    fn new(name: impl Into<String>, kind: &'static str) -> Self {
        ResultColumn { name: name.into(), kind, length: None, precision: None, scale: None, nullable: true }
    }

    fn text(name: impl Into<String>) -> Self {
        ResultColumn { length: Some(16_777_216), ..ResultColumn::new(name, "text") }
    }

    fn fixed(name: impl Into<String>, precision: u8, scale: i8) -> Self {
        ResultColumn { precision: Some(precision), scale: Some(scale), ..ResultColumn::new(name, "fixed") }
    }

    fn of(name: &str, data_type: &DataType) -> Result<Self, Failure> {
        Ok(match data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ResultColumn::fixed(name, 19, 0),
            DataType::Decimal128(precision, scale) => ResultColumn::fixed(name, *precision, *scale),
            DataType::Float32 | DataType::Float64 => ResultColumn::new(name, "real"),
            DataType::Utf8 => ResultColumn::text(name),
            DataType::Boolean => ResultColumn::new(name, "boolean"),
            DataType::Date32 => ResultColumn::new(name, "date"),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => ResultColumn {
                scale: Some(6),
                ..ResultColumn::new(name, if zone.is_some() { "timestamp_ltz" } else { "timestamp_ntz" })
            },
            other => return Err(Failure::unsupported(format!("a result column of type {other}"))),
        })
    }
}

/// The columns and rows of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultSet {
    pub(crate) columns: Vec<ResultColumn>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl ResultSet {
    /// One row with one text: what DDL and scripting blocks answer.
    pub(crate) fn message(column: &str, text: impl Into<String>) -> Self {
        ResultSet { columns: vec![ResultColumn::text(column)], rows: vec![vec![Some(text.into())]] }
    }

    /// What a statement about the account answers when it has done something.
    pub(crate) fn done(text: impl Into<String>) -> Self {
        ResultSet::message("status", text)
    }

    /// One row of texts, each under its column's name.
    pub(crate) fn texts(row: &[(&str, &str)]) -> Self {
        ResultSet {
            columns: row.iter().map(|(name, _)| ResultColumn::text(*name)).collect(),
            rows: vec![row.iter().map(|(_, text)| Some((*text).to_owned())).collect()],
        }
    }

    /// What SHOW and DESCRIBE answer: texts, and moments under names that say so.
    pub(crate) fn listed<'a>(columns: impl IntoIterator<Item = &'a str>, rows: Vec<Vec<Option<String>>>) -> Self {
        let column = |name: &str| match name {
            "created_on" | "updated_on" | "resumed_on" => {
                ResultColumn { scale: Some(3), ..ResultColumn::new(name, "timestamp_ltz") }
            }
            name => ResultColumn::text(name),
        };
        ResultSet { columns: columns.into_iter().map(column).collect(), rows }
    }

    /// What a change of rows answers: the first column counts, the others are zero.
    pub(crate) fn counts(columns: &[&str], count: usize) -> Self {
        let mut row = vec![Some("0".to_owned()); columns.len()];
        if let Some(first) = row.first_mut() {
            *first = Some(count.to_string());
        }
        ResultSet { columns: columns.iter().map(|name| ResultColumn::fixed(*name, 19, 0)).collect(), rows: vec![row] }
    }
}

/// Runs a query that is DuckDB's text already.
pub(crate) fn query(conn: &Connection, sql: &str) -> Result<ResultSet, Failure> {
    query_rows(conn, sql, usize::MAX)
}

/// The first rows of a query's answer, no more than `most`.
pub(crate) fn query_rows(conn: &Connection, sql: &str, most: usize) -> Result<ResultSet, Failure> {
    let mut statement = conn.prepare(sql)?;
    let mut found = statement.query([])?;
    let columns = match found.as_ref() {
        Some(statement) => (0..statement.column_count())
            .map(|i| ResultColumn::of(statement.column_name(i)?, &statement.column_type(i)))
            .collect::<Result<Vec<_>, Failure>>()?,
        None => Vec::new(),
    };
    let mut rows = Vec::new();
    while rows.len() < most
        && let Some(row) = found.next()?
    {
        rows.push((0..columns.len()).map(|i| cell(row.get_ref(i)?)).collect::<Result<Vec<_>, Failure>>()?);
    }
    Ok(ResultSet { columns, rows })
}

fn cell(value: ValueRef<'_>) -> Result<Option<String>, Failure> {
    Ok(Some(match value {
        ValueRef::Null => return Ok(None),
        ValueRef::Boolean(value) => value.to_string(),
        ValueRef::TinyInt(value) => value.to_string(),
        ValueRef::SmallInt(value) => value.to_string(),
        ValueRef::Int(value) => value.to_string(),
        ValueRef::BigInt(value) => value.to_string(),
        ValueRef::HugeInt(value) => value.to_string(),
        ValueRef::Float(value) => value.to_string(),
        ValueRef::Double(value) => value.to_string(),
        ValueRef::Decimal(value) => value.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Date32(days) => days.to_string(),
        ValueRef::Timestamp(unit, value) => {
            let micros = unit.to_micros(value);
            let sign = if micros < 0 { "-" } else { "" };
            format!("{sign}{}.{:06}000", micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000)
        }
        other => return Err(Failure::unsupported(format!("a result value of type {:?}", other.data_type()))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_encoded_as_the_sql_api_does() {
        let conn = Connection::open_in_memory().expect("a database");
        let sql = "SELECT 7::BIGINT AS n, 1.50::DECIMAL(9,2) AS d, 'x' AS t, true AS b, DATE '1970-01-11' AS day, \
                   TIMESTAMP '1970-01-01 00:00:01.5' AS ts, TIMESTAMP '1969-12-31 23:59:58.5' AS early, NULL::VARCHAR AS z, \
                   SUM(5::BIGINT) AS total";
        let answer = query(&conn, sql).expect("an answer");
        let kinds: Vec<&str> = answer.columns.iter().map(|column| column.kind).collect();
        let expected = ["fixed", "fixed", "text", "boolean", "date", "timestamp_ntz", "timestamp_ntz", "text", "fixed"];
        assert_eq!(kinds, expected);
        assert_eq!((answer.columns[1].precision, answer.columns[1].scale), (Some(9), Some(2)));
        let row: Vec<Option<&str>> = answer.rows[0].iter().map(Option::as_deref).collect();
        let expected = ["7", "1.50", "x", "true", "10", "1.500000000", "-1.500000000"]
            .map(Some)
            .into_iter()
            .chain([None, Some("5")]);
        assert_eq!(row, expected.collect::<Vec<_>>());
    }
}
