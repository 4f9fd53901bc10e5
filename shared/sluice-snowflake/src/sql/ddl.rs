//! The warehouse's foundation: databases, schemas, tables, file format, stage, pipes and the ledger.
//!
//! Every statement is `IF NOT EXISTS` or sets what is to be, so the list may run any number of times.
//! Nothing is ever replaced: a replaced table loses its rows, and a replaced pipe forgets which files it has loaded.

use std::collections::BTreeSet;

use sluice_core::{Column, LakeId, Loader, Sources, Table, TableId};

use super::{OBSERVABILITY, column_types::column_type, create_table, ledger, lock, quote};

/// The one storage integration, made by the account's administrator.
pub(crate) const STORAGE_INTEGRATION: &str = "SLUICE_LAKE";

/// Where dbt builds; it would make these itself, but then they would belong to its role.
pub(crate) const ANALYTICS_SCHEMAS: [&str; 4] = ["STAGING", "INTERMEDIATE", "MARTS", "REPORTING"];

/// What the loader adds to each row of each raw table.
pub(crate) const LOADED_COLUMNS: [(&str, &str); 5] = [
    ("_SLUICE_RUN_ID", "VARCHAR"),
    ("_SLUICE_SEQUENCE", "NUMBER(20,0)"),
    ("_SLUICE_LOADED_AT", "TIMESTAMP_NTZ(6)"),
    ("_SLUICE_SOURCE_FILE", "VARCHAR"),
    ("_SLUICE_ROW_NUMBER", "NUMBER(20,0)"),
];

/// What a streaming table has besides.
pub(crate) const KAFKA_COLUMNS: [(&str, &str); 4] = [
    ("_KAFKA_TOPIC", "VARCHAR"),
    ("_KAFKA_PARTITION", "NUMBER(10,0)"),
    ("_KAFKA_OFFSET", "NUMBER(20,0)"),
    ("_KAFKA_TIMESTAMP", "TIMESTAMP_NTZ(6)"),
];

/// Everything that must exist before the first load, in the order in which it can be made.
pub fn foundation(sources: &Sources, lake: &LakeId, bucket: &str) -> Vec<String> {
    let mut schemas: BTreeSet<(&str, &str)> =
        sources.tables.iter().map(|table| (table.table.database.as_str(), table.table.schema.as_str())).collect();
    schemas.extend(ANALYTICS_SCHEMAS.map(|schema| ("ANALYTICS", schema)));
    schemas.insert(("ADMIN", "OBSERVABILITY"));
    let databases: BTreeSet<&str> = schemas.iter().map(|(database, _)| *database).collect();

    let mut statements: Vec<String> = Vec::new();
    statements.extend(
        databases.iter().map(|database| format!("CREATE DATABASE IF NOT EXISTS {}", quote::identifier(database))),
    );
    statements.extend(schemas.iter().map(|(database, schema)| {
        format!("CREATE SCHEMA IF NOT EXISTS {}.{}", quote::identifier(database), quote::identifier(schema))
    }));
    statements.extend(ledger::tables());
    statements.extend(ledger::added_columns());
    statements.extend(file_format());
    statements.push(stage(bucket));
    statements.extend(sources.tables.iter().map(raw_table));
    for table in &sources.tables {
        if table.loader == Loader::Async {
            statements.push(pipe(&table.table));
        }
        statements.push(lock::create(lake, &table.table));
    }
    statements.extend(comments(sources));
    statements
}

/// What somebody who browses the warehouse reads beside each table.
fn comments(sources: &Sources) -> Vec<String> {
    let raw = sources.tables.iter().map(|table| comment(&quote::table(&table.table), &table.description));
    let ledger = ledger::TABLES.map(|(name, text)| comment(&format!("{OBSERVABILITY}.{name}"), text));
    raw.chain(ledger).collect()
}

pub(crate) fn comment(table: &str, text: &str) -> String {
    format!("COMMENT ON TABLE {table} IS {}", quote::literal(text))
}

/// The pipe that loads a Snowpipe table.
pub fn pipe_name(table: &TableId) -> String {
    let pipe = quote::identifier(&format!("{}_PIPE", table.table));
    format!("{}.{}.{pipe}", quote::identifier(&table.database), quote::identifier(&table.schema))
}

/// `FILE_FORMAT = (...)` as every statement that reads the lake says it.
pub(crate) fn file_format_clause() -> String {
    format!("FILE_FORMAT = (FORMAT_NAME = '{OBSERVABILITY}.SLUICE_PARQUET')")
}

