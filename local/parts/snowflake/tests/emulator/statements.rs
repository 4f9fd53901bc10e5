//! What `sluice-snowflake` renders, run for real.

use chrono::TimeDelta;
use sluice_core::{Disposition, Sequence};
use sluice_pipeline::load::Warehouse as _;
use sluice_snowflake::{
    Known, Loads,
    sql::{ledger, lock, observe},
};

use crate::support::{Warehouse, foundation, sources, table_id};

const PRODUCTS: &str = "DLT.APPLICATION_DATA.PRODUCTS";
const CONTACTS: &str = "AIRBYTE.HUBSPOT.CONTACTS";
const CURRENCIES: &str = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES";

fn product(id: u32, name: &str) -> String {
    format!(
        "SELECT {id}::BIGINT AS audit_id, 1::BIGINT AS product_id, '{name}' AS product_name, \
         1.5::DECIMAL(18,4) AS price_usd, 'INSERT' AS operation, TIMESTAMP '2026-01-01 00:00:00' AS valid_ts"
    )
}

fn contact(id: u32, name: &str, modified: &str) -> String {
    format!(
        "SELECT {id}::BIGINT AS id, NULL::VARCHAR AS email, '{name}' AS firstname, NULL::VARCHAR AS lastname, \
         NULL::VARCHAR AS lifecyclestage, TIMESTAMP '2025-01-01' AS createdate, TIMESTAMP '{modified}' AS lastmodifieddate, \
         false AS archived, NULL::VARCHAR AS merged_ids"
    )
}

#[tokio::test]
async fn the_foundation_may_run_twice_and_changes_nothing_the_second_time() {
    let warehouse = Warehouse::founded().await;
    warehouse.load(&warehouse.commit(PRODUCTS, 1, 1, &product(1, "a"))).await.expect("a load");
    for statement in foundation(&sources()).await {
        warehouse.run(&statement).await.expect("again");
    }
    let locks = "SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE 'LOCK\\_%' ESCAPE '\\'";
    assert_eq!(warehouse.column(locks).await, ["5"]);
    let lock =
        "SELECT concat_ws(' ', RECENT, HIGHEST) FROM ADMIN__OBSERVABILITY.\"LOCK_test_DLT.APPLICATION_DATA.PRODUCTS\"";
    assert_eq!(warehouse.column(lock).await, [",1, 1"]);
    assert_eq!(warehouse.column("SELECT PRODUCT_NAME FROM DLT__APPLICATION_DATA.PRODUCTS").await, ["a"]);
    let comment = "SELECT comment FROM duckdb_tables() WHERE table_name = 'PRODUCTS'";
    let products = sources().table(&table_id(PRODUCTS)).expect("an entry").description.clone();
    assert_eq!(warehouse.column(comment).await, [products], "somebody who browses reads what the entry says");
}

#[tokio::test]
async fn a_commit_is_loaded_once_with_its_origin() {
    let warehouse = Warehouse::founded().await;
    let rows = format!("{} UNION ALL {}", product(1, "a"), product(2, "b"));
    let commit = warehouse.commit(PRODUCTS, 1, 2, &rows);
    let (one, other) = tokio::join!(warehouse.load(&commit), warehouse.load(&commit));
    let mut answers = [one.expect("a load"), other.expect("a second delivery")];
    answers.sort();
    assert_eq!(answers, ["already loaded", "loaded"]);
    assert_eq!(warehouse.load(&commit).await.expect("a third delivery"), "already loaded");

    let loaded = "SELECT concat_ws(' ', PRODUCT_NAME, PRICE_USD, _SLUICE_SEQUENCE, _SLUICE_ROW_NUMBER, _SLUICE_SOURCE_FILE, \
                  _SLUICE_LOADED_AT IS NOT NULL) FROM DLT__APPLICATION_DATA.PRODUCTS ORDER BY AUDIT_ID";
    let path = &commit.files[0].path;
    assert_eq!(
        warehouse.column(loaded).await,
        [format!("a 1.5000 1 1 {path} true"), format!("b 1.5000 1 2 {path} true")]
    );

    let entry = ledger::entry(&commit.lake_id, &commit.table, commit.sequence);
    let entry = warehouse.run(&entry).await.expect("an entry");
    assert_eq!(entry.len(), 1);
    assert_eq!(entry[0]["status"].as_deref(), Some("loaded"));
    assert_eq!(entry[0]["rows_loaded"].as_deref(), Some("2"));
    let positions = warehouse.run(&ledger::positions()).await.expect("positions");
    assert_eq!(positions[0]["position"].as_deref(), Some("1"));
}

