//! What `sources.yaml` already says of the account: raw tables with their databases and schemas, locks, pipes, the ledger,
//! the lake's stage and format, what the loading role needs, and who reads raw data.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::{Loader, Sources, Table, TableId};

use super::{
    Pii, Raw, Settings,
    entries::Reading,
    requests::{Request, What},
};
use crate::{
    account::{
        kinds::Kind,
        name::Name,
        normal,
        state::{Grantee, Object, Target},
        value::Value,
    },
    sql::{changes, column_types, ddl, ledger, lock, quote},
};

/// What the databases' roles for readers are called.
const READER: &str = "READER";

pub(super) fn from_sources(reading: &mut Reading, raw: &Raw, settings: &Settings, sources: &Sources) {
    let schemas: BTreeSet<Name> = sources.tables.iter().map(|table| schema_of(&table.table)).collect();
    let analytics = ddl::ANALYTICS_SCHEMAS.map(|schema| Name::of(["ANALYTICS", schema]));
    for schema in schemas.iter().chain(&analytics).chain([&own_schema()]) {
        reading.derive(Kind::Database, schema.up_to(1), Object::default());
        reading.derive(Kind::Schema, schema.clone(), Object::default());
    }
    for ((name, comment), create) in ledger::TABLES.into_iter().zip(ledger::tables()) {
        table(reading, own_schema().with(name), create, comment, None);
    }
    let lease = own_schema().with(changes::LEASE);
    table(reading, lease.clone(), changes::create_lease(), "", None);
    if let Some(table) = reading.state.objects.get_mut(&(Kind::Table, lease)) {
        let columns =
            changes::LEASE_COLUMNS.map(|(name, data_type, _)| (name.to_owned(), normal::data_type(data_type)));
        table.set("columns", Some(Value::Map(columns.into())));
    }
    table(reading, own_schema().with(changes::CHANGES), changes::create_changes(), "", None);
    lake(reading, settings);
    for entry in &sources.tables {
        raw_table(reading, raw, settings, entry);
    }
    readers(reading, raw, &schemas);
    if let Some(owner) = &raw.owner {
        loading(reading, owner, raw, sources);
    }
}

/// The stage that is the lake.
pub(crate) fn lake_stage() -> Name {
    own_schema().with("LAKE")
}

/// The schema that holds what the platform keeps about itself.
fn own_schema() -> Name {
    Name::of(["ADMIN", "OBSERVABILITY"])
}

fn schema_of(table: &TableId) -> Name {
    Name::of([&table.database, &table.schema])
}

fn name_of(table: &TableId) -> Name {
    schema_of(table).with(&table.table)
}

