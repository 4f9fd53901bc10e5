//! A load counts the values of each column again, and says what it has merged.

use sluice_core::{Commit, DataFile, LakeId};
use sluice_pipeline::load::Loaded;
use sluice_snowflake::sql::{
    ledger, load, observe,
    replay::{Range, Replay},
};
use uuid::Uuid;

use crate::{
    evolve::{Loader, product, products},
    support::{LAKE, Warehouse, sources},
};

const PRODUCTS: &str = "DLT.APPLICATION_DATA.PRODUCTS";
const COUNT: &str = "SELECT count(*) FROM DLT__APPLICATION_DATA.PRODUCTS";

fn two_products() -> String {
    format!("{} UNION ALL {}", product(1, ""), product(2, ""))
}

fn counted(mut commit: Commit, values: &[u64]) -> Commit {
    commit.files[0].values = values.to_vec();
    commit
}

#[tokio::test]
async fn a_column_that_the_files_do_not_bring_stops_the_load_and_is_named() {
    let warehouse = Warehouse::founded().await;
    let loader = Loader::new(&warehouse, &products());
    let without_price = two_products().replace("AS price_usd", "AS another");
    let commit = counted(warehouse.commit(PRODUCTS, 1, 2, &without_price), &[2; 6]);
    for known in [false, true] {
        match loader.deliver(&commit, None).await.expect("an end") {
            Loaded::Failed { reason, already } => {
                assert!(already == known && reason.contains("column=price_usd"), "{reason}");
            }
            other => panic!("{other:?} is no failure"),
        }
    }
    assert_eq!(warehouse.column(COUNT).await, ["0"], "nothing was merged");
    let entry = ledger::entry(&commit.lake_id, &commit.table, commit.sequence);
    assert_eq!(warehouse.run(&entry).await.expect("an entry")[0]["status"].as_deref(), Some("failed"));

    let whole = counted(warehouse.commit(PRODUCTS, 2, 2, &two_products()), &[2; 6]);
    loader.loads(&whole).await;
    assert_eq!(warehouse.column(COUNT).await, ["2"]);
}

#[tokio::test]
async fn values_that_became_null_on_the_way_stop_the_load() {
    let warehouse = Warehouse::founded().await;
    let names = two_products().replacen("'a' AS product_name", "NULL::VARCHAR AS product_name", 1);
    let commit = counted(warehouse.commit(PRODUCTS, 1, 2, &names), &[2; 6]);
    let answer = warehouse.run(&load::render(&commit).expect("a block")).await.expect("an answer");
    let error = load::left_out(&commit, &answer).expect_err("one value is missing");
    assert!(error.to_string().contains("column=product_name"), "{error}");
    assert_eq!(warehouse.column(COUNT).await, ["0"]);
    let commit = counted(commit, &[2, 2, 1, 2, 2, 2]);
    assert_eq!(warehouse.load(&commit).await.expect("a load"), load::LOADED);
}

#[tokio::test]
async fn a_commit_of_an_earlier_version_still_loads() {
    let warehouse = Warehouse::founded().await;
    // Its files call the columns as the contract does, and count no values.
    let commit = warehouse.commit(PRODUCTS, 1, 2, &two_products());
    assert!(commit.files[0].values.is_empty());
    Loader::new(&warehouse, &products()).loads(&commit).await;
    assert_eq!(warehouse.column("SELECT count(PRICE_USD) FROM DLT__APPLICATION_DATA.PRODUCTS").await, ["2"]);
}

#[tokio::test]
async fn rows_that_are_merged_away_are_counted_and_told() {
    let warehouse = Warehouse::founded().await;
    let rows = [product(1, ""), product(1, ""), product(1, ""), product(2, "")].join(" UNION ALL ");
    let commit = warehouse.commit(PRODUCTS, 1, 4, &rows);
    let loaded = Loader::new(&warehouse, &products()).deliver(&commit, None).await.expect("a delivery");
    assert_eq!(loaded, Loaded::Done { rows: 4, merged_away: 2, already: false });
    assert_eq!(warehouse.column(COUNT).await, ["2"]);
    let told = "SELECT concat_ws(' ', STATUS, ROWS_LOADED, REASON) FROM ADMIN__OBSERVABILITY.LOADS";
    assert_eq!(
        warehouse.column(told).await,
        ["loaded 4 rows merged away, because others of the commit have their key: 2"]
    );

    let same = Loader::new(&warehouse, &products()).deliver(&commit, None).await.expect("a second delivery");
    assert_eq!(same, Loaded::Done { rows: 4, merged_away: 0, already: true });
    let again = warehouse.commit(PRODUCTS, 2, 2, &two_products());
    assert_eq!(
        warehouse.load(&again).await.expect("a load"),
        load::LOADED,
        "rows that are there already are no such rows"
    );
}

