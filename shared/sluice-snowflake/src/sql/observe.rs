//! What a person asks of the warehouse: how loads, streams and dbt runs stand. Nothing here changes anything.

use sluice_core::{LakeId, TableId};
use sluice_pipeline::observe::RECENT_SECONDS;

use super::{
    OBSERVABILITY,
    ledger::{self, REPLAY},
    load::NOT_TAKEN_REASON,
    quote,
};

/// The ledger by table and status: TABLE_NAME, STATUS, COMMITS, NEWEST (a sequence), LATEST (a time).
pub fn load_states(lake: &LakeId) -> String {
    format!(
        "SELECT TABLE_NAME, STATUS, COUNT(*) AS COMMITS, MAX(SEQUENCE) AS NEWEST, MAX(LOADED_AT) AS LATEST\n\
         FROM {OBSERVABILITY}.LOADS WHERE LAKE_ID = {} AND LOADER <> '{REPLAY}' GROUP BY TABLE_NAME, STATUS",
        quote::literal(&lake.0)
    )
}

/// The newest failed commit of each table: TABLE_NAME, SEQUENCE, REASON, LOADED_AT.
pub fn failures(lake: &LakeId) -> String {
    format!(
        "SELECT TABLE_NAME, SEQUENCE, REASON, LOADED_AT\n\
         FROM {OBSERVABILITY}.LOADS WHERE LAKE_ID = {} AND STATUS = 'failed'\n\
         QUALIFY ROW_NUMBER() OVER (PARTITION BY TABLE_NAME ORDER BY SEQUENCE DESC) = 1",
        quote::literal(&lake.0)
    )
}

/// The newest commit of each table of which a merge has not taken rows, within two weeks: TABLE_NAME, SEQUENCE, REASON,
/// LOADED_AT.
pub fn untaken(lake: &LakeId) -> String {
    format!(
        "SELECT TABLE_NAME, SEQUENCE, REASON, LOADED_AT\n\
         FROM {OBSERVABILITY}.LOADS WHERE LAKE_ID = {} AND STATUS = 'loaded'\n\
         AND CONTAINS(REASON, '{NOT_TAKEN_REASON}') AND LOADED_AT >= DATEADD('HOUR', -336, SYSDATE())\n\
         QUALIFY ROW_NUMBER() OVER (PARTITION BY TABLE_NAME ORDER BY SEQUENCE DESC) = 1",
        quote::literal(&lake.0)
    )
}

/// A table's newest entries in the ledger: TABLE_NAME, SEQUENCE, STATUS, ROWS_LOADED, REASON, LOADED_AT.
pub fn recent_loads(lake: &LakeId, table: &TableId, limit: usize) -> String {
    format!(
        "SELECT TABLE_NAME, SEQUENCE, STATUS, ROWS_LOADED, REASON, LOADED_AT\n\
         FROM {OBSERVABILITY}.LOADS WHERE {} AND LOADER <> '{REPLAY}'\n\
         ORDER BY LOADED_AT DESC LIMIT {limit}",
        ledger::is_table(lake, table)
    )
}

/// The last dbt runs, newest first: NUMBER, STATUS, SELECTORS, CAUSE, STARTED_AT, FINISHED_AT.
pub fn dbt_runs(limit: usize) -> String {
    format!(
        "SELECT NUMBER, STATUS, SELECTORS, CAUSE, STARTED_AT, FINISHED_AT\n\
         FROM {OBSERVABILITY}.DBT_RUNS ORDER BY NUMBER DESC LIMIT {limit}"
    )
}

/// How far each partition of a streaming table has come: TOPIC, NUMBER, ROW_COUNT, HIGHEST (an offset), NEWEST_EVENT and
/// NEWEST_ROW (times).
pub fn partitions(table: &TableId) -> String {
    format!(
        "SELECT _KAFKA_TOPIC AS TOPIC, _KAFKA_PARTITION AS NUMBER, COUNT(*) AS ROW_COUNT, MAX(_KAFKA_OFFSET) AS HIGHEST,\n\
         MAX(_KAFKA_TIMESTAMP) AS NEWEST_EVENT, MAX(_SLUICE_LOADED_AT) AS NEWEST_ROW\n\
         FROM {} GROUP BY _KAFKA_TOPIC, _KAFKA_PARTITION ORDER BY NUMBER",
        quote::table(table)
    )
}

/// How fast a streaming table grows and how long its rows take, over the last hour: HOUR_ROWS, RECENT_ROWS (those of the last
/// five minutes), and P50, P95 and P99 of the time from a record's timestamp to its append in milliseconds, NULL without
/// rows. The warehouse's own commit of the append comes on top. Rows of a replay were not streamed and do not count.
/// Rows are counted by `COUNT`, which is 0 of nothing; a sum and `COUNT_IF` may be NULL.
pub fn pace(table: &TableId) -> String {
    let percentile = |share: &str, name: &str| {
        format!("PERCENTILE_CONT({share}) WITHIN GROUP (ORDER BY LATENCY)::NUMBER(20,0) AS {name}")
    };
    format!(
        "SELECT COUNT(*) AS HOUR_ROWS, COUNT(CASE WHEN AGE < {RECENT_SECONDS} THEN 1 END) AS RECENT_ROWS,\n{}, {}, {}\n\
         FROM (SELECT DATEDIFF('SECOND', _SLUICE_LOADED_AT, SYSDATE()) AS AGE, \
         DATEDIFF('MILLISECOND', _KAFKA_TIMESTAMP, _SLUICE_LOADED_AT) AS LATENCY FROM {}\n\
         WHERE _SLUICE_LOADED_AT >= DATEADD('HOUR', -1, SYSDATE()) \
         AND NOT CONTAINS(_SLUICE_RUN_ID, '/{REPLAY}-')) AS RECENT",
        percentile("0.5", "P50"),
        percentile("0.95", "P95"),
        percentile("0.99", "P99"),
        quote::table(table)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn what_a_person_asks() {
        let (lake, hostile) = (LakeId("sluice-local".into()), LakeId(r"o'lake\".into()));
        let products = "DLT.APPLICATION_DATA.PRODUCTS".parse().expect("a table name");
        let purchases = "STREAMING.PUBLIC.PURCHASES".parse().expect("a table name");
        snapshot::check(
            "observe",
            &[
                load_states(&lake),
                load_states(&hostile),
                failures(&lake),
                untaken(&lake),
                recent_loads(&lake, &products, 5),
                dbt_runs(1),
                partitions(&purchases),
                pace(&purchases),
            ],
        );
    }
}
