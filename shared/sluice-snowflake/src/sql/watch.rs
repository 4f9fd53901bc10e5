//! What the watcher asks: the ledger in a few statements, and one statement for each table.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sluice_core::{Disposition, LakeId, Loader, Table, TableId};
use sluice_pipeline::watch::{Day, IncidentChange};
use sluice_watch::settings::TableSettings;

use super::{
    OBSERVABILITY,
    inserts::inserts,
    ledger::{INCIDENTS, MEASURES, REPLAY, RESET},
    quote,
};

/// Loads that bring rows, as opposed to those that bring them again.
fn brings_rows() -> String {
    format!("STATUS = 'loaded' AND LOADER NOT IN ('{RESET}', '{REPLAY}')")
}

fn of_lake(lake: &LakeId) -> String {
    format!("LAKE_ID = {}", quote::literal(&lake.0))
}

/// By table and status: TABLE_NAME, STATUS, COMMITS, NEWEST (a sequence), OLDEST (a time).
pub fn load_states(lake: &LakeId) -> String {
    format!(
        "SELECT TABLE_NAME, STATUS, COUNT(*) AS COMMITS, MAX(SEQUENCE) AS NEWEST, MIN(LOADED_AT) AS OLDEST\n\
         FROM {OBSERVABILITY}.LOADS WHERE {} AND LOADER <> '{REPLAY}' GROUP BY TABLE_NAME, STATUS",
        of_lake(lake)
    )
}

/// Failed commits, and replays with their times: TABLE_NAME, SEQUENCE, LOADER, LOADED_AT.
pub fn failures_and_replays(lake: &LakeId) -> String {
    format!(
        "SELECT TABLE_NAME, SEQUENCE, LOADER, LOADED_AT FROM {OBSERVABILITY}.LOADS WHERE {} \
         AND (STATUS = 'failed' OR LOADER = '{REPLAY}')",
        of_lake(lake)
    )
}

/// The newest loaded commit of each table: TABLE_NAME, SEQUENCE, ROWS_LOADED.
pub fn newest_loads(lake: &LakeId) -> String {
    format!(
        "SELECT TABLE_NAME, SEQUENCE, ROWS_LOADED FROM {OBSERVABILITY}.LOADS WHERE {} AND {}\n\
         QUALIFY ROW_NUMBER() OVER (PARTITION BY TABLE_NAME ORDER BY SEQUENCE DESC) = 1",
        of_lake(lake),
        brings_rows()
    )
}

/// Rows that loads have brought: TABLE_NAME, DAY, ROW_COUNT.
pub fn loaded_days(lake: &LakeId, tables: &[&Table], from: NaiveDate) -> String {
    format!(
        "SELECT TABLE_NAME, LOADED_AT::DATE AS DAY, SUM(ROWS_LOADED)::NUMBER(20,0) AS ROW_COUNT\n\
         FROM {OBSERVABILITY}.LOADS WHERE {} AND {} AND LOADED_AT >= {}\n\
         AND TABLE_NAME IN ({}) GROUP BY TABLE_NAME, LOADED_AT::DATE",
        of_lake(lake),
        brings_rows(),
        midnight(from),
        names(tables)
    )
}

/// Runs of dbt that have ended, newest first: STATUS, FULL_REFRESH, FAILED_NODES, SECONDS, CREDITS, FINISHED_AT.
pub fn dbt_runs(since: NaiveDate) -> String {
    format!(
        "SELECT STATUS, FULL_REFRESH, FAILED_NODES, SECONDS, CREDITS, FINISHED_AT FROM {OBSERVABILITY}.DBT_RUNS\n\
         WHERE FINISHED_AT >= {} ORDER BY NUMBER DESC",
        midnight(since)
    )
}

/// Columns of a database's tables: TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE.
pub fn columns(database: &str, tables: &[&Table]) -> String {
    let named: Vec<String> = tables.iter().map(|table| quote::literal(&table.table.table)).collect();
    format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM {}.INFORMATION_SCHEMA.COLUMNS\n\
         WHERE TABLE_NAME IN ({})",
        quote::identifier(database),
        named.join(", ")
    )
}