#[tokio::test]
async fn rows_that_differ_from_those_of_their_key_are_counted_and_told() {
    let warehouse = Warehouse::founded().await;
    let commit = warehouse.commit(PRODUCTS, 1, 2, &two_products());
    assert_eq!(warehouse.load(&commit).await.expect("a load"), load::LOADED);
    let other = format!("SELECT * REPLACE ('another' AS product_name) FROM ({})", product(1, ""));
    let again = [other, product(2, ""), product(3, ""), product(3, "")].join(" UNION ALL ");
    let again = warehouse.commit(PRODUCTS, 2, 4, &again);
    assert_eq!(warehouse.load(&again).await.expect("a load"), "loaded, merged away: 1, not taken: 1");
    let told = "SELECT REASON FROM ADMIN__OBSERVABILITY.LOADS WHERE REASON IS NOT NULL";
    let text = "rows merged away, because others of the commit have their key: 1; rows not taken, because the table has \
                other values under their key and the entry has no version_column: 1";
    assert_eq!(warehouse.column(told).await, [text]);
    let untaken = warehouse.run(&observe::untaken(&LakeId(LAKE.into()))).await.expect("an answer");
    assert_eq!(untaken.len(), 1, "of rows that were merged away nothing is lost: {untaken:?}");
    assert_eq!((untaken[0]["sequence"].as_deref(), untaken[0]["reason"].as_deref()), (Some("2"), Some(text)));
}

#[tokio::test]
async fn a_pipes_load_is_compared_by_the_rows_of_its_run() {
    let warehouse = Warehouse::founded().await;
    let table = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
    let rate = "SELECT DATE '2026-01-01' AS rate_date, 'USD' AS base_currency, 'EUR' AS target_currency, \
                0.5::DECIMAL(18,10) AS rate, 'final' AS rate_kind, TIMESTAMP '2026-01-02' AS source_timestamp, \
                1::BIGINT AS _sluice_sequence";
    let commit = warehouse.commit(table, 1, 1, rate);
    warehouse.put(&commit.files[0].path, &format!("{rate}, '{}' AS _sluice_run_id", commit.run_id));
    warehouse.snowpipe().insert_files(&commit.table, &commit.files, Uuid::new_v4()).await.expect("queued");
    assert_eq!(load::piped_values(&commit), None, "a commit that does not count");
    for (values, differing) in [
        ([1; 6], None),
        ([1, 1, 1, 0, 1, 1], Some("column=rate")),
        ([1, 1, 1, 1, 1, 2], Some("column=source_timestamp")),
    ] {
        let commit = counted(commit.clone(), &values);
        let asked = load::piped_values(&commit).expect("a commit that counts");
        let compared = load::refuse_piped(&commit, &warehouse.run(&asked).await.expect("an answer"));
        match differing {
            None => compared.expect("all values are there"),
            Some(part) => assert!(compared.expect_err("another number of values").to_string().contains(part)),
        }
    }
}

#[tokio::test]
async fn a_side_table_that_lacks_values_stops_the_replay() {
    let warehouse = Warehouse::founded().await;
    let sources = sources();
    let table = sources.topic("purchases").expect("a table");
    let (lake, ranges) = (LakeId(LAKE.into()), [Range { partition: 0, first: 1, last: 5, channel: "c".into() }]);
    let replay = Replay { table, topic: "purchases", lake: &lake, id: "A1", by: "arn:x", ranges: &ranges };
    let names = ["event_id", "customer_email", "product_id", "quantity", "purchase_ts", "schema_version"];
    let types = ["'e'", "'m'", "1::BIGINT", "2::BIGINT", "TIMESTAMP '2026-01-01'", "1::BIGINT"];
    let own: Vec<String> = names.iter().zip(types).map(|(name, value)| format!("{value} AS {name}")).collect();
    let origin = "'r' AS _sluice_run_id, 1::BIGINT AS _sluice_sequence, 'f' AS _sluice_source_file, \
                  1::BIGINT AS _sluice_row_number, 'purchases' AS topic, 0::BIGINT AS _kafka_partition, \
                  1::BIGINT AS _kafka_offset, TIMESTAMP '2026-01-01' AS _kafka_timestamp";
    warehouse.put("raw/x/part-00000.parquet", &format!("SELECT {}, {origin}", own.join(", ")));
    let file = serde_json::json!({
        "path": "raw/x/part-00000.parquet", "rows": 1, "bytes": 1, "checksum": "x", "values": vec![1; 14]
    });
    let files: Vec<DataFile> = vec![serde_json::from_value(file).expect("a file")];
    warehouse.run(&replay.create()).await.expect("a side table");
    let answer = warehouse.run(&replay.load(&files).expect("a block")).await.expect("an answer");
    let error = replay.permit_loaded(&answer).expect_err("the topic is missing");
    assert!(error.to_string().contains("column=_KAFKA_TOPIC"), "{error}");
}
