//! What each entry must keep, and what entries must keep among each other.

use std::collections::BTreeMap;

use super::{
    Loader, MOST_PARTITIONS, Shape, Source, columns,
    entry::{Entry, SourceEntry},
    watched,
};
use crate::{ColumnType, Disposition, Mode, judge::Report, yaml::Place};

/// Databases that the platform fills itself.
const OWN_DATABASES: [&str; 2] = ["ADMIN", "ANALYTICS"];

/// What the names of a replay's side tables have.
const SIDE_TABLE: &str = "__REPLAY_";

/// The longest name of a Snowflake object.
const LONGEST_NAME: usize = 255;

/// The longest name that Kafka gives a topic.
const LONGEST_TOPIC: usize = 249;

pub(super) fn judge(entries: &[Entry], report: &mut Report) {
    for entry in entries {
        table_name(entry, report);
        described(entry, report);
        loading(entry, report);
        source(entry, report);
        key(entry, report);
        version(entry, report);
        contract(entry, report);
        columns::judge(entry, report);
        watched::judge(entry, report);
    }
    one_entry_a_table(entries, report);
    one_table_a_topic(entries, report);
}

/// Tells of a problem of an entry.
fn tell(entry: &Entry, report: &mut Report, place: Place, text: impl std::fmt::Display) {
    report.add(place, format!("{}: {text}", entry.name));
}

fn table_name(entry: &Entry, report: &mut Report) {
    let Some(table) = &entry.table else { return };
    let (id, place) = (&table.value, table.place);
    if OWN_DATABASES.contains(&id.database.as_str()) {
        let text = "is a database that the platform fills itself; keep raw tables in another one";
        tell(entry, report, place, format_args!("{} {text}", id.database));
    }
    if id.schema == "INFORMATION_SCHEMA" || id.database == "SNOWFLAKE" {
        tell(entry, report, place, "the warehouse has a database SNOWFLAKE and schemas INFORMATION_SCHEMA of its own");
    }
    if id.table.contains(SIDE_TABLE) {
        tell(entry, report, place, format_args!("{SIDE_TABLE} marks the side tables of a replay; choose another name"));
    }
    for part in [&id.database, &id.schema, &id.table] {
        if part.len() > LONGEST_NAME {
            tell(entry, report, place, format_args!("a name may have {LONGEST_NAME} characters, and {part} has more"));
        }
    }
}

fn described(entry: &Entry, report: &mut Report) {
    if let Some(description) = entry.description.as_ref().filter(|text| text.value.trim().is_empty()) {
        tell(entry, report, description.place, "the description is empty; say what a row is");
    }
}

/// How rows come in: source, loader, disposition and schedule must agree.
fn loading(entry: &Entry, report: &mut Report) {
    let source = entry.source.as_ref();
    let is_topic = source.map(|source| matches!(source.source, Source::Kafka { .. }));
    if let (Some(loader), Some(is_topic)) = (&entry.loader, is_topic)
        && (loader.value == Loader::Streaming) != is_topic
    {
        tell(entry, report, loader.place, "the loader 'streaming' and a kafka source belong together");
    }
    let is_streaming = entry.loader.as_ref().is_some_and(|loader| loader.value == Loader::Streaming);
    if let Some(schedule) = entry.schedule.as_ref().filter(|_| is_streaming || is_topic == Some(true)) {
        tell(
            entry,
            report,
            schedule.place,
            "a streaming table has no schedule: its rows come when they come; leave it out",
        );
    }
    let Some(disposition) = &entry.disposition else { return };
    let is_piped = entry.loader.as_ref().is_some_and(|loader| loader.value == Loader::Async);
    if is_piped && disposition.value != Disposition::Append {
        tell(entry, report, disposition.place, "Snowpipe only appends; take `loader: copy`");
    }
    if let Some(problem) = source.and_then(|source| misread(&source.source, disposition.value)) {
        tell(entry, report, disposition.place, problem);
    }
}

/// Whether what a run of this source reads is what the disposition takes its rows for.
fn misread(source: &Source, disposition: Disposition) -> Option<&'static str> {
    match (source, disposition) {
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
        (Source::Kafka { .. }, Disposition::Merge | Disposition::Replace) => {
            Some("a topic's records are appended, each once; take append, and let a model keep the newest of each key")
        }
        _ => None,
    }
}

fn source(entry: &Entry, report: &mut Report) {
    let Some(found) = &entry.source else { return };
    match &found.source {
        Source::Postgres { schema, table, cursor } => {
            for (name, text) in [("schema", schema), ("table", table), ("cursor", cursor)] {
                if text.is_empty() || text.contains('\0') {
                    tell(entry, report, found.place(name), format_args!("source: `{name}` is empty"));
                }
            }
            cursor_column(entry, found, cursor, report);
        }
        Source::ExchangeRates { base, .. } => {
            if base.len() != 3 || !base.chars().all(|c| c.is_ascii_uppercase()) {
                let text = "source: `base` is the code of a currency, three capital letters such as USD";
                tell(entry, report, found.place("base"), text);
            }
        }
        Source::Kafka { topic, partitions, .. } => {
            if let Some(problem) = topic_problem(topic) {
                tell(entry, report, found.place("topic"), format_args!("source: the topic '{topic}' {problem}"));
            }
            if partitions.is_some_and(|partitions| partitions > MOST_PARTITIONS) {
                let text = format!("source: `partitions` is at most {MOST_PARTITIONS}");
                tell(entry, report, found.place("partitions"), text);
            }
        }
        Source::Currencies | Source::HubspotContacts => {}
    }
}

