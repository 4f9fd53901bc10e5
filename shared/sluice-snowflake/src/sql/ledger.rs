//! The ledger in the warehouse: what was loaded, keyed by (lake id, table, sequence), and the rows that loads lock.

use chrono::{DateTime, Utc};
use sluice_core::{Commit, LakeId, Loader, Sequence, TableId};

use super::{HANDLER, OBSERVABILITY, activations, costs, create_table, quote};

/// How a commit stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Handed to Snowpipe, not yet confirmed.
    Submitted,
    Loaded,
    Failed,
}

impl Status {
    /// The word in the ledger's STATUS column.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Submitted => "submitted",
            Status::Loaded => "loaded",
            Status::Failed => "failed",
        }
    }
}

/// The word in the ledger's LOADER column for a commit that only moves a cursor.
pub(crate) const RESET: &str = "reset";

/// The word for a replay of a streaming table.
pub const REPLAY: &str = "replay";

/// How often rows of a table were put aside or taken back.
const ASIDE: &str = "COUNT(*) + COUNT(TAKEN_BACK_AT)";

/// A replay moves a streaming table's position by more rows than the table will ever hold.
const ROWS_PER_REPLAY: u64 = 1_000_000_000_000;

/// The entry of one commit: at most one row with STATUS, ROWS_LOADED, REASON and its age by the warehouse's own clock.
pub fn entry(lake: &LakeId, table: &TableId, sequence: Sequence) -> String {
    format!(
        "SELECT STATUS, ROWS_LOADED, REASON, {AGE} AS AGE_SECONDS FROM {OBSERVABILITY}.LOADS WHERE {}",
        is_commit(lake, table, sequence)
    )
}

/// Seconds since a ledger row was written.
const AGE: &str = "DATEDIFF('second', LOADED_AT, SYSDATE())";

/// Records that a commit cannot even be read. Running it again adds nothing.
pub fn unreadable(lake: &LakeId, table: &TableId, sequence: Sequence, reason: &str) -> String {
    format!(
        "INSERT INTO {OBSERVABILITY}.LOADS ({COLUMNS})\n\
         SELECT {}, {}, {sequence}, 'unreadable', '{}', 'none', 0, 0, {}, SYSDATE()\n\
         WHERE NOT EXISTS (SELECT 1 FROM {OBSERVABILITY}.LOADS WHERE {})",
        quote::literal(&lake.0),
        quote::literal(&table.to_string()),
        Status::Failed.as_str(),
        quote::literal(reason),
        is_commit(lake, table, sequence)
    )
}

/// Takes back that a commit has failed, so that it may be loaded again.
pub fn forget_failure(lake: &LakeId, table: &TableId, sequence: Sequence) -> String {
    format!(
        "DELETE FROM {OBSERVABILITY}.LOADS WHERE {} AND STATUS = '{}'",
        is_commit(lake, table, sequence),
        Status::Failed.as_str()
    )
}

/// Records a commit as handed to Snowpipe. Running it again adds nothing, whatever has become of the commit since.
pub fn submit(commit: &Commit) -> String {
    format!(
        "INSERT INTO {OBSERVABILITY}.LOADS ({COLUMNS})\n\
         SELECT {}\n\
         WHERE NOT EXISTS (SELECT 1 FROM {OBSERVABILITY}.LOADS WHERE {})",
        values(commit, Status::Submitted, 0, "NULL"),
        is_commit(&commit.lake_id, &commit.table, commit.sequence)
    )
}

/// Records that a commit will not load.
pub fn fail(commit: &Commit, reason: &str) -> String {
    end(commit, Status::Failed, 0, Some(reason))
}

