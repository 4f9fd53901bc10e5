//! What a request may ask for beside the next read: a value to start from, a count without a read.

use serde_json::json;
use sluice_core::Kind;

use crate::support::Database;

#[tokio::test]
async fn a_first_read_may_start_at_a_value() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 10)").await;
    assert_eq!(reader.plan(Some("8")).await.rows, Some(3));
    assert_eq!(reader.ids_from("8").await.unwrap(), [8, 9, 10]);
    database.run("INSERT INTO $.changes (name) VALUES ('k')").await;
    assert_eq!(reader.ids().await, [11], "the next read goes on as after any other");
    database.drop().await;
}

#[tokio::test]
async fn only_a_read_without_a_bound_is_of_the_whole_table() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 10)").await;
    assert!(reader.is_whole(None).await);
    assert!(!reader.is_whole(Some("1")).await, "what lies below the value is not read");
    reader.ids().await;
    database.run("INSERT INTO $.changes (name) VALUES ('k')").await;
    assert!(!reader.is_whole(None).await);
    database.drop().await;
}

#[tokio::test]
async fn a_value_to_start_from_reads_again_and_loses_nothing_that_was_in_flight() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    let late = database.session().await;
    late.run("BEGIN; INSERT INTO $.changes (name) VALUES ('late')").await;
    database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 9)").await;
    assert_eq!(reader.ids().await, (2..=10).collect::<Vec<i64>>());
    late.run("COMMIT").await;
    let again = reader.ids_from("9").await.unwrap();
    assert!(again.contains(&1), "the late row lies below the value and had not been seen: {again:?}");
    assert!(again.contains(&9) && again.contains(&10), "{again:?}");
    database.run("INSERT INTO $.changes (name) VALUES ('k')").await;
    assert!(reader.ids().await.contains(&11));
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

/// A partition that is attached makes the table another one: the position after the next read is of that one, so a row
/// which this read leaves out would never be read.
#[tokio::test]
async fn a_start_value_leaves_nothing_out_of_a_table_created_again() {
    for in_parts in [false, true] {
        let database = Database::new().await;
        database.run("CREATE TABLE $.p (id bigint, name text) PARTITION BY LIST (name)").await;
        database.run("CREATE TABLE $.p_a PARTITION OF $.p FOR VALUES IN ('a'); CREATE TABLE $.p_b (LIKE $.p)").await;
        database.run("INSERT INTO $.p_b SELECT n, 'b' FROM generate_series(1, 20) AS n").await;
        database.run("INSERT INTO $.p SELECT n, 'a' FROM generate_series(21, 40) AS n").await;
        let columns = serde_json::json!([{ "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }]);
        let table = database.table("p", columns);
        let mut reader = database.reader(&table).await;
        assert_eq!(reader.ids().await, (21..=40).collect::<Vec<i64>>());
        database.run("ALTER TABLE $.p ATTACH PARTITION $.p_b FOR VALUES IN ('b')").await;
        database.run("ANALYZE $.p").await;
        let read =
            if in_parts { reader.ids_in_parts(Some("30"), 8).await } else { reader.ids_from("30").await.unwrap() };
        assert_eq!(read, (1..=40).collect::<Vec<i64>>(), "in parts: {in_parts}");
        assert!(reader.ids().await.is_empty());
        database.drop().await;
    }
}

#[tokio::test]
async fn a_first_read_in_parts_may_start_at_a_value() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 40)").await;
    database.run("ANALYZE $.changes").await;
    assert_eq!(reader.ids_in_parts(Some("11"), 8).await, (11..=40).collect::<Vec<i64>>());
    database.run("INSERT INTO $.changes (name) VALUES ('k')").await;
    assert_eq!(reader.ids().await, [41]);
    database.drop().await;
}

#[tokio::test]
async fn a_value_that_is_no_number_is_refused() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    for from in ["", "x", "1.5", "9223372036854775808", "1; DROP TABLE x"] {
        assert_eq!(reader.ids_from(from).await.unwrap_err().kind(), Kind::Config, "{from}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_plan_counts_what_a_read_would_bring_and_moves_nothing() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    let empty = reader.plan(None).await;
    assert_eq!((empty.rows, &empty.facts["cursor_range"]), (Some(0), &json!({ "first": null, "last": null })));
    database.run("INSERT INTO $.changes (name) SELECT 'x' FROM generate_series(1, 10)").await;
    let first = reader.plan(None).await;
    assert_eq!((first.rows, &first.facts["cursor_range"]), (Some(10), &json!({ "first": 1, "last": 10 })));
    assert_eq!(reader.ids().await.len(), 10);
    assert_eq!(reader.plan(None).await.rows, Some(0));
    database.run("INSERT INTO $.changes (name) VALUES ('k')").await;
    let second = reader.plan(None).await;
    assert_eq!((second.rows, &second.facts["cursor_range"]), (Some(1), &json!({ "first": 11, "last": 11 })));
    assert_eq!(reader.ids().await, [11]);
    database.drop().await;
}
