//! Rows that an operator has put aside: the list, which never loses an entry, and the raw rows that a key or a place names.

use sluice_core::{ColumnType, Table, TableId};
use sluice_pipeline::aside::{KeyValue, RowKey};

use super::{OBSERVABILITY, column_types, quote};

/// How many rows of the raw table have a key: ROW_COUNT.
pub fn rows_with(table: &Table, key: &RowKey) -> String {
    let is_row = key.values.iter().map(|value| format!("{} = {}", quote::column(&value.column), literal(value)));
    let is_row = is_row.collect::<Vec<_>>().join(" AND ");
    format!("SELECT COUNT(*) AS ROW_COUNT FROM {} WHERE {is_row}", quote::table(&table.table))
}

/// The keys of the rows at a place of a topic: the key columns.
pub fn keys_at(table: &Table, partition: i32, offset: i64) -> String {
    let columns = table.key.iter().map(|name| quote::column(name)).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT DISTINCT {columns} FROM {} WHERE _KAFKA_PARTITION = {partition} AND _KAFKA_OFFSET = {offset}",
        quote::table(&table.table)
    )
}

/// Lists a row unless it is listed.
pub fn put(table: &TableId, key: &RowKey, by: &str, reason: &str) -> String {
    format!(
        "INSERT INTO {OBSERVABILITY}.PUT_ASIDE (TABLE_NAME, ROW_KEY, REASON, PUT_BY, PUT_AT)\n\
         SELECT {}, {}, {}, {}, SYSDATE()\n\
         WHERE NOT EXISTS (SELECT 1 FROM {OBSERVABILITY}.PUT_ASIDE WHERE {})",
        quote::literal(&table.to_string()),
        quote::literal(&key.text),
        quote::literal(reason),
        quote::literal(by),
        is_listed(table, key)
    )
}

/// Ends a row's entry.
pub fn take_back(table: &TableId, key: &RowKey, by: &str, reason: &str) -> String {
    format!(
        "UPDATE {OBSERVABILITY}.PUT_ASIDE SET TAKEN_BACK_REASON = {}, TAKEN_BACK_BY = {}, TAKEN_BACK_AT = SYSDATE()\n\
         WHERE {}",
        quote::literal(reason),
        quote::literal(by),
        is_listed(table, key)
    )
}

/// What is listed of a table, the newest first: ROW_KEY, REASON, PUT_BY, PUT_AT.
pub fn listed(table: &TableId, limit: usize) -> String {
    format!(
        "SELECT ROW_KEY, REASON, PUT_BY, PUT_AT FROM {OBSERVABILITY}.PUT_ASIDE\n\
         WHERE TABLE_NAME = {} AND TAKEN_BACK_AT IS NULL ORDER BY PUT_AT DESC LIMIT {limit}",
        quote::literal(&table.to_string())
    )
}

/// How many rows are listed: TABLE_NAME, ROW_COUNT, NEWEST (a time).
pub fn counts() -> String {
    format!(
        "SELECT TABLE_NAME, COUNT(*) AS ROW_COUNT, MAX(PUT_AT) AS NEWEST FROM {OBSERVABILITY}.PUT_ASIDE\n\
         WHERE TAKEN_BACK_AT IS NULL GROUP BY TABLE_NAME"
    )
}

fn is_listed(table: &TableId, key: &RowKey) -> String {
    let (table, key) = (quote::literal(&table.to_string()), quote::literal(&key.text));
    format!("TABLE_NAME = {table} AND ROW_KEY = {key} AND TAKEN_BACK_AT IS NULL")
}

fn literal(value: &KeyValue) -> String {
    match value.column_type {
        ColumnType::Bigint => value.text.clone(),
        ColumnType::Text => quote::literal(&value.text),
        other => format!("{}::{}", quote::literal(&value.text), column_types::column_type(other)),
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::Sources;

    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn what_is_said_of_rows_that_are_put_aside() {
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("the shipped sources");
        let of = |name: &str| sources.tables.iter().find(|table| table.table.table == name).expect("a table");
        let (products, rates, purchases) = (of("PRODUCTS"), of("EXCHANGE_RATES"), of("PURCHASES"));
        let key = |table: &Table, text: &str| RowKey::parse(table, text).expect("a key");
        let (product, rate) = (key(products, "42"), key(rates, "2026-01-05/U%2FSD/GBP/final"));
        let hostile = key(purchases, r"o'event\");
        snapshot::check(
            "aside",
            &[
                rows_with(products, &product),
                rows_with(rates, &rate),
                rows_with(purchases, &hostile),
                keys_at(purchases, 1, 7),
                put(&products.table, &product, "arn:aws:iam::1:user/u", r"it's wrong \ twice"),
                put(&purchases.table, &hostile, "o'brien", "an overflow"),
                listed(&purchases.table, 5),
                counts(),
                take_back(&purchases.table, &hostile, "o'brien", "it's right"),
            ],
        );
    }
}
