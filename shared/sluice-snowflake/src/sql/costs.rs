//! What days cost, from the views of SNOWFLAKE.ACCOUNT_USAGE into ADMIN.OBSERVABILITY.COSTS, and from there to people.
//!
//! The views arrive hours later and one after another. One statement makes a measure of some days: what queries are told to
//! have cost, by their tags; what their warehouses cost beside that; services without a warehouse; storage; and what is then
//! left to the bill, which is nobody's. A measure of a day replaces the one before it by its time.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sluice_pipeline::{
    observe::CostsBy,
    watch::{REMAINDER, Used, UsedAmount},
};
use sluice_watch::Prices;

use super::{OBSERVABILITY, inserts::inserts, quote};

/// What the table is called.
pub(crate) const TABLE: &str = "COSTS";

/// Its columns. What a line is not about is empty.
pub(crate) const COLUMNS: [&str; 11] = [
    "DAY DATE NOT NULL",
    "SOURCE VARCHAR NOT NULL",
    "PART VARCHAR NOT NULL",
    "OBJECT VARCHAR NOT NULL",
    "WORK VARCHAR NOT NULL",
    "RUN VARCHAR NOT NULL",
    "MODEL VARCHAR NOT NULL",
    "USER_NAME VARCHAR NOT NULL",
    "CREDITS NUMBER(38,10)",
    "DOLLARS NUMBER(38,10) NOT NULL",
    "MEASURED_AT TIMESTAMP_NTZ(6) NOT NULL",
];

const USAGE: &str = "SNOWFLAKE.ACCOUNT_USAGE";

/// The warehouse's lines of the days from `from` until before `until`.
pub fn measure(from: NaiveDate, until: NaiveDate, prices: &Prices, at: DateTime<Utc>) -> String {
    let (credit, stored) = (prices.dollars_per_credit(), prices.dollars_per_warehouse_terabyte_day());
    let at = timestamp(at);
    let (parts, days) = (parts(from, until), of_days("USAGE_DATE", from, until));
    format!(
        "INSERT INTO {OBSERVABILITY}.{TABLE} ({})\n\
         SELECT DAY, 'snowflake', PART, OBJECT, WORK, RUN, MODEL, USER_NAME, CREDITS, CREDITS * {credit:.4}, {at} FROM (\n\
         {parts}\nUNION ALL\n\
         SELECT DAY, 'remainder', '{REMAINDER}', '', '', '', '', SUM(CREDITS) FROM (\n\
         SELECT USAGE_DATE AS DAY, 1 AS IS_BILLED, CREDITS_BILLED AS CREDITS FROM {USAGE}.METERING_DAILY_HISTORY WHERE {days}\n\
         UNION ALL\nSELECT DAY, 0, 0 - CREDITS FROM (\n{parts}) AS COUNTED) AS BILLED\n\
         GROUP BY DAY HAVING MAX(IS_BILLED) = 1) AS MEASURED\n\
         UNION ALL\n\
         SELECT USAGE_DATE, 'snowflake', 'storage', 'tables and stages', '', '', '', '', NULL::NUMBER(38,10), \
         (STORAGE_BYTES + STAGE_BYTES + FAILSAFE_BYTES) / 1099511627776 * {stored:.8}, {at}\n\
         FROM {USAGE}.STORAGE_USAGE WHERE {days}",
        columns(),
    )
}

/// DAY, PART, OBJECT, WORK, RUN, MODEL, USER_NAME, CREDITS of all that the views explain. Query acceleration is a service of its
/// own there, so that of a query is not counted beside it.
fn parts(from: NaiveDate, until: NaiveDate) -> String {
    let started = of_days("START_TIME", from, until);
    let part = |what: &str, object: &str, credits: &str, view: &str, but: &str, group: &str| {
        format!(
            "SELECT START_TIME::DATE AS DAY, '{what}' AS PART, {object} AS OBJECT, '', '', '', '', SUM({credits}) AS CREDITS\n\
             FROM {USAGE}.{view} WHERE {started}{but} GROUP BY START_TIME::DATE, {group}"
        )
    };
    let metering = "WAREHOUSE_METERING_HISTORY";
    let idle = "CREDITS_USED_COMPUTE - COALESCE(CREDITS_ATTRIBUTED_COMPUTE_QUERIES, 0)";
    let served = " AND SERVICE_TYPE <> 'WAREHOUSE_METERING'";
    let service = "SERVICE_TYPE || ' ' || COALESCE(NAME, '')";
    format!(
        "SELECT DAY, 'queries' AS PART, OBJECT, WORK, RUN, MODEL, USER_NAME, SUM(CREDITS) AS CREDITS FROM (\n\
         SELECT START_TIME::DATE AS DAY, WAREHOUSE_NAME AS OBJECT, {WORK} AS WORK, {RUN} AS RUN, {MODEL} AS MODEL, USER_NAME, \
         CREDITS_ATTRIBUTED_COMPUTE AS CREDITS\n\
         FROM {USAGE}.QUERY_ATTRIBUTION_HISTORY WHERE {started}) AS ASKED\n\
         GROUP BY DAY, OBJECT, WORK, RUN, MODEL, USER_NAME\nUNION ALL\n{}\nUNION ALL\n{}\nUNION ALL\n{}",
        part("idle", "WAREHOUSE_NAME", idle, metering, "", "WAREHOUSE_NAME"),
        part("cloud services", "WAREHOUSE_NAME", "CREDITS_USED_CLOUD_SERVICES", metering, "", "WAREHOUSE_NAME"),
        part("serverless", service, "CREDITS_USED", "METERING_HISTORY", served, "SERVICE_TYPE, NAME"),
    )
}