/// Records that a submitted commit is in its table, and since when. A pipe can note only the time of a file, or, if an earlier
/// version made it, that of its scan in the time zone of the account. Its files say which run and sequence a row is of.
pub fn confirm(commit: &Commit, rows: u64) -> String {
    format!(
        "EXECUTE IMMEDIATE $$
BEGIN
  BEGIN TRANSACTION;
  UPDATE {} SET _SLUICE_LOADED_AT = SYSDATE() WHERE _SLUICE_SEQUENCE = {} AND _SLUICE_RUN_ID = {};
  {};
  COMMIT;
  RETURN '{}';
{HANDLER}$$",
        quote::table(&commit.table),
        commit.sequence,
        quote::literal(&commit.run_id.0),
        end(commit, Status::Loaded, rows, None),
        Status::Loaded.as_str()
    )
}

fn end(commit: &Commit, status: Status, rows: u64, reason: Option<&str>) -> String {
    format!(
        "UPDATE {OBSERVABILITY}.LOADS SET STATUS = '{}', ROWS_LOADED = {rows}, REASON = {}, LOADED_AT = SYSDATE() WHERE {} \
         AND STATUS <> 'loaded'",
        status.as_str(),
        quote::literal_or_null(reason),
        is_commit(&commit.lake_id, &commit.table, commit.sequence)
    )
}

/// How many commits of each table are loaded, as TABLE_NAME and POSITION: loads may come out of order, so the highest
/// sequence would not tell of each. A reset brings no rows, so it moves nothing on; a row that is put aside or taken back
/// changes what the models make, so it does.
pub fn positions() -> String {
    format!(
        "SELECT TABLE_NAME, SUM(MOVES) AS POSITION FROM (\n\
         SELECT TABLE_NAME, COUNT(*) AS MOVES FROM {OBSERVABILITY}.LOADS WHERE STATUS = 'loaded' \
         AND LOADER <> '{RESET}' GROUP BY TABLE_NAME\n\
         UNION ALL\n\
         SELECT TABLE_NAME, {ASIDE} AS MOVES FROM {OBSERVABILITY}.PUT_ASIDE GROUP BY TABLE_NAME) AS MOVED\n\
         GROUP BY TABLE_NAME"
    )
}

/// How far a streaming table has come, as POSITION: such a table has no commits, but it only ever grows, other than by a
/// replay, which may leave as many rows as there were, as does a row that is put aside or taken back.
pub fn streaming_position(table: &TableId) -> String {
    format!(
        "SELECT COUNT(*) + {ROWS_PER_REPLAY} * ((SELECT COUNT(*) FROM {OBSERVABILITY}.LOADS WHERE TABLE_NAME = {name} \
         AND LOADER = '{REPLAY}')\n\
         + (SELECT {ASIDE} FROM {OBSERVABILITY}.PUT_ASIDE WHERE TABLE_NAME = {name})) AS POSITION FROM {}",
        quote::table(table),
        name = quote::literal(&table.to_string()),
    )
}

/// The highest Kafka offset among a channel's rows, as POSITION; NULL when it has none. Rows carry the channel's name
/// and a slash before their run's own part: a channel that has lost its token is not a fresh start.
pub fn max_loaded_offset(table: &TableId, channel: &str) -> String {
    let prefix = format!("{channel}/");
    format!(
        "SELECT MAX(_KAFKA_OFFSET) AS POSITION FROM {} WHERE LEFT(_SLUICE_RUN_ID, {}) = {}",
        quote::table(table),
        prefix.chars().count(),
        quote::literal(&prefix)
    )
}

/// What became of the files that a table was given in the last two weeks. Snowflake remembers them for 14 days and refuses
/// a start before that, by its own clock, so an hour is left.
pub fn copy_history(table: &TableId) -> String {
    let name = quote::literal(&quote::table(table));
    format!(
        "SELECT FILE_NAME, STATUS, ROW_COUNT, ROW_PARSED, FIRST_ERROR_MESSAGE FROM \
         TABLE({}.INFORMATION_SCHEMA.COPY_HISTORY(\
         TABLE_NAME => {name}, START_TIME => DATEADD(HOUR, -335, CURRENT_TIMESTAMP())))",
        quote::identifier(&table.database)
    )
}