#[tokio::test]
async fn rows_that_never_change_are_inserted_only_if_absent() {
    let warehouse = Warehouse::founded().await;
    warehouse.load(&warehouse.commit(PRODUCTS, 1, 1, &product(1, "a"))).await.expect("a load");
    let rows = format!("{} UNION ALL {}", product(1, "changed"), product(2, "b"));
    warehouse.load(&warehouse.commit(PRODUCTS, 2, 2, &rows)).await.expect("a load");
    let names = "SELECT PRODUCT_NAME FROM DLT__APPLICATION_DATA.PRODUCTS ORDER BY AUDIT_ID";
    assert_eq!(warehouse.column(names).await, ["a", "b"]);
}

#[tokio::test]
async fn a_newer_version_wins_whatever_the_order_of_arrival() {
    let warehouse = Warehouse::founded().await;
    let names = "SELECT FIRSTNAME || _SLUICE_SEQUENCE FROM AIRBYTE__HUBSPOT.CONTACTS ORDER BY ID";
    let rows = format!(
        "{} UNION ALL {}",
        contact(1, "older", "2026-01-02"),
        contact(1, "newer", "2026-01-03 00:00:00.000001")
    );
    warehouse.load(&warehouse.commit(CONTACTS, 5, 2, &rows)).await.expect("a load");
    assert_eq!(warehouse.column(names).await, ["newer5"]);
    let late = format!("{} UNION ALL {}", contact(1, "late", "2026-01-01"), contact(2, "new", "2026-01-01"));
    warehouse.load(&warehouse.commit(CONTACTS, 6, 2, &late)).await.expect("a load");
    assert_eq!(warehouse.column(names).await, ["newer5", "new6"]);
    let newest = format!("{} UNION ALL {}", contact(1, "newest", "2026-02-01"), contact(2, "same", "2026-01-01"));
    warehouse.load(&warehouse.commit(CONTACTS, 7, 2, &newest)).await.expect("a load");
    assert_eq!(warehouse.column(names).await, ["newest7", "same7"]);
    warehouse.load(&warehouse.commit(CONTACTS, 4, 1, &contact(2, "behind", "2026-01-01"))).await.expect("a load");
    assert_eq!(warehouse.column(names).await, ["newest7", "same7"]);
}

#[tokio::test]
async fn a_row_without_a_version_is_older_than_any_and_changes_once_it_has_one() {
    let entry = "
tables:
  - table: DLT.APPLICATION_DATA.STOCK
    description: What there is.
    source: { kind: postgres, schema: s, table: stock, cursor: id }
    loader: copy
    disposition: merge
    key: [id]
    version_column: version
    columns:
      - { name: id, type: bigint, required: true }
      - { name: version, type: bigint, required: true }
      - { name: name, type: text }
";
    let mut sources = sluice_core::Sources::parse(entry).expect("valid sources");
    // A table that was made when a version could still be missing.
    sources.tables[0].columns.0[1].required = false;
    let warehouse = Warehouse::empty().await.found(&sources).await;
    let names = "SELECT NAME || _SLUICE_SEQUENCE FROM DLT__APPLICATION_DATA.STOCK";
    for (sequence, version, name, left) in [
        (2, "NULL", "unknown", "unknown2"),
        (1, "NULL", "earlier", "unknown2"),
        (3, "NULL", "later", "later3"),
        (4, "7", "versioned", "versioned4"),
        (5, "NULL", "again unknown", "versioned4"),
        (6, "8", "newer", "newer6"),
        (7, "7", "older", "newer6"),
    ] {
        let row = format!("SELECT 1::BIGINT AS id, {version}::BIGINT AS version, '{name}' AS name");
        warehouse.load(&warehouse.commit_of(&sources.tables[0], sequence, 1, &row)).await.expect("a load");
        assert_eq!(warehouse.column(names).await, [left]);
    }
}