/// When the newest row was loaded: NEWEST. The warehouse knows it without reading rows.
pub fn newest_row(table: &TableId) -> String {
    format!("SELECT MAX(_SLUICE_LOADED_AT) AS NEWEST FROM {}", quote::table(table))
}

/// By partition, what was loaded since and is not of a replay: TOPIC_PARTITION, ROW_COUNT, NEWEST_OFFSET, NEWEST_LOAD, NEWEST_RECORD.
/// Since a day, so that rounds ask in the same words: where no row has come, Snowflake answers without starting a warehouse.
pub fn partitions(table: &TableId, since: NaiveDate) -> String {
    format!(
        "SELECT _KAFKA_PARTITION AS TOPIC_PARTITION, COUNT(*) AS ROW_COUNT, MAX(_KAFKA_OFFSET) AS NEWEST_OFFSET, \
         MAX(_SLUICE_LOADED_AT) AS NEWEST_LOAD, MAX(_KAFKA_TIMESTAMP) AS NEWEST_RECORD\n\
         FROM {} WHERE _SLUICE_LOADED_AT >= {} AND NOT CONTAINS(_SLUICE_RUN_ID, '/{REPLAY}-')\nGROUP BY _KAFKA_PARTITION",
        quote::table(table),
        midnight(since)
    )
}

/// One table: a row for each day from `from` on, and one without DAY for the rows among which keys are counted. ROW_COUNT,
/// KEY_COUNT (of the latter), LATE_ROWS, DELAY_SECONDS, and of the n-th column Vn (values), Sn (sum), Ln and Hn (lowest and highest).
pub fn measure(table: &Table, settings: &TableSettings, from: NaiveDate) -> String {
    let watched = watched(settings);
    let mut days = vec![
        "_SLUICE_LOADED_AT::DATE AS DAY".to_owned(),
        "COUNT(*) AS ROW_COUNT".to_owned(),
        format!("{NO_NUMBER} AS KEY_COUNT"),
    ];
    let mut whole = vec!["NULL::DATE".to_owned(), "COUNT(*)".to_owned(), keys(table)];
    match &settings.event_time {
        None => days.extend([format!("{NO_NUMBER} AS LATE_ROWS"), format!("{NO_NUMBER} AS DELAY_SECONDS")]),
        Some(column) => {
            let age = format!("DATEDIFF('SECOND', {}::TIMESTAMP_NTZ(6), _SLUICE_LOADED_AT)", quote::column(column));
            let late = (settings.late_hours * 3_600.0) as u64;
            days.push(format!("COUNT(CASE WHEN {age} > {late} THEN 1 END) AS LATE_ROWS"));
            let delay = format!("PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY {age})::NUMBER(20,0)");
            days.push(format!("{delay} AS DELAY_SECONDS"));
        }
    }
    whole.extend([NO_NUMBER.to_owned(), NO_NUMBER.to_owned()]);
    for (at, (name, is_number)) in watched.iter().enumerate() {
        let column = quote::column(name);
        days.push(format!("COUNT({column}) AS V{at}"));
        whole.push(NO_NUMBER.to_owned());
        if *is_number {
            for (letter, function) in [('S', "SUM"), ('L', "MIN"), ('H', "MAX")] {
                days.push(format!("{function}({column})::NUMBER(38,10) AS {letter}{at}"));
                whole.push("NULL::NUMBER(38,10)".to_owned());
            }
        }
    }
    // The keys of a table that only grows are counted among its new rows: among all they would cost more each day.
    let only_grows = table.loader == Loader::Streaming || table.disposition == Disposition::Append;
    let counted = if only_grows { format!(" WHERE _SLUICE_LOADED_AT >= {}", midnight(from)) } else { String::new() };
    // Rows of a replay were not streamed on that day.
    let streamed = match table.loader {
        Loader::Streaming => format!(" AND NOT CONTAINS(_SLUICE_RUN_ID, '/{REPLAY}-')"),
        Loader::Copy | Loader::Async => String::new(),
    };
    let name = quote::table(&table.table);
    format!(
        "SELECT {}\nFROM {name} WHERE _SLUICE_LOADED_AT >= {}{streamed} GROUP BY _SLUICE_LOADED_AT::DATE\n\
         UNION ALL\nSELECT {} FROM {name}{counted}",
        days.join(", "),
        midnight(from),
        whole.join(", ")
    )
}

