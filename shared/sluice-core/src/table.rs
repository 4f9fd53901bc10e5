//! Names and numbers that identify things: a table, a lake, a run, a place in a table's log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

use crate::{Error, Result};

/// `DATABASE.SCHEMA.TABLE`, upper case: the name in the warehouse, in `sources.yaml` and in the lake's paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId {
    pub database: String,
    pub schema: String,
    pub table: String,
}

impl TableId {
    /// `DATABASE/SCHEMA/TABLE`, the path below `raw/` and `rejected/`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.database, self.schema, self.table)
    }
}

impl FromStr for TableId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [database, schema, table] = parts[..] else {
            return Err(Error::config(format!("a table is named DATABASE.SCHEMA.TABLE, not '{text}'")));
        };
        for part in [database, schema, table] {
            let mut chars = part.chars();
            let starts_well = chars.next().is_some_and(|c| c.is_ascii_uppercase() || c == '_');
            if !starts_well || !chars.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
                return Err(Error::config(format!(
                    "'{part}' in table name '{text}' is not an upper-case identifier (A-Z, 0-9, _)"
                )));
            }
        }
        Ok(TableId { database: database.into(), schema: schema.into(), table: table.into() })
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.database, self.schema, self.table)
    }
}

impl Serialize for TableId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// One lake's identity. Part of every idempotency key, so that two stacks may load into one warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LakeId(pub String);

impl fmt::Display for LakeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of one function on one table; on every log line, event, commit and query tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a commit in its table's log; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    pub const FIRST: Sequence = Sequence(1);

    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_enter() {
        assert_eq!("DLT.A.B_2".parse::<TableId>().map(|t| t.path()).ok(), Some("DLT/A/B_2".into()));
        for bad in ["", "A.B", "A.B.C.D", "a.B.C", "A.B.C;", "A..C", "A.B.1C"] {
            assert!(bad.parse::<TableId>().is_err(), "{bad} was accepted");
        }
    }
}
