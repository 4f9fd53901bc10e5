//! What is known of the compiled models: columns with their sources, and links from rows to rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result};

/// The version that this code reads.
const VERSION: u32 = 1;

/// `dbt/lineage.json`. Tables and columns are named as the warehouse stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Lineage {
    version: u32,
    pub models: BTreeMap<String, Model>,
    /// What the parser could not follow.
    pub unresolved: Vec<Unresolved>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    pub model: String,
    pub reason: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Model {
    /// dbt's name.
    pub model: String,
    /// Columns that are each tested to be unique.
    pub key: Vec<String>,
    /// The tables that the model reads.
    pub reads: Vec<String>,
    pub columns: BTreeMap<String, Column>,
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Column {
    pub from: Vec<Origin>,
    /// Over the columns of the tables before; absent where the value is passed on as it is.
    #[serde(default)]
    pub formula: Option<String>,
    #[serde(default)]
    pub again: Option<Again>,
}

/// A column that a value comes from; `*` for the rows themselves, which are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    pub table: String,
    pub column: String,
    pub how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Passed on as it is.
    Same,
    Computed,
    Aggregate,
    Window,
}

/// How a value is worked out again, over rows named R.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Again {
    /// The table whose rows are put together; without it the value's own row has all that is needed.
    #[serde(default)]
    pub over: Option<String>,
    pub uses: Vec<String>,
    pub sql: String,
}

/// How a row of a model finds its rows in a table that the model reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Link {
    pub table: String,
    pub on: Vec<Condition>,
    /// Conditions on the table's own rows (T).
    #[serde(default, rename = "where")]
    pub filters: Vec<String>,
    /// The rows of the model that have come this way.
    #[serde(default)]
    pub when: Vec<When>,
    #[serde(default)]
    pub grouped: bool,
    /// Of several rows only the first by this order counts.
    #[serde(default)]
    pub first_by: Vec<String>,
}

/// A term of the table (T) equals a column of the model or a constant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Condition {
    pub theirs: String,
    #[serde(default)]
    pub ours: Option<String>,
    #[serde(default)]
    pub constant: Option<String>,
    /// Both may be NULL and are equal then.
    #[serde(default)]
    pub nullable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct When {
    pub ours: String,
    pub constant: String,
}

impl Lineage {
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let broken = |error| Error::invalid_data("the lineage of the models does not parse").because(error);
        let lineage: Lineage = serde_json::from_slice(bytes).map_err(broken)?;
        if lineage.version != VERSION {
            let text = format!("the lineage has version {}, this build reads {VERSION}", lineage.version);
            return Err(Error::unsupported(text).with_hint("take the command and dbt/lineage.json from one release"));
        }
        Ok(lineage)
    }

    /// Every table: models, and what they read that is none.
    pub fn tables(&self) -> BTreeSet<&str> {
        let read = self.models.values().flat_map(|model| &model.reads);
        self.models.keys().chain(read).map(String::as_str).collect()
    }

    pub fn column(&self, table: &str, column: &str) -> Option<&Column> {
        self.models.get(table)?.columns.get(column)
    }

    /// Where a column comes from; nothing of a raw table's.
    pub fn origins(&self, table: &str, column: &str) -> &[Origin] {
        self.column(table, column).map_or(&[], |column| &column.from)
    }

    /// Columns that come from this one at once, as table and column.
    pub fn feeds(&self, table: &str, column: &str) -> Vec<(&str, &str)> {
        let is_from = |origin: &Origin| origin.table == table && origin.column == column;
        let mut fed = Vec::new();
        for (name, model) in &self.models {
            let columns = model.columns.iter().filter(|(_, column)| column.from.iter().any(is_from));
            fed.extend(columns.map(|(column, _)| (name.as_str(), column.as_str())));
        }
        fed
    }
}