#[tokio::test]
async fn a_text_that_other_formats_take_for_null_stays_a_text() {
    let warehouse = Warehouse::founded().await;
    let rows = format!("{} UNION ALL {}", product(1, r"\N"), product(2, ""));
    warehouse.load(&warehouse.commit(PRODUCTS, 1, 2, &rows)).await.expect("a load");
    let names = "SELECT PRODUCT_NAME FROM DLT__APPLICATION_DATA.PRODUCTS ORDER BY AUDIT_ID";
    assert_eq!(warehouse.column(names).await, [r"\N", ""]);
}

#[tokio::test]
async fn a_replacement_yields_to_a_higher_sequence_and_counts_as_loaded() {
    let warehouse = Warehouse::founded().await;
    let codes = "SELECT CODE FROM DLT__OPEN_EXCHANGE_RATES.CURRENCIES ORDER BY CODE";
    let list = |code: &str| format!("SELECT '{code}' AS code, 'x' AS name");
    warehouse.load(&warehouse.commit(CURRENCIES, 2, 1, &list("EUR"))).await.expect("a load");
    assert_eq!(warehouse.load(&warehouse.commit(CURRENCIES, 1, 1, &list("OLD"))).await.expect("a load"), "loaded");
    assert_eq!(warehouse.column(codes).await, ["EUR"]);
    warehouse.load(&warehouse.commit(CURRENCIES, 3, 1, &list("GBP"))).await.expect("a load");
    assert_eq!(warehouse.column(codes).await, ["GBP"]);
}

#[tokio::test]
async fn an_append_adds_and_an_empty_commit_only_gets_its_ledger_row() {
    let warehouse = Warehouse::founded().await;
    let mut commit = warehouse.commit(PRODUCTS, 1, 1, &product(1, "a"));
    commit.disposition = Disposition::Append;
    warehouse.load(&commit).await.expect("a load");
    commit.sequence = Sequence(2);
    warehouse.load(&commit).await.expect("a load");
    (commit.sequence, commit.rows) = (Sequence(3), 0);
    commit.files.clear();
    assert_eq!(warehouse.load(&commit).await.expect("a load"), "loaded");
    assert_eq!(warehouse.column("SELECT count(*) FROM DLT__APPLICATION_DATA.PRODUCTS").await, ["2"]);
    assert_eq!(
        warehouse.column("SELECT ROWS_LOADED FROM ADMIN__OBSERVABILITY.LOADS ORDER BY 1").await,
        ["0", "1", "1"]
    );
}

#[tokio::test]
async fn a_reset_is_in_the_ledger_and_moves_neither_rows_nor_positions() {
    let warehouse = Warehouse::founded().await;
    let list = "SELECT 'EUR' AS code, 'x' AS name";
    warehouse.load(&warehouse.commit(CURRENCIES, 1, 1, list)).await.expect("a load");
    let mut reset = warehouse.commit(CURRENCIES, 2, 1, list);
    reset.files.clear();
    reset.rows = 0;
    reset.reset = Some(sluice_core::Reset { to: Sequence(0), by: "b".into(), reason: "r".into(), erased_before: None });
    assert_eq!(warehouse.load(&reset).await.expect("a load"), "loaded");
    assert_eq!(warehouse.column("SELECT CODE FROM DLT__OPEN_EXCHANGE_RATES.CURRENCIES").await, ["EUR"]);
    let positions = warehouse.run(&ledger::positions()).await.expect("positions");
    assert_eq!(positions[0]["position"].as_deref(), Some("1"));
    let states = warehouse.run(&observe::load_states(&reset.lake_id)).await.expect("states");
    assert_eq!(states[0]["commits"].as_deref(), Some("2"), "the ledger knows the reset: {states:?}");
    let recent = warehouse.run(&observe::recent_loads(&reset.lake_id, &reset.table, 1)).await.expect("loads");
    assert_eq!(recent[0]["sequence"].as_deref(), Some("2"));
    assert!(warehouse.run(&observe::failures(&reset.lake_id)).await.expect("failures").is_empty());
    assert!(warehouse.run(&observe::dbt_runs(3)).await.expect("runs").is_empty());
}

