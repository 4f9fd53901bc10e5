//! Rows that are put aside, in the warehouse's list.

use std::collections::BTreeMap;

use sluice_core::{
    Error, Result, Table, TableId, names,
    port::{Row, Secrets, required},
};
use sluice_pipeline::aside::{Aside, AsideCount, AsideRow, RowKey};

use crate::{
    Observer,
    answer::{optional, text, value},
    sql::aside as sql,
};

impl<Sec: Secrets> Aside for Observer<Sec> {
    async fn rows_with(&self, table: &Table, key: &RowKey) -> Result<u64> {
        let rows = self.rows("aside", &sql::rows_with(table, key)).await?;
        rows.first().map_or(Ok(0), |row| value(row, "row_count"))
    }

    async fn keys_at(&self, table: &Table, partition: i32, offset: i64) -> Result<Vec<RowKey>> {
        let key = |row: &Row| {
            let cell = |name: &String| row.get(&names::fold(name).to_lowercase()).and_then(Option::as_deref);
            let values: Option<Vec<&str>> = table.key.iter().map(cell).collect();
            let values = values.ok_or_else(|| {
                let text = "the row has no value in a key column, so it cannot be told from others";
                Error::unsupported(text).with("table", &table.table)
            })?;
            RowKey::of_values(table, &values)
        };
        self.rows("aside", &sql::keys_at(table, partition, offset)).await?.iter().map(key).collect()
    }

    async fn put_aside(&self, table: &TableId, key: &RowKey, by: &str, reason: &str) -> Result<bool> {
        let rows = self.rows("aside", &sql::put(table, key, by, reason)).await?;
        changed(&rows, "number of rows inserted")
    }

    async fn take_back(&self, table: &TableId, key: &RowKey, by: &str, reason: &str) -> Result<bool> {
        let rows = self.rows("aside", &sql::take_back(table, key, by, reason)).await?;
        changed(&rows, "number of rows updated")
    }

    async fn aside(&self, table: &TableId, limit: usize) -> Result<Vec<AsideRow>> {
        let row = |row: &Row| {
            Ok(AsideRow {
                key: required(row, "row_key")?.to_owned(),
                reason: text(row, "reason").unwrap_or_default(),
                by: text(row, "put_by").unwrap_or_default(),
                at: optional(row, "put_at")?,
            })
        };
        self.rows("aside", &sql::listed(table, limit)).await?.iter().map(row).collect()
    }

    async fn asides(&self) -> Result<BTreeMap<String, AsideCount>> {
        let count = |row: &Row| {
            let count = AsideCount { rows: value(row, "row_count")?, newest: optional(row, "newest")? };
            Ok((required(row, "table_name")?.to_owned(), count))
        };
        self.rows("status", &sql::counts()).await?.iter().map(count).collect()
    }
}

fn changed(rows: &[Row], column: &str) -> Result<bool> {
    rows.first().map_or(Ok(false), |row| Ok(value::<u64>(row, column)? > 0))
}
