//! Columns and their types: one description for the contract, the Parquet file, the warehouse table and the docs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

use crate::{Error, Result};

/// The types a raw table may have. Everything else is refused by name, never approximated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    Bigint,
    Text,
    /// Exact decimal: precision up to 38, scale up to precision.
    Decimal(u8, i8),
    /// UTC, microseconds.
    Timestamp,
    Date,
    Boolean,
}

impl FromStr for ColumnType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bigint" => return Ok(ColumnType::Bigint),
            "text" => return Ok(ColumnType::Text),
            "timestamp" => return Ok(ColumnType::Timestamp),
            "date" => return Ok(ColumnType::Date),
            "boolean" => return Ok(ColumnType::Boolean),
            _ => {}
        }
        let decimal = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).and_then(|inner| {
            let (precision, scale) = inner.split_once(',')?;
            let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<i8>().ok()?);
            (1..=38).contains(&precision).then_some(())?;
            (0..=precision as i8).contains(&scale).then_some(ColumnType::Decimal(precision, scale))
        });
        decimal.ok_or_else(|| {
            Error::config(format!(
                "'{text}' is not a column type; known are bigint, text, timestamp, date, boolean, and decimal(p,s) with p \
                 from 1 to 38 and s from 0 to p"
            ))
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Bigint => f.write_str("bigint"),
            ColumnType::Text => f.write_str("text"),
            ColumnType::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Boolean => f.write_str("boolean"),
        }
    }
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a contract does about a change of its source. docs/contracts.md has the table of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A change stops the run before anything is written, until a person has changed the contract or the source.
    Freeze,
    /// New columns are extracted and the raw table gets them; numbers may grow. Nothing is ever taken away.
    Evolve,
    /// The contract stands: new columns are left out, and rows that do not fit it are rejected and kept.
    #[default]
    Reject,
}

/// One column of a raw table, with what its contract demands of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Lower case; the warehouse has it in upper case.
    pub name: String,
    /// What the source calls it, where that is another name: a column, a property, a field of a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_name: Option<String>,
    /// bigint, text, decimal(p,s), timestamp (UTC, microseconds), date or boolean.
    #[cfg_attr(test, schemars(with = "String", regex(pattern = crate::sources::tests::editors::TYPE)))]
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// A row without a value here is rejected.
    #[serde(default)]
    pub required: bool,
    /// A number below this is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// A number that is not above this is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive_minimum: Option<i64>,
    /// A number above this is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    /// A text that is none of these is rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What happens when the source changes this column; absent means the table's own mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Mode>,
    /// Personal data: never logged. The warehouse masks it only where `platform/warehouse.yaml` has a section `pii`, which needs
    /// Snowflake's Enterprise edition; as shipped it has none, and each reader of the table reads the column.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pii: bool,
}

impl Column {
    /// A column that demands nothing of its values.
    pub fn optional(name: &str, column_type: ColumnType) -> Self {
        Column {
            name: name.to_owned(),
            source_name: None,
            column_type,
            required: false,
            minimum: None,
            exclusive_minimum: None,
            maximum: None,
            one_of: Vec::new(),
            description: None,
            contract: None,
            pii: false,
        }
    }

    /// The name by which the source knows it.
    pub fn source(&self) -> &str {
        self.source_name.as_deref().unwrap_or(&self.name)
    }
}

/// The ordered columns of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Schema(pub Vec<Column>);

impl Schema {
    pub fn columns(&self) -> &[Column] {
        &self.0
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|column| column.name == name)
    }

    /// The column that takes what the source has under this name.
    pub fn position_of_source(&self, source: &str) -> Option<usize> {
        self.0.iter().position(|column| column.source() == source)
    }

    /// Names and types only: the part whose change is drift. Rendered, not hashed, so that a person can compare two.
    pub fn fingerprint(&self) -> String {
        let columns: Vec<String> =
            self.0.iter().map(|column| format!("{}:{}", column.name, column.column_type)).collect();
        columns.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_they_print() {
        for text in ["bigint", "text", "decimal(18,10)", "timestamp", "date", "boolean"] {
            assert_eq!(text.parse::<ColumnType>().map(|t| t.to_string()).ok().as_deref(), Some(text));
        }
        for bad in ["int", "decimal", "decimal(39,2)", "decimal(5,6)", "decimal(5,-1)", "TEXT", ""] {
            assert!(bad.parse::<ColumnType>().is_err(), "{bad} was accepted");
        }
    }
}