/// Our tags: `sluice:load:<table>:<sequence>:<run>`, `sluice:dbt:<run>:<model>`, `sluice:<work>:<run>`. Another's is a work itself.
const WORK: &str = "CASE WHEN LEFT(QUERY_TAG, 7) = 'sluice:' THEN SPLIT_PART(QUERY_TAG, ':', 2) \
                    WHEN LEFT(QUERY_TAG, 16) = 'sluice dispatch ' THEN 'dbt' ELSE COALESCE(QUERY_TAG, '') END";
const RUN: &str = "CASE WHEN LEFT(QUERY_TAG, 12) = 'sluice:load:' THEN SPLIT_PART(QUERY_TAG, ':', 5) \
                   WHEN LEFT(QUERY_TAG, 7) = 'sluice:' THEN SPLIT_PART(QUERY_TAG, ':', 3) ELSE '' END";
const MODEL: &str = "CASE WHEN LEFT(QUERY_TAG, 12) = 'sluice:load:' THEN SPLIT_PART(QUERY_TAG, ':', 3) \
                     WHEN LEFT(QUERY_TAG, 11) = 'sluice:dbt:' THEN SPLIT_PART(QUERY_TAG, ':', 4) ELSE '' END";

/// What was used beside the warehouse.
pub fn keep(used: &[Used], prices: &Prices, at: DateTime<Utc>) -> Vec<String> {
    let row = |used: &Used| {
        let (part, dollars) = match used.amount {
            UsedAmount::Invocations { requests, gigabyte_seconds, is_arm } => {
                ("functions", prices.lambda_dollars(requests, gigabyte_seconds, is_arm))
            }
            UsedAmount::StoredBytes(bytes) => ("storage", prices.lake_dollars(bytes)),
        };
        format!(
            "'{}'::DATE, 'aws', '{part}', {}, '', '', '', '', NULL::NUMBER(38,10), {dollars:.10}, {}",
            used.day,
            quote::literal(&used.object),
            timestamp(at)
        )
    };
    inserts(TABLE, &COLUMNS, used.iter().map(|used| vec![row(used)]))
}

/// The source of lines that are no measure.
const ESTIMATE: &str = "estimate";

/// What an X-Small warehouse takes: what `platform/warehouse.yaml` gives to all but dbt, which has an estimate of its own.
const CREDITS_PER_HOUR: f64 = 1.0;

/// An estimate of what statements cost, by their tags and the seconds that their sender has waited for them.
pub fn estimate(warehouse: &str, spent: &BTreeMap<String, f64>) -> String {
    let row = |(tag, seconds): (&String, &f64)| {
        let credits = seconds / 3_600.0 * CREDITS_PER_HOUR;
        format!("SELECT {} AS QUERY_TAG, {credits:.10} AS CREDITS", quote::literal(tag))
    };
    let rows: Vec<String> = spent.iter().map(row).collect();
    format!(
        "INSERT INTO {OBSERVABILITY}.{TABLE} ({})\n\
         SELECT SYSDATE()::DATE, '{ESTIMATE}', 'queries', {}, {WORK}, {RUN}, {MODEL}, '', CREDITS, 0, SYSDATE() FROM (\n{}) AS SPENT",
        columns(),
        quote::literal(warehouse),
        rows.join("\nUNION ALL\n")
    )
}

/// The newest measure of each day.
pub fn newest() -> String {
    of_newest("")
}