/// `NAME TYPE [NOT NULL]`.
pub(crate) fn column_definition(column: &Column) -> String {
    let null = if column.required { " NOT NULL" } else { "" };
    format!("{} {}{null}", quote::column(&column.name), column_type(column.column_type))
}

pub(crate) fn raw_table(table: &Table) -> String {
    let mut columns: Vec<String> = table.columns.columns().iter().map(column_definition).collect();
    let kafka: &[_] = if table.loader == Loader::Streaming { &KAFKA_COLUMNS } else { &[] };
    columns.extend(LOADED_COLUMNS.iter().chain(kafka).map(|(name, column_type)| format!("{name} {column_type}")));
    create_table(&quote::table(&table.table), &columns)
}

/// Every option on purpose, because defaults bend values or are announced to change: without logical types a timestamp
/// arrives as a number, with BINARY_AS_TEXT a broken text arrives as bytes, and NULL_IF turns the text `\N` into NULL. The
/// scanner is named because its default is to flip; it takes nulls and texts as the files have them.
pub(crate) const FORMAT_OPTIONS: [(&str, &str); 6] = [
    ("USE_LOGICAL_TYPE", "TRUE"),
    ("BINARY_AS_TEXT", "FALSE"),
    ("TRIM_SPACE", "FALSE"),
    ("REPLACE_INVALID_CHARACTERS", "FALSE"),
    ("NULL_IF", "()"),
    ("USE_VECTORIZED_SCANNER", "TRUE"),
];

/// The file format, also where an earlier version has made it otherwise.
fn file_format() -> [String; 2] {
    let name = format!("{OBSERVABILITY}.SLUICE_PARQUET");
    let options = FORMAT_OPTIONS.map(|(option, value)| format!("{option} = {value}")).join(" ");
    [
        format!("CREATE FILE FORMAT IF NOT EXISTS {name} TYPE = PARQUET {options}"),
        format!("ALTER FILE FORMAT {name} SET {options}"),
    ]
}

/// The lake's stage. The URL ends in a slash because Snowflake puts none between it and a file's name.
fn stage(bucket: &str) -> String {
    let url = quote::literal(&format!("s3://{bucket}/"));
    format!(
        "CREATE STAGE IF NOT EXISTS {OBSERVABILITY}.LAKE URL = {url} STORAGE_INTEGRATION = {STORAGE_INTEGRATION} {}",
        file_format_clause()
    )
}

/// Until a row's commit is confirmed, its time is that of its file, which has no zone and is UTC. The start of the scan is a
/// TIMESTAMP_LTZ, and a pipe would write it by the clock of the account.
fn pipe(table: &TableId) -> String {
    format!("CREATE PIPE IF NOT EXISTS {} AS {}", pipe_name(table), pipe_copy(table))
}

/// What a pipe runs for each file.
pub(crate) fn pipe_copy(table: &TableId) -> String {
    format!(
        "COPY INTO {}\n\
         FROM @{OBSERVABILITY}.LAKE\n\
         {}\n\
         MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE\n\
         INCLUDE_METADATA = (_SLUICE_SOURCE_FILE = METADATA$FILENAME, \
         _SLUICE_ROW_NUMBER = METADATA$FILE_ROW_NUMBER, _SLUICE_LOADED_AT = METADATA$FILE_LAST_MODIFIED)",
        quote::table(table),
        file_format_clause()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    const HOSTILE: &str = r#"
tables:
  - table: ORDER.GROUP.TABLE
    description: Names that only quoting keeps apart.
    source: { kind: exchange_rates, base: USD, first_date: 2025-01-01 }
    loader: snowpipe
    disposition: append
    columns:
      - { name: "it's \"quoted\"", type: text, required: true }
      - { name: a.b, type: "decimal(38,0)" }
      - { name: select, type: date }
      - { name: "🦀; drop table x --", type: boolean }
      - { name: 'back\slash', type: bigint }
"#;

    #[test]
    fn the_foundation_of_the_shipped_sources() {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("the shipped sources");
        snapshot::check("foundation", &foundation(&sources, &LakeId("sluice-local".into()), "sluice-local-lake"));
    }

    #[test]
    fn the_foundation_of_hostile_names() {
        let sources = Sources::parse(HOSTILE).expect("hostile, but valid, sources");
        snapshot::check(
            "foundation_hostile",
            &foundation(&sources, &LakeId(r"o'lake\".into()), "b'; DROP STAGE x; --"),
        );
    }
}
