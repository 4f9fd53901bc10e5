//! A replay's statements, run for real: what differs is told, swapped in once, and nothing else is touched.

use sluice_core::{DataFile, LakeId, port::Row};
use sluice_snowflake::sql::{
    ledger, load, lock,
    replay::{self, Range, Replay},
    swap,
};

use crate::support::{LAKE, Warehouse, sources};

const CHANNEL: &str = "test_main_purchases_0";
const LIVE: &str = "STREAMING__PUBLIC.PURCHASES";

/// Rows as a replay's file has them: offset and quantity.
fn rows(rows: &[(i64, i64)]) -> String {
    let row = |(offset, quantity): &(i64, i64)| {
        format!(
            "SELECT 'e{offset}' AS event_id, 'c' AS customer_email, 1::BIGINT AS product_id, {quantity}::BIGINT AS quantity, \
             TIMESTAMP '2026-01-01' AS purchase_ts, 1::BIGINT AS schema_version, '{CHANNEL}/replay-1' AS _sluice_run_id, \
             {offset}::BIGINT AS _sluice_sequence, 'archive' AS _sluice_source_file, 1::BIGINT AS _sluice_row_number, \
             'purchases' AS _kafka_topic, 0::BIGINT AS _kafka_partition, {offset}::BIGINT AS _kafka_offset, \
             TIMESTAMP '2026-01-01' AS _kafka_timestamp"
        )
    };
    rows.iter().map(row).collect::<Vec<_>>().join(" UNION ALL ")
}

fn held(run: &str, offset: i64, quantity: i64) -> String {
    format!(
        "('e{offset}', 'c', 1, {quantity}, '2026-01-01 00:00:00'::TIMESTAMP_NTZ(6), 1, '{run}', {offset}, \
         '2026-01-02 00:00:00'::TIMESTAMP_NTZ(6), 'stream', 1, 'purchases', 0, {offset}, '2026-01-01 00:00:00'::TIMESTAMP_NTZ(6))"
    )
}

fn counts(row: &Row) -> [Option<&str>; 6] {
    ["archived", "held", "only_archived", "only_held", "differing", "twice"].map(|column| row[column].as_deref())
}

async fn block(warehouse: &Warehouse, statement: &str) -> Option<String> {
    let rows = warehouse.run(statement).await.expect("a block");
    rows.into_iter().next().and_then(|mut row| row.remove(load::RESULT_COLUMN)).flatten()
}

#[tokio::test]
async fn what_differs_is_swapped_in_once_and_nothing_else_is_touched() {
    let warehouse = Warehouse::founded().await;
    let sources = sources();
    let table = sources.topic("purchases").expect("a table");
    let (lake, ranges) =
        (LakeId(LAKE.into()), [Range { partition: 0, first: 1, last: 5, channel: CHANNEL.to_owned() }]);
    let replay = Replay { table, topic: "purchases", lake: &lake, id: "A1", by: "arn:x", ranges: &ranges };
    let (run, other) = (format!("{CHANNEL}/r"), "test_main-2_purchases_0/r".to_owned());
    let live =
        [held(&run, 1, 1), held(&run, 2, 9), held(&run, 3, 1), held(&run, 3, 1), held(&run, 6, 9), held(&other, 4, 9)];
    warehouse.run(&format!("INSERT INTO STREAMING.PUBLIC.PURCHASES VALUES {}", live.join(", "))).await.expect("rows");

    warehouse.put("raw/x/part-00000.parquet", &rows(&[(1, 1), (2, 1), (3, 1), (4, 1), (6, 1)]));
    let file = serde_json::json!({"path": "raw/x/part-00000.parquet", "rows": 5, "bytes": 1, "checksum": "x"});
    let files: Vec<DataFile> = vec![serde_json::from_value(file).expect("a file")];
    warehouse.run(&lock::create(&lake, &table.table)).await.expect("a lock");
    warehouse.run(&replay.create()).await.expect("a side table");
    for _ in 0..2 {
        let filled = block(&warehouse, &replay.load(&files).expect("a block")).await;
        assert_eq!(filled.as_deref(), Some(load::LOADED));
    }
    let live = warehouse.run(&replay::live(&replay)).await.expect("counts");
    assert_eq!((live[0]["row_count"].as_deref(), live[0]["offsets"].as_deref()), (Some("4"), Some("3")));
    let compared = warehouse.run(&replay.compare()).await.expect("a comparison");
    assert_eq!(counts(&compared[0]), ["4", "3", "1", "0", "1", "1"].map(Some));

    let before = warehouse.run(&ledger::streaming_position(&table.table)).await.expect("a position");
    let swap = replay.swap(1, false).expect("a block");
    assert_eq!(block(&warehouse, &swap).await.as_deref(), Some(swap::REPLAYED));
    assert_eq!(block(&warehouse, &swap).await.as_deref(), Some(swap::ALREADY_REPLAYED));
    let found = format!(
        "SELECT concat_ws(' ', _KAFKA_OFFSET, QUANTITY, _SLUICE_SOURCE_FILE) FROM {LIVE} ORDER BY _KAFKA_OFFSET, QUANTITY"
    );
    let swapped = ["1 1 stream", "2 1 archive", "3 1 archive", "4 1 archive", "4 9 stream", "6 9 stream"];
    assert_eq!(warehouse.column(&found).await, swapped, "what agreed, other creations and what lies above stay");
    let compared = warehouse.run(&replay.compare()).await.expect("a comparison");
    assert_eq!(counts(&compared[0]), ["4", "4", "0", "0", "0", "0"].map(Some));
    let after = warehouse.run(&ledger::streaming_position(&table.table)).await.expect("a position");
    assert_ne!(before, after, "dbt sees that the table has changed");
    let entry = "SELECT concat_ws(' ', SEQUENCE, LOADER, ROWS_LOADED, REASON) FROM ADMIN__OBSERVABILITY.LOADS";
    assert_eq!(warehouse.column(entry).await, ["1 replay 3 purchases-0:1-5 by arn:x"]);

    // A row that the archive lacks ends the next replay, unless it is to go.
    let extra = format!("INSERT INTO STREAMING.PUBLIC.PURCHASES VALUES {}", held(&run, 5, 1));
    warehouse.run(&extra).await.expect("a row");
    let next = Replay { id: "A2", ..replay.clone() };
    warehouse.run(&next.create()).await.expect("a side table");
    block(&warehouse, &next.load(&files).expect("a block")).await;
    let error = warehouse.run(&next.swap(1, false).expect("a block")).await.expect_err("a row without a record");
    assert!(format!("{error:?}").contains(replay::ARCHIVE_LACKS_ROWS), "{error:?}");
    assert_eq!(warehouse.column(&found).await.len(), 7, "nothing was changed");
    assert_eq!(block(&warehouse, &next.swap(1, true).expect("a block")).await.as_deref(), Some(swap::REPLAYED));
    assert_eq!(warehouse.column(&found).await, swapped);

    for id in ["A1", "A2", "A2"] {
        warehouse.run(&Replay { id, ..replay.clone() }.drop_side_table()).await.expect("dropped");
    }
    let left = "SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE '%REPLAY%'";
    assert_eq!(warehouse.column(left).await, ["0"]);
    let error = warehouse.run("DROP TABLE IF EXISTS STREAMING.PUBLIC.PURCHASES").await.expect_err("a live table");
    assert!(format!("{error:?}").contains("no replay's side table"), "{error:?}");
}