/// Every sequence of a table: SEQUENCE, and SUBMITTED_AT of one that was handed to Snowpipe and has not ended. Each sweep asks in
/// the same words, and none of them is a time: where nothing was loaded since, Snowflake answers without starting a warehouse.
pub fn sequences(lake: &LakeId, table: &TableId) -> String {
    format!(
        "SELECT SEQUENCE, CASE WHEN STATUS = '{}' THEN LOADED_AT END AS SUBMITTED_AT FROM {OBSERVABILITY}.LOADS WHERE {}",
        Status::Submitted.as_str(),
        is_table(lake, table)
    )
}

/// How a dbt run ended.
#[derive(Debug)]
pub struct DbtRun<'a> {
    pub number: u64,
    pub run_id: &'a str,
    pub dbt_run_id: &'a str,
    pub status: &'a str,
    pub selectors: &'a str,
    pub cause: &'a str,
    pub reason: Option<&'a str>,
    pub full_refresh: bool,
    pub attempts: u32,
    pub models: u64,
    pub tests: u64,
    pub skipped: u64,
    pub rows: u64,
    /// The names of the failed nodes, separated by spaces.
    pub failed: &'a str,
    pub failures: u64,
    pub seconds: f64,
    pub credits: f64,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
}

/// Records how a dbt run ended. Running it again adds nothing.
pub fn dbt_run(run: &DbtRun<'_>) -> String {
    let timestamp = |at: DateTime<Utc>| format!("'{}'::TIMESTAMP_NTZ(6)", at.format("%Y-%m-%d %H:%M:%S%.6f"));
    let values = [
        ("NUMBER", run.number.to_string()),
        ("RUN_ID", quote::literal(run.run_id)),
        ("DBT_RUN_ID", quote::literal(run.dbt_run_id)),
        ("STATUS", quote::literal(run.status)),
        ("SELECTORS", quote::literal(run.selectors)),
        ("CAUSE", quote::literal(run.cause)),
        ("STARTED_AT", timestamp(run.started_at)),
        ("FINISHED_AT", timestamp(run.finished_at)),
        ("REASON", quote::literal_or_null(run.reason)),
        ("FULL_REFRESH", if run.full_refresh { "TRUE" } else { "FALSE" }.to_owned()),
        ("ATTEMPTS", run.attempts.to_string()),
        ("MODELS", run.models.to_string()),
        ("TESTS", run.tests.to_string()),
        ("SKIPPED", run.skipped.to_string()),
        ("ROWS_AFFECTED", run.rows.to_string()),
        ("FAILURES", run.failures.to_string()),
        ("FAILED_NODES", quote::literal(run.failed)),
        ("SECONDS", format!("{:.3}", run.seconds)),
        ("CREDITS", format!("{:.6}", run.credits)),
    ];
    let (columns, values): (Vec<&str>, Vec<String>) = values.into_iter().unzip();
    format!(
        "INSERT INTO {OBSERVABILITY}.DBT_RUNS ({})\nSELECT {}\n\
         WHERE NOT EXISTS (SELECT 1 FROM {OBSERVABILITY}.DBT_RUNS WHERE RUN_ID = {})",
        columns.join(", "),
        values.join(", "),
        quote::literal(run.run_id)
    )
}

/// What a run's row holds of its work.
const WORK_COLUMNS: [&str; 11] = [
    "REASON VARCHAR",
    "FULL_REFRESH BOOLEAN",
    "ATTEMPTS NUMBER(10,0)",
    "MODELS NUMBER(10,0)",
    "TESTS NUMBER(10,0)",
    "SKIPPED NUMBER(10,0)",
    "ROWS_AFFECTED NUMBER(20,0)",
    "FAILURES NUMBER(10,0)",
    "FAILED_NODES VARCHAR",
    "SECONDS NUMBER(14,3)",
    "CREDITS NUMBER(14,6)",
];

