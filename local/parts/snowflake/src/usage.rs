//! SNOWFLAKE.ACCOUNT_USAGE: what the account has used, in the shapes of the views that the platform reads. Nothing here is used
//! up, so what they hold is given from outside. Nobody may change them, and reading takes the database role that the
//! documentation names for them.

use anyhow::{Context, Result, bail};
use duckdb::{Connection, params_from_iter};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::names::{Name, identifier};

pub(crate) const DATABASE: &str = "SNOWFLAKE";
pub(crate) const SCHEMA: &str = "ACCOUNT_USAGE";

/// The role of the database that reads each of the views below.
pub(crate) const READER: &str = "USAGE_VIEWER";

/// The views and their columns, in the documentation's order.
const VIEWS: [(&str, &str); 5] = [
    (
        "QUERY_ATTRIBUTION_HISTORY",
        "QUERY_ID VARCHAR, PARENT_QUERY_ID VARCHAR, ROOT_QUERY_ID VARCHAR, WAREHOUSE_ID BIGINT, WAREHOUSE_NAME VARCHAR, \
         QUERY_HASH VARCHAR, QUERY_PARAMETERIZED_HASH VARCHAR, QUERY_TAG VARCHAR, USER_NAME VARCHAR, START_TIME TIMESTAMP, \
         END_TIME TIMESTAMP, CREDITS_ATTRIBUTED_COMPUTE DECIMAL(38,10), CREDITS_USED_QUERY_ACCELERATION DECIMAL(38,10)",
    ),
    (
        "WAREHOUSE_METERING_HISTORY",
        "START_TIME TIMESTAMP, END_TIME TIMESTAMP, WAREHOUSE_ID BIGINT, WAREHOUSE_NAME VARCHAR, CREDITS_USED DECIMAL(38,10), \
         CREDITS_USED_COMPUTE DECIMAL(38,10), CREDITS_USED_CLOUD_SERVICES DECIMAL(38,10), \
         CREDITS_ATTRIBUTED_COMPUTE_QUERIES DECIMAL(38,10)",
    ),
    (
        "METERING_HISTORY",
        "SERVICE_TYPE VARCHAR, START_TIME TIMESTAMP, END_TIME TIMESTAMP, ENTITY_ID BIGINT, NAME VARCHAR, \
         CREDITS_USED_COMPUTE DECIMAL(38,10), CREDITS_USED_CLOUD_SERVICES DECIMAL(38,10), CREDITS_USED DECIMAL(38,10), \
         BYTES BIGINT, \"ROWS\" BIGINT, FILES BIGINT",
    ),
    (
        "METERING_DAILY_HISTORY",
        "SERVICE_TYPE VARCHAR, USAGE_DATE DATE, CREDITS_USED_COMPUTE DECIMAL(38,10), \
         CREDITS_USED_CLOUD_SERVICES DECIMAL(38,10), CREDITS_USED DECIMAL(38,10), \
         CREDITS_ADJUSTMENT_CLOUD_SERVICES DECIMAL(38,10), CREDITS_BILLED DECIMAL(38,10)",
    ),
    (
        "STORAGE_USAGE",
        "USAGE_DATE DATE, STORAGE_BYTES DECIMAL(38,6), STAGE_BYTES DECIMAL(38,6), FAILSAFE_BYTES DECIMAL(38,6)",
    ),
];

/// Rows that a view is to show from now on, beside those that it shows.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    view: String,
    /// By the columns' names; what is left out is NULL.
    rows: Vec<Map<String, Value>>,
}

fn place(view: &str) -> String {
    Name { database: DATABASE.to_owned(), schema: SCHEMA.to_owned(), object: view.to_owned() }.duckdb()
}

/// Makes the views, empty, where the file lacks them.
pub(crate) fn found(conn: &Connection) -> duckdb::Result<()> {
    let schema = identifier(&format!("{DATABASE}__{SCHEMA}"));
    conn.execute_batch(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))?;
    for (view, columns) in VIEWS {
        conn.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {} ({columns})", place(view)))?;
    }
    Ok(())
}

pub(crate) fn show(conn: &Connection, shown: &Shown) -> Result<()> {
    if !VIEWS.iter().any(|(view, _)| *view == shown.view) {
        bail!("{SCHEMA} has no view {} here", shown.view);
    }
    for row in &shown.rows {
        let columns: Vec<String> = row.keys().map(|name| identifier(name)).collect();
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {} ({}) VALUES ({places})", place(&shown.view), columns.join(", "));
        let values = row.values().map(|value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        conn.execute(&insert, params_from_iter(values)).with_context(|| format!("cannot show {row:?}"))?;
    }
    Ok(())
}
