//! From the tree of the file to entries: what could be read of each, with its place.

use super::{Format, Loader, Source, Table, monitors::MonitorsEntry};
use crate::{
    Column, ColumnType, Disposition, Mode, Schedule, Schema, TableId, functions,
    judge::{Count, Fields, List, Report},
    yaml::{At, Node, Place, Value},
};

/// One entry. What is missing here was missing in the file or could not be read, which has been told.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// How messages name it: by its table, or by its number.
    pub name: String,
    pub table: Option<At<TableId>>,
    pub description: Option<At<String>>,
    pub source: Option<SourceEntry>,
    pub schedule: Option<At<Schedule>>,
    pub loader: Option<At<Loader>>,
    pub disposition: Option<At<Disposition>>,
    pub key: Option<At<List>>,
    pub version_column: Option<At<String>>,
    pub contract: Option<At<Mode>>,
    pub monitors: Option<MonitorsEntry>,
    /// `None` when there is no list of columns: then nothing is said of columns that others need.
    pub columns: Option<Vec<ColumnEntry>>,
}

/// A source and where each of its settings stands.
#[derive(Debug)]
pub(super) struct SourceEntry {
    pub source: Source,
    pub kind: Place,
    settings: Vec<(&'static str, Place)>,
}

/// A column and where each of its settings stands.
#[derive(Debug)]
pub(super) struct ColumnEntry {
    pub place: Place,
    pub name: Option<At<String>>,
    pub source_name: Option<At<String>>,
    pub column_type: Option<At<ColumnType>>,
    pub required: bool,
    pub minimum: Option<At<i64>>,
    pub exclusive_minimum: Option<At<i64>>,
    pub maximum: Option<At<i64>>,
    pub one_of: Option<At<List>>,
    pub description: Option<At<String>>,
    pub contract: Option<At<Mode>>,
    pub pii: bool,
}

/// Reads every entry of the file.
pub(super) fn read(root: Option<&Node>, report: &mut Report) -> Vec<Entry> {
    let top = Place { line: 1, column: 1 };
    let Some(root) = root.filter(|root| root.value != Value::Null) else {
        report.add(top, "the file is empty; it needs `tables:` with an entry for each table");
        return Vec::new();
    };
    let Some(mut file) = Fields::of("the file".to_owned(), root, report) else { return Vec::new() };
    let tables = file.needed("tables", report);
    file.end(report);
    let Some(tables) = tables else { return Vec::new() };
    match &tables.value {
        Value::List(entries) if !entries.is_empty() => {
            let numbered = entries.iter().enumerate();
            numbered.filter_map(|(at, node)| Entry::read(at + 1, node, report)).collect()
        }
        Value::List(_) | Value::Null => {
            report.add(tables.place, "`tables` has no entry; docs/add-a-table.md shows one");
            Vec::new()
        }
        other => {
            report.add(tables.place, format!("`tables` must be a list of entries and is {}", other.kind()));
            Vec::new()
        }
    }
}

impl Entry {
    fn read(number: usize, node: &Node, report: &mut Report) -> Option<Self> {
        let name = named(node, "table").unwrap_or_else(|| format!("entry {number}"));
        let mut fields = Fields::of(name.clone(), node, report)?;
        let entry = Entry {
            table: fields.required_word("table", report),
            description: fields.required("description", report),
            source: fields.needed("source", report).and_then(|node| SourceEntry::read(&name, node, report)),
            schedule: fields.word("schedule", report),
            loader: fields.required_word("loader", report),
            disposition: fields.required_word("disposition", report),
            key: fields.list("key", report),
            version_column: fields.optional("version_column", report),
            contract: fields.word("contract", report),
            monitors: fields.node("monitors").and_then(|node| MonitorsEntry::read(&name, node, report)),
            columns: fields.needed("columns", report).and_then(|node| columns(&name, node, report)),
            name,
        };
        fields.end(report);
        Some(entry)
    }

    pub(super) fn column(&self, name: &str) -> Option<&ColumnEntry> {
        self.columns.iter().flatten().find(|column| column.name.as_ref().is_some_and(|n| n.value == name))
    }