#[tokio::test]
async fn a_quiet_stream_has_no_rows_in_its_last_hour_and_no_nulls() {
    let warehouse = Warehouse::founded().await;
    let table = "STREAMING.PUBLIC.PURCHASES".parse().expect("a table");
    let old = "INSERT INTO STREAMING.PUBLIC.PURCHASES (EVENT_ID, CUSTOMER_EMAIL, PRODUCT_ID, QUANTITY, PURCHASE_TS,
        SCHEMA_VERSION, _SLUICE_RUN_ID, _SLUICE_SEQUENCE, _SLUICE_LOADED_AT, _KAFKA_TOPIC, _KAFKA_PARTITION, _KAFKA_OFFSET,
        _KAFKA_TIMESTAMP) VALUES ('e', 'c', 1, 1, '2026-01-01 00:00:00'::TIMESTAMP_NTZ(6), 1, 'c/r', 0,
        '2026-01-01 00:00:01'::TIMESTAMP_NTZ(6), 'purchases', 1, 7, '2026-01-01 00:00:00'::TIMESTAMP_NTZ(6))";
    for rows in ["", old] {
        if !rows.is_empty() {
            warehouse.run(rows).await.expect("a row of long ago");
        }
        let pace = warehouse.run(&observe::pace(&table)).await.expect("the pace");
        let value = |column: &str| pace[0][column].as_deref();
        assert_eq!((value("hour_rows"), value("recent_rows"), value("p50")), (Some("0"), Some("0"), None));
    }
}

#[tokio::test]
async fn a_streams_progress_pace_and_latency_are_those_of_its_rows() {
    let warehouse = Warehouse::founded().await;
    let table = "STREAMING.PUBLIC.PURCHASES".parse().expect("a table");
    let none = warehouse.run(&observe::pace(&table)).await.expect("an answer");
    assert_eq!((none[0]["p50"].as_deref(), none[0]["hour_rows"].as_deref()), (None, Some("0")));
    let insert = "INSERT INTO STREAMING.PUBLIC.PURCHASES (EVENT_ID, CUSTOMER_EMAIL, PRODUCT_ID, QUANTITY, PURCHASE_TS,
        SCHEMA_VERSION, _SLUICE_RUN_ID, _SLUICE_SEQUENCE, _SLUICE_LOADED_AT, _KAFKA_TOPIC, _KAFKA_PARTITION, _KAFKA_OFFSET,
        _KAFKA_TIMESTAMP) VALUES ";
    let now = chrono::Utc::now();
    let row = |offset: u32, run: &str, minutes: i64, milliseconds: i64| {
        let loaded = now - chrono::TimeDelta::minutes(minutes);
        let [loaded, event] = [loaded, loaded - chrono::TimeDelta::milliseconds(milliseconds)]
            .map(|at| at.format("%Y-%m-%d %H:%M:%S%.6f").to_string());
        format!(
            "('e', 'c', 1, 1, '2026-01-01 00:00:00'::TIMESTAMP_NTZ(6), 1, '{run}', 0, '{loaded}'::TIMESTAMP_NTZ(6),
             'purchases', 1, {offset}, '{event}'::TIMESTAMP_NTZ(6))"
        )
    };
    let rows = [
        row(7, "c/r", 1, 100),
        row(9, "c/r", 10, 300),
        row(8, "c/r", 50, 2_500),
        // Of the day before, and of a replay: neither tells how fast the stream is.
        row(1, "c/r", 1_440, 99_999),
        row(2, "c/replay-1", 1, 99_999),
    ];
    warehouse.run(&format!("{insert}{}", rows.join(", "))).await.expect("rows");
    let partitions = warehouse.run(&observe::partitions(&table)).await.expect("partitions");
    assert_eq!(partitions.len(), 1);
    let value = |column: &str| partitions[0][column].as_deref();
    assert_eq!((value("topic"), value("number")), (Some("purchases"), Some("1")));
    assert_eq!((value("row_count"), value("highest")), (Some("5"), Some("9")));
    let pace = warehouse.run(&observe::pace(&table)).await.expect("the pace");
    let value = |column: &str| pace[0][column].as_deref();
    assert_eq!((value("p50"), value("p99")), (Some("300"), Some("2456")));
    assert_eq!((value("hour_rows"), value("recent_rows")), (Some("3"), Some("1")));
}

