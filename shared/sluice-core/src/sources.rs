//! `platform/sources.yaml`: what is extracted, how it loads, and the contract of every raw table.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Disposition, Error, Mode, Result, Schedule, Schema, TableId};

/// Who brings a commit into the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loader {
    /// `COPY INTO` by `load-commits`, in one transaction with the ledger.
    Copy,
    /// Snowpipe, told by `load-commits`.
    Snowpipe,
    /// Snowpipe Streaming by `stream-kafka`; such a table has no commits.
    Streaming,
}

/// Where a table's rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        first_date: chrono::NaiveDate,
    },
    /// HubSpot CRM contacts.
    HubspotContacts,
    /// A Kafka topic.
    Kafka {
        topic: String,
        #[serde(default)]
        format: Format,
    },
}

/// How a topic's values are written. The schema is `platform/schemas/<topic>`, with this extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[serde(deny_unknown_fields)]
pub struct Table {
    pub table: TableId,
    pub description: String,
    pub source: Source,
    /// When it is extracted; absent means only by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    pub loader: Loader,
    pub disposition: Disposition,
    #[serde(default)]
    pub key: Vec<String>,
    /// Which of two rows with one key wins; absent means that rows never change.
    #[serde(default)]
    pub version_column: Option<String>,
    /// What happens when the source's shape changes; a column may say otherwise for itself.
    #[serde(default)]
    pub contract: Mode,
    pub columns: Schema,
}

/// The whole file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    pub tables: Vec<Table>,
}

/// Names only: every function logs its settings at cold start.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tables.iter().map(|table| table.table.to_string())).finish()
    }
}

impl Sources {
    /// Reads and checks the file; every problem is named with its table.
    pub fn parse(yaml: &str) -> Result<Self> {
        let sources: Sources = serde_yaml_ng::from_str(yaml)
            .map_err(|error| Error::config("platform/sources.yaml does not parse").because(error))?;
        let problems: Vec<String> = sources.tables.iter().flat_map(problems).collect();
        if problems.is_empty() {
            return Ok(sources);
        }
        Err(Error::config(format!("platform/sources.yaml is not usable: {}", problems.join("; "))))
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::config("cannot read the sources").with("path", path.display()).because(error))?;
        Self::parse(&text)
    }

    pub fn table(&self, id: &TableId) -> Result<&Table> {
        self.tables.iter().find(|table| table.table == *id).ok_or_else(|| {
            Error::config("no such table in platform/sources.yaml; add an entry for it").with("table", id)
        })
    }

    pub fn topic(&self, topic: &str) -> Result<&Table> {
        self.tables
            .iter()
            .find(|table| matches!(&table.source, Source::Kafka { topic: t, .. } if t == topic))
            .ok_or_else(|| {
                Error::config("no table in platform/sources.yaml takes this topic; add an entry").with("topic", topic)
            })
    }
}

fn problems(table: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    let mut needed: Vec<&str> = table.key.iter().map(String::as_str).collect();
    needed.extend(table.version_column.as_deref());
    if let Source::Postgres { cursor, .. } = &table.source {
        needed.push(cursor);
    }
    for name in needed {
        if table.columns.position(name).is_none() {
            problems.push(format!("{}: no column '{name}'", table.table));
        }
    }
    for (i, column) in table.columns.columns().iter().enumerate() {
        if column.name != column.name.to_lowercase() || column.name.starts_with("_sluice_") {
            problems.push(format!(
                "{}: column '{}' must be lower case and not begin with _sluice_",
                table.table, column.name
            ));
        }
        if table.columns.position(&column.name) != Some(i) {
            problems.push(format!("{}: column '{}' stands twice", table.table, column.name));
        }
    }
    for column in table.columns.columns().iter().filter(|column| table.key.contains(&column.name) && !column.required) {
        problems.push(format!("{}: column '{}' is in the key and must be required", table.table, column.name));
    }
    // Whatever a person types into a CRM may be personal data: a property is read when somebody has named it.
    if table.source == Source::HubspotContacts && table.contract == Mode::Evolve {
        problems
            .push(format!("{}: HubSpot's properties are an allow-list, the contract cannot be evolve", table.table));
    }
    if table.disposition == Disposition::Merge && table.key.is_empty() {
        problems.push(format!("{}: merge needs a key", table.table));
    }
    if (table.loader == Loader::Streaming) != matches!(table.source, Source::Kafka { .. }) {
        problems.push(format!("{}: the loader 'streaming' and a kafka source belong together", table.table));
    }
    if table.loader == Loader::Streaming && table.schedule.is_some() {
        problems.push(format!("{}: a streaming table has no schedule", table.table));
    }
    problems.extend(misread(table).map(|problem| format!("{}: {problem}", table.table)));
    if table.loader == Loader::Snowpipe && table.disposition != Disposition::Append {
        problems.push(format!("{}: Snowpipe only appends", table.table));
    }
    problems
}

