//! Rows that must not count: an operator puts them aside and takes them back.
//!
//! A row is known by its table's key. Nothing in the lake or in the raw table changes, so no replay, reset or load can bring
//! a row back; staging leaves out what is listed. Taking back ends the entry and deletes nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::Serialize;
use sluice_core::{Column, ColumnType, Error, Loader, Result, Table, TableId};

/// A row's key: a value for each key column of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKey {
    /// As it is kept and shown: the only value as it is; of several each with `%` and `/` as `%25` and `%2F`, joined by `/`.
    /// The macro `key_text` in dbt makes the same of a row.
    pub text: String,
    /// Column by column, in the form of its type.
    pub values: Vec<KeyValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    pub column: String,
    pub column_type: ColumnType,
    pub text: String,
}

const KEY_HINT: &str = "write the values in the order of `key` in platform/sources.yaml, joined by `/`, with `/` inside a value \
    as %2F and `%` as %25";

impl RowKey {
    /// Reads a key as it is shown.
    pub fn parse(table: &Table, shown: &str) -> Result<Self> {
        let columns = key_columns(table)?;
        let given: Vec<String> = match columns.len() {
            1 => vec![shown.to_owned()],
            _ => shown.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect(),
        };
        if given.len() != columns.len() {
            return Err(Error::config(format!("the key of this table has {} values", columns.len()))
                .with("given", given.len())
                .with_hint(KEY_HINT));
        }
        Self::of(&columns, &given.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The key of a row whose key columns have these values.
    pub fn of_values(table: &Table, values: &[&str]) -> Result<Self> {
        Self::of(&key_columns(table)?, values)
    }

    fn of(columns: &[&Column], given: &[&str]) -> Result<Self> {
        let value = |(column, text): (&&Column, &&str)| {
            let text = canonical(column, text)?;
            Ok(KeyValue { column: column.name.clone(), column_type: column.column_type, text })
        };
        let values = columns.iter().zip(given).map(value).collect::<Result<Vec<_>>>()?;
        let text = match &values[..] {
            [only] => only.text.clone(),
            several => {
                let part = |value: &KeyValue| value.text.replace('%', "%25").replace('/', "%2F");
                several.iter().map(part).collect::<Vec<_>>().join("/")
            }
        };
        Ok(RowKey { text, values })
    }
}

fn key_columns(table: &Table) -> Result<Vec<&Column>> {
    if table.key.is_empty() {
        return Err(Error::unsupported("this table has no key, so none of its rows can be named")
            .with("table", &table.table)
            .with_hint("give its entry in platform/sources.yaml a key"));
    }
    let of = |name: &String| table.columns.columns().iter().find(|column| column.name == *name);
    let found: Option<Vec<&Column>> = table.key.iter().map(of).collect();
    found.ok_or_else(|| Error::config("a key column is none of the table's").with("table", &table.table))
}

/// The value as the warehouse's texts have it, so that one value has one form.
fn canonical(column: &Column, text: &str) -> Result<String> {
    const MICROS: &str = "%Y-%m-%d %H:%M:%S%.6f";
    let form = match column.column_type {
        ColumnType::Text => return Ok(text.to_owned()),
        ColumnType::Bigint => text.trim().parse::<i64>().ok().map(|number| number.to_string()),
        ColumnType::Date => text.trim().parse::<NaiveDate>().ok().map(|date| date.to_string()),
        ColumnType::Boolean => Some(text.trim().to_lowercase()).filter(|text| text == "true" || text == "false"),
        ColumnType::Timestamp => {
            let text = text.trim();
            let zoned = DateTime::parse_from_rfc3339(text).ok().map(|at| at.naive_utc());
            let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
            zoned.or_else(plain).map(|at| at.format(MICROS).to_string())
        }
        ColumnType::Decimal(..) => {
            let text = "a row whose key is a decimal cannot be put aside";
            return Err(Error::unsupported(text).with("column", &column.name));
        }
    };
    form.ok_or_else(|| {
        let (name, kind) = (&column.name, column.column_type);
        Error::config(format!("the value for the key column '{name}' is no {kind}"))
            .with_hint("look the row up with `sluice query`")
    })
}

/// How a person names a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// As keys are shown.
    Key(&'a str),
    /// Where a topic had it.
    Place { partition: i32, offset: i64 },
}

/// A row that is put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AsideRow {
    pub key: String,
    pub reason: String,
    /// Who asked for it, as the cloud knows them.
    pub by: String,
    pub at: Option<DateTime<Utc>>,
}

/// How many rows of a table are put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AsideCount {
    pub rows: u64,
    pub newest: Option<DateTime<Utc>>,
}

/// The warehouse's list of rows that do not count.
pub trait Aside {
    /// How many rows of the raw table have the key.
    fn rows_with(&self, table: &Table, key: &RowKey) -> impl Future<Output = Result<u64>>;

    /// The keys of the rows that stand at a place of a topic: of several only where the topic was made again.
    fn keys_at(&self, table: &Table, partition: i32, offset: i64) -> impl Future<Output = Result<Vec<RowKey>>>;

    /// Whether it was not listed yet.
    fn put_aside(&self, table: &TableId, key: &RowKey, by: &str, reason: &str) -> impl Future<Output = Result<bool>>;

    /// Whether it was listed.
    fn take_back(&self, table: &TableId, key: &RowKey, by: &str, reason: &str) -> impl Future<Output = Result<bool>>;

    /// What is listed of a table, the newest first, no more than `limit`.
    fn aside(&self, table: &TableId, limit: usize) -> impl Future<Output = Result<Vec<AsideRow>>>;

    /// Tables by name.
    fn asides(&self) -> impl Future<Output = Result<BTreeMap<String, AsideCount>>>;
}

/// The row that is meant, and how many rows of the raw table have its key.
pub async fn find(warehouse: &impl Aside, table: &Table, wanted: Wanted<'_>) -> Result<(RowKey, u64)> {
    let key = match wanted {
        Wanted::Key(shown) => RowKey::parse(table, shown)?,
        Wanted::Place { .. } if table.loader != Loader::Streaming => {
            return Err(Error::config("only a streaming table's rows have offsets")
                .with("table", &table.table)
                .with_hint("name the row by its key: --key VALUE"));
        }
        Wanted::Place { partition, offset } => {
            let mut found = warehouse.keys_at(table, partition, offset).await?;
            let key =
                found.pop().ok_or_else(|| not_there(table).with("partition", partition).with("offset", offset))?;
            if !found.is_empty() {
                return Err(Error::config("rows of several creations of the topic have this offset")
                    .with_hint("find the row with `sluice query` and name it by its key: --key VALUE"));
            }
            key
        }
    };
    let rows = warehouse.rows_with(table, &key).await?;
    Ok((key, rows))
}

/// What there is to say about a row that nobody finds.
pub fn not_there(table: &Table) -> Error {
    Error::not_found("no row of the raw table is this one").with("table", &table.table).with_hint(
        "look with `sluice query`; a dead letter or a rejected row is not in the table, and `sluice rejects` shows it",
    )
}

#[cfg(test)]
mod tests;