#[tokio::test]
async fn whatever_fails_in_a_block_leaves_nothing_behind() {
    let warehouse = Warehouse::founded().await;
    let short = warehouse.commit(PRODUCTS, 1, 2, &product(1, "a"));
    let mut gone = warehouse.commit(PRODUCTS, 2, 1, &product(1, "a"));
    gone.files[0].path = gone.files[0].path.replace("part-00000", "part-00001");
    let double = warehouse.commit(PRODUCTS, 3, 1, "SELECT 1::BIGINT AS audit_id, 1.5::DOUBLE AS price_usd");
    let null = warehouse.commit(PRODUCTS, 4, 1, "SELECT 1::BIGINT AS audit_id");
    for (commit, code) in [(short, "-20001"), (gone, "091016"), (double, "100038"), (null, "100072")] {
        let error = warehouse.load(&commit).await.expect_err("a failure");
        assert!(format!("{error:?}").contains(code), "{error:?} has not the code {code}");
    }
    assert_eq!(warehouse.column("SELECT count(*) FROM DLT__APPLICATION_DATA.PRODUCTS").await, ["0"]);
    assert_eq!(warehouse.column("SELECT count(*) FROM ADMIN__OBSERVABILITY.LOADS").await, ["0"]);
    let leftover = "SELECT count(*) FROM duckdb_tables() WHERE temporary AND table_name LIKE '%INCOMING'";
    assert_eq!(warehouse.column(leftover).await, ["0"]);
    warehouse.load(&warehouse.commit(PRODUCTS, 1, 1, &product(1, "a"))).await.expect("the next load");
}

#[tokio::test]
async fn extra_columns_of_a_file_are_dropped_and_names_match_without_case() {
    let warehouse = Warehouse::founded().await;
    let rows = format!("SELECT * RENAME (product_name AS \"PRODUCT_Name\"), 1 AS other FROM ({})", product(1, "a"));
    warehouse.load(&warehouse.commit(PRODUCTS, 1, 1, &rows)).await.expect("a load");
    assert_eq!(warehouse.column("SELECT PRODUCT_NAME FROM DLT__APPLICATION_DATA.PRODUCTS").await, ["a"]);
}