const NO_NUMBER: &str = "NULL::NUMBER(20,0)";

/// The columns that are measured, and whether their numbers are.
pub(crate) fn watched(settings: &TableSettings) -> Vec<(&String, bool)> {
    let numbers = &settings.distribution_columns;
    let nulls = settings.null_columns.iter().filter(|name| !numbers.contains(name));
    numbers.iter().map(|name| (name, true)).chain(nulls.map(|name| (name, false))).collect()
}

/// How many different keys there are: those of the contract where loads merge by them, else the place of a row in its source,
/// of which a row that came twice has the same.
fn keys(table: &Table) -> String {
    let by_key = matches!(table.disposition, Disposition::Merge | Disposition::Replace) && !table.key.is_empty();
    let columns = match table.loader {
        Loader::Streaming => ["_KAFKA_TOPIC", "_KAFKA_PARTITION", "_KAFKA_OFFSET"].map(str::to_owned).to_vec(),
        _ if by_key => table.key.iter().map(|name| quote::column(name)).collect(),
        _ => ["_SLUICE_SOURCE_FILE", "_SLUICE_ROW_NUMBER"].map(str::to_owned).to_vec(),
    };
    match &columns[..] {
        [column] => format!("COUNT(DISTINCT {column})"),
        columns => {
            let texts: Vec<String> = columns.iter().map(|column| format!("COALESCE({column}::VARCHAR, '')")).collect();
            format!("COUNT(DISTINCT {})", texts.join(" || '/' || "))
        }
    }
}

/// Days that were measured, the newest measure of each: the columns of MEASURES.
pub fn history(tables: &[&Table], from: NaiveDate) -> String {
    format!(
        "SELECT TABLE_NAME, DAY, COLUMN_NAME, ROW_COUNT, NULL_COUNT, MEAN, MINIMUM, MAXIMUM, LATE_ROWS, DELAY_SECONDS\n\
         FROM {OBSERVABILITY}.MEASURES WHERE TABLE_NAME IN ({}) AND DAY >= {}::DATE\n\
         QUALIFY ROW_NUMBER() OVER (PARTITION BY TABLE_NAME, DAY, COLUMN_NAME ORDER BY MEASURED_AT DESC) = 1",
        names(tables),
        quote::literal(&from.to_string())
    )
}

/// Keeps days of a table. A day's rows share a statement and so a time: the newest measure is a whole one.
pub fn keep(table: &TableId, days: &BTreeMap<NaiveDate, Day>) -> Vec<String> {
    let number = |number: Option<String>| number.unwrap_or_else(|| "NULL".to_owned());
    let rows = days.iter().map(|(day, known)| {
        let mut rows = Vec::new();
        let begin = |column: &str| {
            let (table, day) = (quote::literal(&table.to_string()), quote::literal(&day.to_string()));
            format!("{table}, {day}::DATE, {}, {}", quote::literal(column), known.rows)
        };
        let late = number(known.late.map(|late| late.to_string()));
        let delay = number(known.delay_seconds.map(|delay| delay.to_string()));
        rows.push(format!("{}, NULL, NULL, NULL, NULL, {late}, {delay}, SYSDATE()", begin("")));
        for (column, measured) in &known.columns {
            let of = |value: fn(&sluice_watch::monitors::Profile) -> f64| {
                number(measured.profile.as_ref().map(|profile| format!("{:.10}", value(profile))))
            };
            let (mean, low, high) = (of(|it| it.mean), of(|it| it.minimum), of(|it| it.maximum));
            rows.push(format!("{}, {}, {mean}, {low}, {high}, NULL, NULL, SYSDATE()", begin(column), measured.nulls));
        }
        rows
    });
    inserts("MEASURES", &MEASURES, rows)
}