fn object<const N: usize>(fields: [(&'static str, Option<Value>); N]) -> Object {
    let mut object = Object::default();
    for (name, value) in fields {
        object.set(name, value);
    }
    object
}

/// A role as the owner of an object.
fn owner(role: Option<&Name>) -> Option<Value> {
    role.map(|role| Value::Text(role.to_string()))
}

fn table(reading: &mut Reading, name: Name, create: String, comment: &str, role: Option<&Name>) {
    let columns = Value::Map(columns_of(&create));
    let mut table =
        object([("columns", Some(columns)), ("comment", Some(Value::text(comment))), ("owner", owner(role))]);
    table.texts.insert("create", create);
    reading.derive(Kind::Table, name, table);
}

/// The columns of a table as the statement that makes it lists them.
fn columns_of(create: &str) -> BTreeMap<String, String> {
    let Some((_, list)) = create.split_once(" (\n") else { return BTreeMap::new() };
    let lines = list.trim_end_matches("\n)").lines().map(|line| line.trim().trim_end_matches(','));
    lines.filter_map(column).collect()
}

/// `NAME TYPE [NOT NULL]`, where the name may be quoted.
fn column(line: &str) -> Option<(String, String)> {
    let end = match line.starts_with('"') {
        true => line.rfind("\" ").map(|end| end + 1)?,
        false => line.find(' ')?,
    };
    let (name, rest) = line.split_at(end);
    let (data_type, null) = match rest.trim().strip_suffix(" NOT NULL") {
        Some(data_type) => (data_type, " NOT NULL"),
        None => (rest.trim(), ""),
    };
    Some((name.to_owned(), format!("{}{null}", normal::data_type(data_type))))
}

fn lake(reading: &mut Reading, settings: &Settings) {
    let options = ddl::FORMAT_OPTIONS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let format = own_schema().with("SLUICE_PARQUET");
    reading.derive(
        Kind::FileFormat,
        format.clone(),
        object([("type", Some(Value::text("PARQUET"))), ("options", Some(Value::Map(options.into())))]),
    );
    reading.derive(
        Kind::Stage,
        lake_stage(),
        object([
            ("url", Some(Value::Text(format!("s3://{}/", settings.bucket)))),
            ("storage_integration", Some(Value::text(ddl::STORAGE_INTEGRATION))),
            ("file_format", Some(Value::Text(format.to_string()))),
        ]),
    );
}

fn raw_table(reading: &mut Reading, raw: &Raw, settings: &Settings, entry: &Table) {
    let name = name_of(&entry.table);
    table(reading, name.clone(), ddl::raw_table(entry), &entry.description, raw.owner.as_ref());
    if entry.loader == Loader::Async {
        let pipe = name.up_to(2).with(format!("{}_PIPE", name.last()));
        let copy = ddl::pipe_copy(&entry.table);
        let mut made = object([("copy", Some(Value::Text(normal::code(&copy)))), ("owner", owner(raw.owner.as_ref()))]);
        made.texts.insert("copy", copy);
        reading.derive(Kind::Pipe, pipe, made);
    }
    let lock = own_schema().with(format!("LOCK_{}_{}", settings.lake, entry.table));
    table(reading, lock, lock::create(&settings.lake, &entry.table), "", None);
}

fn give(reading: &mut Reading, role: &Name, privileges: &[&str], on: Vec<Target>) {
    let privileges = privileges.iter().map(|privilege| (*privilege).to_owned()).collect();
    let what = What::Privileges { privileges, on, with_option: false };
    reading.requests.push(Request::derived(Grantee::role(role), what));
}

fn on(word: &str, name: Name) -> Vec<Target> {
    vec![Target::Object(word.to_owned(), name)]
}

/// All of some types in a container, those that are there and those that will be.
fn all(words: &[&str], container: &Name) -> Vec<Target> {
    let both = |word: &&str| {
        [Target::Current((*word).to_owned(), container.clone()), Target::Future((*word).to_owned(), container.clone())]
    };
    words.iter().flat_map(both).collect()
}

/// A role in each raw database that reads all of it, held by those who read raw data.
fn readers(reading: &mut Reading, raw: &Raw, schemas: &BTreeSet<Name>) {
    let databases: BTreeSet<Name> = schemas.iter().map(|schema| schema.up_to(1)).collect();
    for database in databases {
        let reader = database.with(READER);
        reading.derive(Kind::DatabaseRole, reader.clone(), Object::default());
        give(reading, &reader, &["USAGE"], all(&["SCHEMA"], &database));
        give(reading, &reader, &["SELECT"], all(&["TABLE", "VIEW"], &database));
        for role in &raw.readers {
            reading.requests.push(Request::derived(Grantee::role(role), What::Role(reader.clone())));
        }
    }
}

/// What the role needs that loads.
fn loading(reading: &mut Reading, role: &Name, raw: &Raw, sources: &Sources) {
    let own = own_schema();
    let tables = sources.tables.iter();
    let schemas: BTreeSet<Name> = tables.map(|table| schema_of(&table.table)).chain([own.clone()]).collect();
    let databases: BTreeSet<Name> = schemas.iter().map(|schema| schema.up_to(1)).collect();
    for database in databases {
        give(reading, role, &["USAGE"], on("DATABASE", database));
    }
    for schema in &schemas {
        // The temporary table of a load, and the side tables of a replay and of a proof.
        give(reading, role, &["USAGE", "CREATE TABLE"], on("SCHEMA", schema.clone()));
    }
    // The watcher makes the views that people query.
    give(reading, role, &["CREATE VIEW"], on("SCHEMA", own.clone()));
    // Table by table: what an apply keeps is not for who loads to write, and a grant on all to come would cover it.
    let is_apply = |name: &Name| [changes::LEASE, changes::CHANGES].contains(&name.last());
    let kept: Vec<Name> = reading.state.names(Kind::Table).filter(|name| name.is_within(&own)).cloned().collect();
    for table in kept.into_iter().filter(|name| !is_apply(name)) {
        give(reading, role, &["SELECT", "INSERT", "UPDATE", "DELETE"], on("TABLE", table));
    }
    give(reading, role, &["USAGE"], on("FILE FORMAT", own.with("SLUICE_PARQUET")));
    give(reading, role, &["USAGE"], on("STAGE", own.with("LAKE")));
    if let Some(warehouse) = &raw.warehouse {
        give(reading, role, &["USAGE"], on("WAREHOUSE", warehouse.clone()));
    }
}

/// A policy for each type of personal data, and the columns that it masks.
pub(super) fn masks(reading: &mut Reading, pii: &Pii, owner: Option<&Name>, sources: &Sources) {
    let Some(schema) = &pii.schema else { return };
    // Who loads reads what is there: a value that it saw masked it would write back so.
    let roles: BTreeSet<&Name> = owner.into_iter().chain(&pii.readers).collect();
    let sees: Vec<String> =
        roles.iter().map(|role| format!("IS_ROLE_IN_SESSION({})", quote::literal(role.last()))).collect();
    let body = match sees.is_empty() {
        true => "NULL".to_owned(),
        false => format!("CASE WHEN {} THEN VAL ELSE NULL END", sees.join(" OR ")),
    };
    for table in &sources.tables {
        let mut masked = BTreeMap::new();
        for column in table.columns.columns().iter().filter(|column| column.pii) {
            let data_type = column_types::column_type(column.column_type);
            let suffix: String = data_type.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let policy = schema.with(format!("PII_{}", suffix.trim_end_matches('_')));
            let made = object([
                ("type", Some(Value::Text(normal::data_type(&data_type)))),
                ("body", Some(Value::text(&body))),
            ]);
            reading.derive(Kind::MaskingPolicy, policy.clone(), made);
            masked.insert(quote::column(&column.name), policy.to_string());
        }
        if let Some(object) = reading.state.objects.get_mut(&(Kind::Table, name_of(&table.table))) {
            object.set("masks", Some(Value::Map(masked)));
        }
    }
}