/// The columns of MEASURES; COLUMN_NAME is empty in the row of a day as a whole.
pub(crate) const MEASURES: [&str; 11] = [
    "TABLE_NAME VARCHAR NOT NULL",
    "DAY DATE NOT NULL",
    "COLUMN_NAME VARCHAR NOT NULL",
    "ROW_COUNT NUMBER(20,0) NOT NULL",
    "NULL_COUNT NUMBER(20,0)",
    "MEAN NUMBER(38,10)",
    "MINIMUM NUMBER(38,10)",
    "MAXIMUM NUMBER(38,10)",
    "LATE_ROWS NUMBER(20,0)",
    "DELAY_SECONDS NUMBER(20,0)",
    "MEASURED_AT TIMESTAMP_NTZ(6) NOT NULL",
];

/// The columns of INCIDENTS.
pub(crate) const INCIDENTS: [&str; 15] = [
    "INCIDENT VARCHAR NOT NULL",
    "INCIDENT_KEY VARCHAR NOT NULL",
    "MONITOR VARCHAR NOT NULL",
    "OBJECT VARCHAR NOT NULL",
    "KIND VARCHAR NOT NULL",
    "SEVERITY NUMBER(10,0) NOT NULL",
    "STATE VARCHAR NOT NULL",
    "SIZE NUMBER(38,10)",
    "OBSERVED VARCHAR",
    "EXPECTED VARCHAR",
    "CAUSE VARCHAR",
    "RUN_ID VARCHAR NOT NULL",
    "OPENED_AT TIMESTAMP_NTZ(6) NOT NULL",
    "CHANGED_AT TIMESTAMP_NTZ(6) NOT NULL",
    "SAID_BY VARCHAR",
];

/// What they are called and what they hold, in the order of [`tables`].
pub(crate) const TABLES: [(&str, &str); 7] = [
    ("LOADS", "What was loaded: a row for each commit."),
    ("DBT_RUNS", "How each run of dbt ended."),
    ("PUT_ASIDE", "Rows that must not count."),
    (activations::TABLE, "What each record of a destination is known to hold."),
    ("MEASURES", "Days of raw tables and of their columns, as the watcher has measured them."),
    ("INCIDENTS", "A row for each change of an incident."),
    (costs::TABLE, "What each day cost; of a day and source the newest measure counts."),
];

/// The ledger's own tables, and the list of rows that were put aside: an entry without TAKEN_BACK_AT is in force. Of a measured
/// day, and of an incident, the newest row counts.
pub(crate) fn tables() -> [String; 7] {
    let create = |name: &str, columns: &[&str]| {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        create_table(&format!("{OBSERVABILITY}.{name}"), &columns)
    };
    [
        create(
            "LOADS",
            &[
                "LAKE_ID VARCHAR NOT NULL",
                "TABLE_NAME VARCHAR NOT NULL",
                "SEQUENCE NUMBER(20,0) NOT NULL",
                "RUN_ID VARCHAR NOT NULL",
                "STATUS VARCHAR NOT NULL",
                "LOADER VARCHAR NOT NULL",
                "ROWS_LOADED NUMBER(20,0) NOT NULL",
                "FILES NUMBER(10,0) NOT NULL",
                "REASON VARCHAR",
                "LOADED_AT TIMESTAMP_NTZ(6) NOT NULL",
            ],
        ),
        create(
            "DBT_RUNS",
            &[
                &[
                    "NUMBER NUMBER(20,0)",
                    "RUN_ID VARCHAR",
                    "DBT_RUN_ID VARCHAR",
                    "STATUS VARCHAR",
                    "SELECTORS VARCHAR",
                    "CAUSE VARCHAR",
                    "STARTED_AT TIMESTAMP_NTZ(6)",
                    "FINISHED_AT TIMESTAMP_NTZ(6)",
                ][..],
                &WORK_COLUMNS[..],
            ]
            .concat(),
        ),
        create(
            "PUT_ASIDE",
            &[
                "TABLE_NAME VARCHAR NOT NULL",
                "ROW_KEY VARCHAR NOT NULL",
                "REASON VARCHAR NOT NULL",
                "PUT_BY VARCHAR NOT NULL",
                "PUT_AT TIMESTAMP_NTZ(6) NOT NULL",
                "TAKEN_BACK_REASON VARCHAR",
                "TAKEN_BACK_BY VARCHAR",
                "TAKEN_BACK_AT TIMESTAMP_NTZ(6)",
            ],
        ),
        create(activations::TABLE, &activations::COLUMNS),
        create("MEASURES", &MEASURES),
        create("INCIDENTS", &INCIDENTS),
        create(costs::TABLE, &costs::COLUMNS),
    ]
}