/// Incidents that were open at some time since then: KIND, OBJECT, OPENED_AT, RESOLVED_AT.
pub fn faults(since: DateTime<Utc>) -> String {
    let resolved = "MAX(CASE WHEN STATE = 'resolved' THEN CHANGED_AT END)";
    format!(
        "SELECT KIND, OBJECT, OPENED_AT, {resolved} AS RESOLVED_AT FROM {OBSERVABILITY}.INCIDENTS\n\
         GROUP BY INCIDENT_KEY, KIND, OBJECT, OPENED_AT HAVING COALESCE({resolved}, SYSDATE()) >= {}",
        timestamp(since)
    )
}

/// Adds changes of incidents.
pub fn record(run_id: &str, changes: &[IncidentChange]) -> Vec<String> {
    let row = |change: &IncidentChange| {
        let texts = [&change.incident, &change.key, &change.monitor, &change.object, &change.kind];
        let texts: Vec<String> = texts.iter().map(|text| quote::literal(text)).collect();
        format!(
            "{}, {}, {}, {:.10}, {}, {}, {}, {}, {}, {}, {}",
            texts.join(", "),
            change.severity,
            quote::literal(&change.state),
            change.size,
            quote::literal(&change.observed),
            quote::literal(&change.expected),
            quote::literal_or_null(change.cause.as_deref()),
            quote::literal(run_id),
            timestamp(change.opened_at),
            timestamp(change.changed_at),
            quote::literal_or_null(change.by.as_deref())
        )
    };
    inserts("INCIDENTS", &INCIDENTS, changes.iter().map(|change| vec![row(change)]))
}

fn names(tables: &[&Table]) -> String {
    let names: Vec<String> = tables.iter().map(|table| quote::literal(&table.table.to_string())).collect();
    names.join(", ")
}

fn midnight(day: NaiveDate) -> String {
    format!("'{day} 00:00:00'::TIMESTAMP_NTZ(6)")
}

fn timestamp(at: DateTime<Utc>) -> String {
    format!("'{}'::TIMESTAMP_NTZ(6)", at.format("%Y-%m-%d %H:%M:%S%.6f"))
}

#[cfg(test)]
mod tests {
    use sluice_core::Sources;
    use sluice_pipeline::watch::ColumnDay;
    use sluice_watch::monitors::Profile;

    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn the_watchers_statements() {
        let lake = LakeId("sluice-local".into());
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        let tables: Vec<&Table> = sources.tables.iter().collect();
        let from: NaiveDate = "2026-03-01".parse().expect("a date");
        let of = |name: &str| {
            let found = tables.iter().find(|table| table.table.table == name);
            found.copied().expect("a shipped table")
        };
        let measure = |name: &str| measure(of(name), &TableSettings::of(of(name)), from);
        let profile = Some(Profile { mean: 1.25, minimum: -3.0, maximum: 9.5 });
        let day = Day {
            rows: 7,
            late: Some(1),
            delay_seconds: Some(12),
            columns: BTreeMap::from([("rate".to_owned(), ColumnDay { nulls: 2, profile })]),
        };
        let change = IncidentChange {
            incident: "0a1b2c3d".into(),
            key: "sluice/volume/A.B.C//volume_drop".into(),
            monitor: "volume".into(),
            object: "A.B.C".into(),
            kind: "volume_drop".into(),
            severity: 2,
            state: "open".into(),
            size: 60.0,
            observed: "it's 40 rows".into(),
            expected: "90 to 110 rows".into(),
            cause: None,
            by: Some("ann".into()),
            opened_at: DateTime::UNIX_EPOCH,
            changed_at: DateTime::UNIX_EPOCH,
        };
        let keep = keep(&of("EXCHANGE_RATES").table, &BTreeMap::from([(from, day)]));
        let record = record("run-1", &[change]);
        snapshot::check(
            "watch",
            &[
                load_states(&lake),
                newest_loads(&lake),
                failures_and_replays(&lake),
                loaded_days(&lake, &tables[..2], from),
                dbt_runs(from),
                columns("DLT", &tables[..2]),
                newest_row(&of("PURCHASES").table),
                partitions(&of("PURCHASES").table, from),
                measure("PRODUCTS"),
                measure("EXCHANGE_RATES"),
                measure("PURCHASES"),
                history(&tables[..2], from),
                keep.concat(),
                record.concat(),
                faults(DateTime::UNIX_EPOCH),
            ],
        );
    }
}