fn cursor_column(entry: &Entry, found: &SourceEntry, cursor: &str, report: &mut Report) {
    if entry.columns.is_none() || cursor.is_empty() {
        return;
    }
    let place = found.place("cursor");
    match entry.column(cursor) {
        None => {
            tell(entry, report, place, format_args!("the cursor '{cursor}' is none of its columns; add the column"))
        }
        Some(column) => {
            let wrong = column.column_type.as_ref().filter(|kind| kind.value != ColumnType::Bigint);
            if let Some(kind) = wrong {
                let text = format!("the cursor '{cursor}' is a {} and must be a bigint that grows", kind.value);
                tell(entry, report, place, text);
            }
        }
    }
}

/// What Kafka, the lake or the schema files do not take of a topic's name.
fn topic_problem(topic: &str) -> Option<&'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > LONGEST_TOPIC || matches!(topic, "." | "..") || !topic.chars().all(legal) {
        return Some("is no name that Kafka takes: up to 249 of A-Z, a-z, 0-9, '.', '_' and '-'");
    }
    let version = topic.rsplit_once(".v").map(|(_, version)| version);
    let is_version = version.is_some_and(|v| !v.is_empty() && v.chars().all(|c| c.is_ascii_digit()));
    is_version.then_some("ends like the file of a kept schema version (`<topic>.v<number>`); choose another name")
}

fn key(entry: &Entry, report: &mut Report) {
    let merges = entry.disposition.as_ref().filter(|disposition| disposition.value == Disposition::Merge);
    let Some(key) = &entry.key else {
        if let Some(disposition) = merges {
            tell(entry, report, disposition.place, "merge needs a key; name the columns that tell rows apart in `key`");
        }
        return;
    };
    if key.value.is_empty() {
        tell(entry, report, key.place, "the key is empty; name the columns that tell rows apart, or leave it out");
    }
    for (at, name) in key.value.iter().enumerate() {
        let text = &name.value;
        if key.value[..at].iter().any(|earlier| earlier.value == *text) {
            tell(entry, report, name.place, format_args!("the key has '{text}' twice; keep one"));
        } else if let Some(column) = entry.column(text) {
            if !column.required {
                tell(entry, report, column.place, format_args!("column '{text}' is in the key and must be required"));
            }
        } else if entry.columns.is_some() {
            tell(entry, report, name.place, format_args!("the key has '{text}', which is none of its columns"));
        }
    }
}

fn version(entry: &Entry, report: &mut Report) {
    let Some(version) = &entry.version_column else { return };
    let (name, place) = (&version.value, version.place);
    if entry.disposition.as_ref().is_some_and(|disposition| disposition.value != Disposition::Merge) {
        tell(
            entry,
            report,
            place,
            "`version_column` says which row wins a merge, and this table is not merged; leave it out",
        );
    }
    if entry.key.iter().flat_map(|key| &key.value).any(|key| key.value == *name) {
        let text = format!("'{name}' is in the key, so rows of one key have one version; take another version_column");
        tell(entry, report, place, text);
    }
    let Some(column) = entry.column(name) else {
        if entry.columns.is_some() {
            tell(entry, report, place, format_args!("the version_column '{name}' is none of its columns"));
        }
        return;
    };
    if let Some(kind) = &column.column_type
        && matches!(kind.value, ColumnType::Text | ColumnType::Boolean)
    {
        let text =
            format!("the version_column '{name}' is a {}; take a bigint, decimal, timestamp or date", kind.value);
        tell(entry, report, place, text);
    }
}

/// A source that shows no columns has no drift, and a mode would change nothing.
fn contract(entry: &Entry, report: &mut Report) {
    let Some(source) = &entry.source else { return };
    let evolve = entry.contract.as_ref().filter(|mode| mode.value == Mode::Evolve);
    // Whatever a person types into a CRM may be personal data: a property is read when somebody has named it.
    if let Some(mode) = evolve.filter(|_| source.source == Source::HubspotContacts) {
        tell(entry, report, mode.place, "HubSpot's properties are an allow-list, the contract cannot be evolve");
    }
    let shapeless = match source.source.shape() {
        Shape::Shown => return,
        Shape::Fixed(api) => api,
        Shape::Open => "a topic",
    };
    let of_columns = entry.columns.iter().flatten().filter_map(|column| column.contract.as_ref());
    for mode in entry.contract.iter().chain(of_columns) {
        let text = format!("`contract` has no effect: {shapeless} shows no columns to compare; leave it out");
        tell(entry, report, mode.place, text);
    }
}

fn one_entry_a_table(entries: &[Entry], report: &mut Report) {
    let mut first = BTreeMap::new();
    for entry in entries {
        let Some(table) = &entry.table else { continue };
        match first.get(&table.value) {
            None => drop(first.insert(&table.value, table.place.line)),
            Some(line) => {
                let text = format!("has a second entry here, the first is in line {line}; keep one");
                tell(entry, report, table.place, text);
            }
        }
    }
}

/// Records go to the table of their topic, and channels, which are named by topic, do not tell case apart.
fn one_table_a_topic(entries: &[Entry], report: &mut Report) {
    let mut first: BTreeMap<String, (&str, &Entry)> = BTreeMap::new();
    for entry in entries {
        let Some(found) = &entry.source else { continue };
        let Source::Kafka { topic, .. } = &found.source else { continue };
        let place = found.place("topic");
        match first.get(&topic.to_lowercase()) {
            None => drop(first.insert(topic.to_lowercase(), (topic, entry))),
            Some((same, other)) if same == topic => {
                let text = format!("the topic '{topic}' already fills {}; one topic fills one table", other.name);
                tell(entry, report, place, text);
            }
            Some((near, other)) => {
                let text = format!(
                    "the topics '{topic}' and '{near}' (of {}) differ only in case, which the warehouse's channels do not \
                     tell apart; rename one",
                    other.name
                );
                tell(entry, report, place, text);
            }
        }
    }
}
