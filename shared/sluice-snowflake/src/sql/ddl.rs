//! Raw tables and what loads them: columns, file format, pipes.

use sluice_core::{Column, Loader, Table, TableId};

use super::{OBSERVABILITY, column_types::column_type, create_table, quote};

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

/// What a pipe runs for each file.
///
/// Until a row's commit is confirmed, its time is that of its file, which has no zone and is UTC. The start of the scan is a
/// TIMESTAMP_LTZ, and a pipe would write it by the clock of the account.
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