fn of_newest(and: &str) -> String {
    format!(
        "SELECT {} FROM {OBSERVABILITY}.{TABLE} WHERE SOURCE <> '{ESTIMATE}'{and}\n\
         QUALIFY MEASURED_AT = MAX(MEASURED_AT) OVER (PARTITION BY DAY, SOURCE)",
        columns()
    )
}

fn newest_since(from: NaiveDate) -> String {
    of_newest(&format!(" AND DAY >= '{from}'::DATE"))
}

/// By day, source and object: DAY, SOURCE, OBJECT, CREDITS, DOLLARS.
pub fn by_day(from: NaiveDate) -> String {
    format!(
        "SELECT DAY, SOURCE, OBJECT, SUM(CREDITS) AS CREDITS, SUM(DOLLARS) AS DOLLARS FROM (\n{}) AS NEWEST\n\
         GROUP BY DAY, SOURCE, OBJECT",
        newest_since(from)
    )
}

/// What a person asks: GROUPED (what the sum is of), CREDITS, DOLLARS, the dearest first.
pub fn by(from: NaiveDate, by: CostsBy, limit: usize) -> String {
    let (column, only) = match by {
        CostsBy::Part => ("PART", ""),
        CostsBy::Day => ("DAY", ""),
        CostsBy::Object => ("OBJECT", ""),
        CostsBy::Work => ("WORK", "WHERE PART = 'queries'\n"),
        CostsBy::Run => ("RUN", "WHERE RUN <> ''\n"),
        CostsBy::Model => ("MODEL", "WHERE MODEL <> ''\n"),
        CostsBy::User => ("USER_NAME", "WHERE USER_NAME <> ''\n"),
    };
    format!(
        "SELECT {column}::VARCHAR AS GROUPED, SUM(CREDITS) AS CREDITS, SUM(DOLLARS) AS DOLLARS FROM (\n{}) AS NEWEST\n\
         {only}GROUP BY {column} ORDER BY SUM(DOLLARS) DESC LIMIT {limit}",
        newest_since(from)
    )
}

/// What was done since the newest day of which the bill is known, as DAY: WORK, RUNS, CREDITS by their own time, the dearest
/// first. Of dbt there is always a row.
pub fn estimated(from: NaiveDate) -> String {
    let measured = format!("SELECT MAX(DAY) FROM {OBSERVABILITY}.{TABLE} WHERE PART = 'remainder'");
    let since = |day: &str| format!("{day} >= '{from}'::DATE AND {day} > COALESCE(({measured}), '1970-01-01'::DATE)");
    format!(
        "SELECT ({measured}) AS DAY, WORK, RUNS, CREDITS FROM (\n\
         SELECT 'dbt' AS WORK, COUNT(*) AS RUNS, COALESCE(SUM(CREDITS), 0) AS CREDITS FROM {OBSERVABILITY}.DBT_RUNS WHERE {}\n\
         UNION ALL\n\
         SELECT WORK, COUNT(DISTINCT RUN), SUM(CREDITS) FROM {OBSERVABILITY}.{TABLE} WHERE SOURCE = '{ESTIMATE}' AND {}\n\
         GROUP BY WORK) AS SPENT ORDER BY CREDITS DESC",
        since("FINISHED_AT::DATE"),
        since("DAY")
    )
}

fn of_days(column: &str, from: NaiveDate, until: NaiveDate) -> String {
    format!("{column} >= '{from}'::DATE AND {column} < '{until}'::DATE")
}

fn columns() -> String {
    let names: Vec<&str> = COLUMNS.iter().filter_map(|column| column.split(' ').next()).collect();
    names.join(", ")
}

fn timestamp(at: DateTime<Utc>) -> String {
    format!("'{}'::TIMESTAMP_NTZ(6)", at.format("%Y-%m-%d %H:%M:%S%.6f"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn the_statements_about_costs() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
        let (from, until, prices) = (day("2026-03-01"), day("2026-03-05"), Prices::default());
        let amount = UsedAmount::Invocations { requests: 1_000.0, gigabyte_seconds: 250.0, is_arm: true };
        let used = [
            Used { day: from, object: "it's a function".into(), amount },
            Used { day: from, object: "the lake".into(), amount: UsedAmount::StoredBytes(1e12) },
        ];
        let mut statements = vec![
            measure(from, until, &prices, DateTime::UNIX_EPOCH),
            keep(&used, &prices, DateTime::UNIX_EPOCH).concat(),
            by_day(from),
            estimated(from),
            estimate("LOADING", &BTreeMap::from([("sluice:load:A.B.C:7:run-1".to_owned(), 3.6)])),
        ];
        statements.extend(CostsBy::ALL.map(|(by_what, _)| by(from, by_what, 20)));
        snapshot::check("costs", &statements);
    }
}