#[tokio::test]
async fn hostile_names_load_like_any_others() {
    let warehouse = Warehouse::founded().await;
    let mut commit = warehouse.commit(CONTACTS, 1, 1, &contact(1, "x", "2026-01-01"));
    commit.table = "ORDER.GROUP.TABLE".parse().expect("a name");
    commit.lake_id.0 = r"o'lake\".into();
    commit.run_id.0 = "'; DROP TABLE x; --".into();
    commit.files[0].path = r"raw/it's/a\b.parquet".into();
    let names = ["a.b", "it's \"quoted\"", "select", "🦀; drop table x --", "order"];
    for (column, name) in commit.schema.0.iter_mut().zip(names) {
        column.name = name.into();
    }
    (commit.key, commit.version_column) = (vec!["a.b".into()], Some("lastmodifieddate".into()));
    let file = "SELECT 1::BIGINT AS \"a.b\", 'q' AS \"it's \"\"quoted\"\"\", TIMESTAMP '2025-01-01' AS createdate, \
                TIMESTAMP '2026-01-01' AS lastmodifieddate, false AS archived";
    warehouse.put(&commit.files[0].path, file);
    let columns = "(\"A.B\" NUMBER(19,0), \"IT'S \"\"QUOTED\"\"\" VARCHAR, \"SELECT\" VARCHAR, \
                   \"🦀; DROP TABLE X --\" VARCHAR, \"ORDER\" VARCHAR, CREATEDATE TIMESTAMP_NTZ(6), \
                   LASTMODIFIEDDATE TIMESTAMP_NTZ(6), ARCHIVED BOOLEAN, MERGED_IDS VARCHAR, ADDITIONAL_EMAILS VARCHAR, \
                   TOTAL_ORDERS VARCHAR, LIFETIME_VALUE VARCHAR, CUSTOMER_TIER VARCHAR, OPTED_OUT BOOLEAN, \
                   _SLUICE_RUN_ID VARCHAR, _SLUICE_SEQUENCE NUMBER(20,0), _SLUICE_LOADED_AT TIMESTAMP_NTZ(6), _SLUICE_SOURCE_FILE VARCHAR, \
                   _SLUICE_ROW_NUMBER NUMBER(20,0))";
    for statement in [
        "CREATE DATABASE IF NOT EXISTS \"ORDER\"".to_owned(),
        "CREATE SCHEMA IF NOT EXISTS \"ORDER\".\"GROUP\"".to_owned(),
        format!("CREATE TABLE IF NOT EXISTS \"ORDER\".\"GROUP\".\"TABLE\" {columns}"),
        lock::create(&commit.lake_id, &commit.table),
    ] {
        warehouse.run(&statement).await.expect("a table");
    }
    warehouse.load(&commit).await.expect("a load");
    let row = "SELECT concat_ws(' ', \"A.B\", \"IT'S \"\"QUOTED\"\"\", _SLUICE_RUN_ID, _SLUICE_SOURCE_FILE) \
               FROM \"ORDER__GROUP\".\"TABLE\"";
    assert_eq!(warehouse.column(row).await, [r"1 q '; DROP TABLE x; -- raw/it's/a\b.parquet"]);
    assert_eq!(warehouse.column("SELECT LAKE_ID FROM ADMIN__OBSERVABILITY.LOADS").await, [r"o'lake\"]);
}

#[tokio::test]
async fn the_ledgers_other_statements_run() {
    let warehouse = Warehouse::founded().await;
    let rates = warehouse.commit("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", 3, 0, "SELECT 1 AS x");
    for _ in 0..2 {
        warehouse.run(&ledger::submit(&rates)).await.expect("a submission");
    }
    let failed = ledger::fail(&rates, r"can't read C:\x");
    let counts = warehouse.run(&failed).await.expect("an outcome");
    assert_eq!(counts[0]["number of rows updated"].as_deref(), Some("1"));
    let reason = "SELECT STATUS || REASON FROM ADMIN__OBSERVABILITY.LOADS";
    assert_eq!(warehouse.column(reason).await, [r"failedcan't read C:\x"]);
    let purchases = table_id("STREAMING.PUBLIC.PURCHASES");
    let position = warehouse.run(&ledger::streaming_position(&purchases)).await.expect("a position");
    assert_eq!(position[0]["position"].as_deref(), Some("0"));
    let max_loaded_offset =
        warehouse.run(&ledger::max_loaded_offset(&purchases, "it's a channel")).await.expect("an offset");
    assert_eq!(max_loaded_offset[0]["position"], None);
    let sequences = warehouse.run(&ledger::sequences(&rates.lake_id, &rates.table)).await.expect("sequences");
    assert_eq!(sequences[0]["sequence"].as_deref(), Some("3"));
    let moment = chrono::DateTime::from_timestamp(1_767_225_600, 500_000).expect("a time");
    let run = ledger::DbtRun {
        number: 7,
        run_id: "run",
        dbt_run_id: "42",
        status: "succeeded",
        selectors: "source:x+",
        cause: "it's loaded",
        reason: None,
        full_refresh: false,
        attempts: 1,
        models: 21,
        tests: 84,
        skipped: 0,
        rows: 1_000_000,
        failed: "",
        failures: 0,
        seconds: 61.25,
        credits: 0.017_013_9,
        started_at: moment,
        finished_at: moment,
    };
    for _ in 0..2 {
        warehouse.run(&ledger::dbt_run(&run)).await.expect("a run");
    }
    let started = "SELECT STARTED_AT FROM ADMIN__OBSERVABILITY.DBT_RUNS";
    assert_eq!(warehouse.column(started).await, ["2026-01-01 00:00:00.0005"]);
    let work = "SELECT MODELS || ' ' || ROWS_AFFECTED || ' ' || SECONDS || ' ' || CREDITS || ' ' || FULL_REFRESH \
                FROM ADMIN__OBSERVABILITY.DBT_RUNS WHERE REASON IS NULL";
    assert_eq!(warehouse.column(work).await, ["21 1000000 61.250 0.017014 false"]);
}

#[tokio::test]
async fn a_ledger_of_an_earlier_version_gets_its_columns() {
    let warehouse = Warehouse::founded().await;
    let add = "ALTER TABLE ADMIN.OBSERVABILITY.DBT_RUNS ADD COLUMN IF NOT EXISTS";
    for _ in 0..2 {
        warehouse.run(&format!("{add} LATER NUMBER(10,0)")).await.expect("a column");
    }
    let listed = "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'DBT_RUNS' AND column_name = 'LATER'";
    assert_eq!(warehouse.column(listed).await, ["1"]);
    assert!(warehouse.run("ALTER TABLE ADMIN.OBSERVABILITY.DBT_RUNS DROP COLUMN LATER").await.is_err());
}

#[tokio::test]
async fn any_other_statement_is_refused_and_does_nothing() {
    let warehouse = Warehouse::founded().await;
    let too_long = format!("SELECT '{}' AS X", "x".repeat(1_000_000));
    let history = |hours: u32| ledger::copy_history(&table_id(PRODUCTS)).replace("-335", &format!("-{hours}"));
    warehouse.run(&history(335)).await.expect("what the platform asks");
    for (statement, code) in [
        ("DROP TABLE DLT.APPLICATION_DATA.PRODUCTS", "000002"),
        ("DELETE FROM ADMIN.OBSERVABILITY.DBT_RUNS", "000002"),
        ("BEGIN TRANSACTION", "000002"),
        ("SELECT * FROM ADMIN.OBSERVABILITY.LOADS; SELECT 1", "000002"),
        ("SELECT FLATTEN(X) FROM ADMIN.OBSERVABILITY.LOADS", "000002"),
        ("SELECT STATUS FROM ADMIN.OBSERVABILITY.LOADS JOIN ADMIN.OBSERVABILITY.DBT_RUNS", "000002"),
        (&too_long, "001003"),
        (&history(336), "001044"),
        ("SELECT * FROM read_parquet('/etc/passwd')", "000002"),
        ("CREATE OR REPLACE TABLE ADMIN.OBSERVABILITY.LOADS (A VARCHAR)", "000002"),
        ("CREATE TABLE IF NOT EXISTS ADMIN.OBSERVABILITY.X (A VARIANT)", "000002"),
        ("EXECUTE IMMEDIATE $$ BEGIN DROP TABLE ADMIN.OBSERVABILITY.LOADS; END; $$", "000002"),
        ("SELECT NOPE FROM ADMIN.OBSERVABILITY.LOADS", "000904"),
        ("SELECT STATUS FROM ADMIN.OBSERVABILITY.NOPE", "002003"),
        ("CREATE SCHEMA IF NOT EXISTS NOPE.X", "002003"),
        ("CREATE TABLE IF NOT EXISTS DLT.NOPE.X (A VARCHAR)", "002003"),
        ("CREATE TABLE IF NOT EXISTS X (A VARCHAR)", "090105"),
        ("SELECT 'open", "001003"),
    ] {
        let (status, body) = warehouse
            .post("/api/v2/statements", &crate::support::token(), serde_json::json!({"statement": statement}))
            .await;
        assert_eq!((status, body["code"].as_str()), (422, Some(code)), "{statement}: {body}");
    }
    assert_eq!(warehouse.column("SELECT count(*) FROM ADMIN__OBSERVABILITY.LOADS").await, ["0"]);
}

#[tokio::test]
async fn a_sweep_leaves_young_submissions_and_failures_alone() {
    let warehouse = Warehouse::founded().await;
    let rates = warehouse.commit("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", 3, 0, "SELECT 1 AS x");
    warehouse.run(&ledger::submit(&rates)).await.expect("a submission");
    let (pipe, known) = (warehouse.snowpipe(), Known::default());
    let known = async |minutes: i64| {
        let (attempt, since) = (uuid::Uuid::new_v4().to_string(), chrono::Utc::now() + TimeDelta::minutes(minutes));
        let loads = Loads { statements: warehouse.sql(), pipe: &pipe, attempt: &attempt, known: &known };
        loads.known(&rates.lake_id, &rates.table, since).await.expect("sequences").len()
    };
    assert_eq!((known(-60).await, known(1).await), (1, 0));
    let entry = warehouse.run(&ledger::entry(&rates.lake_id, &rates.table, rates.sequence)).await.expect("an entry");
    let age: i64 = entry[0]["age_seconds"].as_deref().expect("an age").parse().expect("a number");
    assert!((0..60).contains(&age), "{age} seconds");

    warehouse.run(&ledger::fail(&rates, "r")).await.expect("a failure");
    assert_eq!(known(1).await, 1);
    let forget = ledger::forget_failure(&rates.lake_id, &rates.table, rates.sequence);
    warehouse.run(&forget).await.expect("forgotten");
    assert_eq!(known(1).await, 0);

    for _ in 0..2 {
        let refused = ledger::unreadable(&rates.lake_id, &rates.table, rates.sequence, "it's torn");
        warehouse.run(&refused).await.expect("a refusal");
    }
    let reason = "SELECT STATUS || ' ' || REASON FROM ADMIN__OBSERVABILITY.LOADS";
    assert_eq!(warehouse.column(reason).await, ["failed it's torn"]);
}