    /// The table, of an entry in which nothing is wrong.
    pub(super) fn table(self) -> Option<Table> {
        let plain =
            |list: Option<At<List>>| list.into_iter().flat_map(|list| list.value).map(|item| item.value).collect();
        let columns: Option<Vec<Column>> = self.columns?.into_iter().map(ColumnEntry::column).collect();
        Some(Table {
            table: self.table?.value,
            description: self.description?.value,
            source: self.source?.source,
            schedule: self.schedule.map(|schedule| schedule.value),
            loader: self.loader?.value,
            disposition: self.disposition?.value,
            key: plain(self.key),
            version_column: self.version_column.map(|name| name.value),
            contract: self.contract.map(|mode| mode.value).unwrap_or_default(),
            monitors: self.monitors.map(MonitorsEntry::monitors).unwrap_or_default(),
            columns: Schema(columns?),
        })
    }
}

impl SourceEntry {
    fn read(entry: &str, node: &Node, report: &mut Report) -> Option<Self> {
        let about = format!("{entry}: source");
        let mut fields = Fields::of(about.clone(), node, report)?;
        let kind: At<String> = fields.required("kind", report)?;
        let mut settings = Vec::new();
        let mut text = |fields: &mut Fields<'_>, name, report: &mut Report| {
            let text: At<String> = fields.required(name, report)?;
            settings.push((name, text.place));
            Some(text.value)
        };
        let source = match kind.value.as_str() {
            "postgres" => {
                let [schema, table, cursor] = ["schema", "table", "cursor"].map(|name| text(&mut fields, name, report));
                schema.zip(table).zip(cursor).map(|((schema, table), cursor)| Source::Postgres {
                    schema,
                    table,
                    cursor,
                })
            }
            "currencies" => Some(Source::Currencies),
            "exchange_rates" => {
                let base = text(&mut fields, "base", report);
                let first_date = fields.required("first_date", report).map(|date| date.value);
                base.zip(first_date).map(|(base, first_date)| Source::ExchangeRates { base, first_date })
            }
            "hubspot_contacts" => Some(Source::HubspotContacts),
            "kafka" => {
                let topic = text(&mut fields, "topic", report);
                let format = fields.node("format").is_some().then(|| fields.word::<Format>("format", report));
                let partitions: Option<At<Count>> = fields.optional("partitions", report);
                settings.extend(partitions.as_ref().map(|partitions| ("partitions", partitions.place)));
                let retention: Option<At<Count>> = fields.optional("retention_hours", report);
                let compaction: Option<At<bool>> = fields.optional("compaction", report);
                match format {
                    Some(None) => None,
                    format => topic.map(|topic| Source::Kafka {
                        topic,
                        format: format.flatten().map(|format| format.value).unwrap_or_default(),
                        partitions: partitions.map(|partitions| partitions.value.0),
                        retention_hours: retention.map(|retention| retention.value.0),
                        compaction: compaction.map(|compaction| compaction.value),
                    }),
                }
            }
            other => {
                let known: Vec<&str> = functions::ALL.iter().flat_map(|function| function.kinds).copied().collect();
                let known = known.join(", ");
                report.add(kind.place, format!("{about}: `kind`: '{other}' is no kind of source; known are {known}"));
                return None;
            }
        };
        fields.end(report);
        Some(SourceEntry { source: source?, kind: kind.place, settings })
    }

    /// Where a setting stands; the kind's place for one that is left out.
    pub(super) fn place(&self, setting: &str) -> Place {
        self.settings.iter().find(|(name, _)| *name == setting).map_or(self.kind, |(_, place)| *place)
    }
}

fn columns(entry: &str, node: &Node, report: &mut Report) -> Option<Vec<ColumnEntry>> {
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            let numbered = items.iter().enumerate();
            Some(numbered.filter_map(|(at, item)| ColumnEntry::read(entry, at + 1, item, report)).collect())
        }
        Value::List(_) | Value::Null => {
            report.add(node.place, format!("{entry}: `columns` has no column"));
            None
        }
        other => {
            report.add(node.place, format!("{entry}: `columns` must be a list of columns and is {}", other.kind()));
            None
        }
    }
}

impl ColumnEntry {
    fn read(entry: &str, number: usize, node: &Node, report: &mut Report) -> Option<Self> {
        let name = named(node, "name").map_or_else(|| format!("column {number}"), |name| format!("column '{name}'"));
        let mut fields = Fields::of(format!("{entry}: {name}"), node, report)?;
        let name = fields.required("name", report);
        let column_type: Option<At<ColumnType>> = fields.required_word("type", report);
        let kind = column_type.as_ref().map(|kind| kind.value);
        let bound = |name: &'static str, fields: &mut Fields<'_>, report: &mut Report| match kind {
            None | Some(ColumnType::Bigint | ColumnType::Decimal(..)) => fields.optional(name, report),
            Some(_) => fields.idle(name),
        };
        let column = ColumnEntry {
            place: node.place,
            name,
            source_name: fields.optional("source_name", report),
            column_type,
            required: fields.optional("required", report).is_some_and(|required| required.value),
            minimum: bound("minimum", &mut fields, report),
            exclusive_minimum: bound("exclusive_minimum", &mut fields, report),
            maximum: bound("maximum", &mut fields, report),
            one_of: match kind {
                None | Some(ColumnType::Text) => fields.list("one_of", report),
                Some(_) => fields.idle("one_of"),
            },
            description: fields.optional("description", report),
            contract: fields.word("contract", report),
            pii: fields.optional("pii", report).is_some_and(|pii| pii.value),
        };
        fields.end(report);
        Some(column)
    }

    fn column(self) -> Option<Column> {
        let options = self.one_of.into_iter().flat_map(|list| list.value);
        Some(Column {
            name: self.name?.value,
            source_name: self.source_name.map(|name| name.value),
            column_type: self.column_type?.value,
            required: self.required,
            minimum: self.minimum.map(|bound| bound.value),
            exclusive_minimum: self.exclusive_minimum.map(|bound| bound.value),
            maximum: self.maximum.map(|bound| bound.value),
            one_of: options.map(|option| option.value).collect(),
            description: self.description.map(|description| description.value),
            contract: self.contract.map(|mode| mode.value),
            pii: self.pii,
        })
    }
}

/// The text of a mapping's setting that names it.
fn named(node: &Node, setting: &str) -> Option<String> {
    let Value::Mapping(fields) = &node.value else { return None };
    fields.iter().find_map(|(key, node)| match &node.value {
        Value::Text(text) if key.value == setting => Some(text.clone()),
        _ => None,
    })
}