pub(crate) const COLUMNS: &str =
    "LAKE_ID, TABLE_NAME, SEQUENCE, RUN_ID, STATUS, LOADER, ROWS_LOADED, FILES, REASON, LOADED_AT";

/// A commit's ledger row, in the order of [`COLUMNS`]. `reason` is an expression.
pub(crate) fn values(commit: &Commit, status: Status, rows: u64, reason: &str) -> String {
    let loader = match (&commit.reset, commit.loader) {
        (Some(_), _) => RESET,
        (None, Loader::Copy) => "copy",
        (None, Loader::Async) => "snowpipe",
        (None, Loader::Streaming) => "streaming",
    };
    format!(
        "{}, {}, {}, {}, '{}', '{loader}', {rows}, {}, {reason}, SYSDATE()",
        quote::literal(&commit.lake_id.0),
        quote::literal(&commit.table.to_string()),
        commit.sequence,
        quote::literal(&commit.run_id.0),
        status.as_str(),
        commit.files.len()
    )
}

/// The condition that a row belongs to one lake and table.
pub(crate) fn is_table(lake: &LakeId, table: &TableId) -> String {
    format!("LAKE_ID = {} AND TABLE_NAME = {}", quote::literal(&lake.0), quote::literal(&table.to_string()))
}

/// The condition that a row belongs to one commit.
pub(crate) fn is_commit(lake: &LakeId, table: &TableId, sequence: Sequence) -> String {
    format!("{} AND SEQUENCE = {sequence}", is_table(lake, table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{load::tests::commit, lock, snapshot};

    #[test]
    fn sweeps_ask_in_words_without_a_time() {
        let asked = sequences(&LakeId("lake".into()), &"A.B.C".parse().expect("a table name"));
        assert!(["SYSDATE", "CURRENT_"].iter().all(|word| !asked.contains(word)), "{asked}");
    }

    #[test]
    fn the_ledgers_statements() {
        let rates = commit("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", 2);
        let purchases = "STREAMING.PUBLIC.PURCHASES".parse().expect("a table name");
        snapshot::check(
            "ledger",
            &[
                lock::create(&rates.lake_id, &rates.table),
                entry(&rates.lake_id, &rates.table, rates.sequence),
                submit(&rates),
                fail(&rates, r"can't read C:\x"),
                confirm(&rates, 2),
                positions(),
                sequences(&rates.lake_id, &rates.table),
                unreadable(&rates.lake_id, &purchases, rates.sequence, "it's torn"),
                forget_failure(&rates.lake_id, &purchases, rates.sequence),
                dbt_run(&DbtRun {
                    number: 7,
                    run_id: "run-1",
                    dbt_run_id: "42",
                    status: "succeeded",
                    selectors: "source:dlt_application_data.products+",
                    cause: "it's loaded",
                    reason: Some(r"can't build C:\x"),
                    full_refresh: true,
                    attempts: 2,
                    models: 21,
                    tests: 84,
                    skipped: 3,
                    rows: 1_000_000,
                    failed: "model.sluice.sales test.sluice.unique_sales.0123abcdef",
                    failures: 2,
                    seconds: 61.25,
                    credits: 0.017_013_9,
                    started_at: DateTime::UNIX_EPOCH,
                    finished_at: DateTime::UNIX_EPOCH,
                }),
                streaming_position(&purchases),
                max_loaded_offset(&purchases, "sluice-local_kafka_it's_3"),
                copy_history(&rates.table),
            ],
        );
    }
}
