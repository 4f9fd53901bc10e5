//! `platform/sources.yaml`: what is extracted, how it loads, and the contract of every raw table.
//!
//! The file is judged whole: every problem of every entry is told at once, with its line and column. A setting that would
//! have no effect is a problem.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Mode, Result, Schedule, Schema, TableId,
    functions::{self, Function},
    judge::{self, Report},
};

mod columns;
mod entry;
pub mod monitors;
mod rules;
#[cfg(test)]
pub(crate) mod tests;
mod watched;

pub use monitors::{Monitor, Monitors};

/// Where the file lies in the project and in a function's zip.
pub const FILE: &str = "platform/sources.yaml";

/// Who brings a commit into the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Loader {
    /// `COPY INTO` by `load-commits`, in one transaction with the ledger.
    Copy,
    /// An asynchronous load of the warehouse's own, told by `load-commits`: Snowpipe.
    #[serde(rename = "snowpipe")]
    Async,
    /// Channels by `stream-kafka`; such a table has no commits.
    Streaming,
}

/// How a commit's rows become part of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Add the rows.
    Append,
    /// Insert or update by key; with a version column only newer versions win, without one rows never change.
    Merge,
    /// The rows are the whole table.
    Replace,
}

/// Where a table's rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A PostgreSQL table that only ever grows, read by an increasing column.
    Postgres { schema: String, table: String, cursor: String },
    /// The currency list of Open Exchange Rates.
    Currencies,
    /// Daily rates of Open Exchange Rates.
    ExchangeRates {
        /// The currency all rates are quoted against.
        base: String,
        /// The first day the platform wants rates for.
        #[cfg_attr(test, schemars(with = "String", extend("format" = "date")))]
        first_date: chrono::NaiveDate,
    },
    /// HubSpot CRM contacts.
    HubspotContacts,
    /// A Kafka topic.
    Kafka {
        topic: String,
        #[serde(default)]
        format: Format,
        /// In how many partitions it is; `sluice topics` makes it so. What is left out of these is as the cluster has it.
        #[cfg_attr(test, schemars(range(min = 1, max = MOST_PARTITIONS)))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partitions: Option<u32>,
        /// How long the cluster keeps a record.
        #[cfg_attr(test, schemars(range(min = 1)))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retention_hours: Option<u32>,
        /// Whether the cluster keeps of each key the newest record alone; with a retention, no longer than that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compaction: Option<bool>,
    },
}

/// More partitions than a topic of one table needs; a larger number is a mistake.
pub const MOST_PARTITIONS: u32 = 10_000;

/// How the columns of a source come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It shows them, and they are checked against the contract before each read.
    Shown,
    /// Its API fixes them; the API's name.
    Fixed(&'static str),
    /// The producer of a record decides.
    Open,
}

impl Source {
    /// Its word in the file.
    pub fn kind(&self) -> &'static str {
        match self {
            Source::Postgres { .. } => "postgres",
            Source::Currencies => "currencies",
            Source::ExchangeRates { .. } => "exchange_rates",
            Source::HubspotContacts => "hubspot_contacts",
            Source::Kafka { .. } => "kafka",
        }
    }

    /// What is read: a table, a topic, else all that the kind is of.
    pub fn object(&self) -> String {
        match self {
            Source::Postgres { schema, table, .. } => format!("{schema}.{table}"),
            Source::Kafka { topic, .. } => topic.clone(),
            other => other.kind().to_owned(),
        }
    }

    /// The function that brings its rows.
    pub fn function(&self) -> Option<&'static Function> {
        functions::ALL.iter().copied().find(|function| self.is_of(function))
    }

    pub fn is_of(&self, function: &Function) -> bool {
        function.kinds.contains(&self.kind())
    }

    pub(crate) fn shape(&self) -> Shape {
        match self {
            Source::Postgres { .. } | Source::HubspotContacts => Shape::Shown,
            Source::Currencies | Source::ExchangeRates { .. } => Shape::Fixed("Open Exchange Rates"),
            Source::Kafka { .. } => Shape::Open,
        }
    }
}

/// How a topic's values are written. The schema is `platform/schemas/<topic>`, with this extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON text; a JSON Schema describes it.
    #[default]
    Json,
    /// Avro in the Confluent wire format, its writers' schemas in a schema registry.
    Avro,
}

impl Format {
    /// The extension of a schema file.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Avro => "avsc",
        }
    }
}

/// One raw table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// `DATABASE.SCHEMA.TABLE`, the name in the warehouse and in the lake.
    #[cfg_attr(test, schemars(with = "String", regex(pattern = tests::editors::TABLE)))]
    pub table: TableId,
    pub description: String,
    pub source: Source,
    /// When it is extracted, in UTC; absent means only by hand.
    #[cfg_attr(test, schemars(with = "Option<String>", regex(pattern = tests::editors::SCHEDULE)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    pub loader: Loader,
    pub disposition: Disposition,
    /// The columns that tell one row from another.
    #[serde(default)]
    pub key: Vec<String>,
    /// Which of two rows with one key wins; absent means that rows never change.
    #[serde(default)]
    pub version_column: Option<String>,
    /// What happens when the source's shape changes; a column may say otherwise for itself.
    #[serde(default)]
    pub contract: Mode,
    /// What monitors do differently for this table; docs/watching.md has the defaults.
    #[serde(default, skip_serializing_if = "Monitors::is_default")]
    pub monitors: Monitors,
    pub columns: Schema,
}

/// The whole file.
#[derive(Clone, Default, PartialEq)]
pub struct Sources {
    pub tables: Vec<Table>,
    /// The file that was read, for messages that ask to change it.
    file: String,
}

/// Names only: every function logs its settings at cold start.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tables.iter().map(|table| table.table.to_string())).finish()
    }
}

impl Sources {
    /// Reads and judges the text of the file.
    pub fn parse(yaml: &str) -> Result<Self> {
        Self::judge(FILE, yaml)
    }

    pub fn read(path: &Path) -> Result<Self> {
        let unreadable =
            |hint| Error::config("cannot read the tables' entries").with("file", path.display()).with_hint(hint);
        let bytes = std::fs::read(path).map_err(|error| {
            unreadable("the file must be there and readable; docs/add-a-table.md shows an entry").because(error)
        })?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable("save the file as UTF-8").because(error))?;
        Self::judge(&path.display().to_string(), &text)
    }

    fn judge(file: &str, text: &str) -> Result<Self> {
        let mut report = Report::default();
        let entries = match judge::tree(text, &mut report) {
            Some(root) => entry::read(root.as_ref(), &mut report),
            None => Vec::new(),
        };
        rules::judge(&entries, &mut report);
        report.finish(file)?;
        Ok(Sources { tables: entries.into_iter().filter_map(entry::Entry::table).collect(), file: file.to_owned() })
    }

    /// The file that was read.
    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn table(&self, id: &TableId) -> Result<&Table> {
        self.tables
            .iter()
            .find(|table| table.table == *id)
            .ok_or_else(|| Error::config(format!("no entry in {} is this table; add one", self.file)).with("table", id))
    }

    pub fn topic(&self, topic: &str) -> Result<&Table> {
        self.tables
            .iter()
            .find(|table| matches!(&table.source, Source::Kafka { topic: t, .. } if t == topic))
            .ok_or_else(|| {
                Error::config(format!("no table in {} takes this topic; add an entry", self.file)).with("topic", topic)
            })
    }
}