/// Whether what a run of this source reads is what the table's disposition takes its rows for.
fn misread(table: &Table) -> Option<&'static str> {
    match (&table.source, table.disposition) {
        (Source::Postgres { .. }, Disposition::Append) => Some(
            "a postgres table cannot be appended, because rows that are committed beside an open transaction are read \
             more than once and would count as often; take merge with a key, or replace",
        ),
        (Source::HubspotContacts, Disposition::Append | Disposition::Replace) => Some(
            "HubSpot's contacts must be merged, because a run reads changes, some of them again, and may stop before it \
             has read all",
        ),
        (Source::ExchangeRates { .. }, Disposition::Replace) => Some(
            "exchange rates cannot be replaced, because a run reads the days that are missing and never all of them",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_valid() {
        let shipped = Sources::parse(include_str!("../../../platform/sources.yaml")).expect("valid sources");
        assert_eq!(shipped.tables.len(), 5);
        assert!(shipped.topic("purchases").is_ok());
    }

    #[test]
    fn problems_name_the_table_and_the_column() {
        let yaml = "
tables:
  - table: A.B.C
    description: d
    source: { kind: currencies }
    loader: snowpipe
    disposition: merge
    key: [nope]
    columns: [{ name: Id, type: bigint }]
  - table: A.B.D
    description: d
    source: { kind: hubspot_contacts }
    loader: copy
    disposition: merge
    key: [id]
    contract: evolve
    columns: [{ name: id, type: bigint }]
";
        let text = Sources::parse(yaml).expect_err("problems").to_string();
        for part in [
            "A.B.C: no column 'nope'",
            "column 'Id' must be lower case",
            "Snowpipe only appends",
            "A.B.D: column 'id' is in the key and must be required",
            "A.B.D: HubSpot's properties are an allow-list",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_disposition_that_takes_a_runs_rows_for_what_they_are_not_is_refused() {
        let postgres = "{ kind: postgres, schema: s, table: t, cursor: id }";
        let rates = "{ kind: exchange_rates, base: USD, first_date: 2026-01-01 }";
        for (source, disposition, refused) in [
            (postgres, "merge", None),
            (postgres, "replace", None),
            (postgres, "append", Some("A.B.C: a postgres table cannot be appended")),
            ("{ kind: hubspot_contacts }", "merge", None),
            ("{ kind: hubspot_contacts }", "replace", Some("A.B.C: HubSpot's contacts must be merged")),
            ("{ kind: hubspot_contacts }", "append", Some("A.B.C: HubSpot's contacts must be merged")),
            (rates, "append", None),
            (rates, "replace", Some("A.B.C: exchange rates cannot be replaced")),
            ("{ kind: currencies }", "replace", None),
            ("{ kind: currencies }", "append", None),
        ] {
            let yaml = format!(
                "tables: [{{ table: A.B.C, description: d, source: {source}, loader: copy, disposition: {disposition},
                  key: [id], columns: [{{ name: id, type: bigint, required: true }}] }}]"
            );
            let problem = Sources::parse(&yaml).err().map(|error| error.to_string());
            match refused {
                None => assert_eq!(problem, None, "{source}, {disposition}"),
                Some(part) => assert!(problem.as_ref().is_some_and(|text| text.contains(part)), "{problem:?}"),
            }
        }
    }
}
