//! A table that was emptied, or whose numbers begin again, is noticed: no row that is there stays unread.

use serde_json::json;

use crate::support::{Database, read_as};

const MANY: &str = "INSERT INTO $.changes (name) SELECT 'old' FROM generate_series(1, 50)";

#[tokio::test]
async fn numbers_that_begin_again_after_a_truncate_are_read() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run(MANY).await;
    assert_eq!(reader.ids().await.len(), 50);
    // Fewer than before, as many as before, and more.
    for rows in [3, 50, 80] {
        database.run("TRUNCATE $.changes RESTART IDENTITY").await;
        database.run(&format!("INSERT INTO $.changes (name) SELECT 'new' FROM generate_series(1, {rows})")).await;
        assert_eq!(reader.ids().await, (1..=rows).collect::<Vec<_>>());
        assert!(reader.ids().await.is_empty());
        database.run("INSERT INTO $.changes (name) VALUES ('next')").await;
        assert_eq!(reader.ids().await, [rows + 1]);
        assert_eq!(reader.position().high, Some(rows + 1));
    }
    database.drop().await;
}

#[tokio::test]
async fn numbers_that_begin_again_after_a_delete_are_read() {
    for rows in [3, 80] {
        let (database, table) = Database::with_changes().await;
        let mut reader = database.reader(&table).await;
        database.run(MANY).await;
        assert_eq!(reader.ids().await.len(), 50);
        database.run("DELETE FROM $.changes; ALTER SEQUENCE $.changes_id_seq RESTART").await;
        database.run(&format!("INSERT INTO $.changes (name) SELECT 'new' FROM generate_series(1, {rows})")).await;
        assert_eq!(reader.ids().await, (1..=rows).collect::<Vec<_>>());
        assert!(reader.ids().await.is_empty());
        database.drop().await;
    }
}

#[tokio::test]
async fn numbers_that_begin_again_beside_the_old_rows_are_read() {
    let database = Database::new().await;
    database.run("CREATE TABLE $.changes (id bigserial, name text)").await;
    let columns = json!([{ "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }]);
    let table = database.table("changes", columns);
    let mut reader = database.reader(&table).await;
    database.run(MANY).await;
    assert_eq!(reader.ids().await.len(), 50);
    database.run("ALTER SEQUENCE $.changes_id_seq RESTART; INSERT INTO $.changes (name) VALUES ('a'), ('b')").await;
    assert_eq!(reader.ids().await, [1, 2]);
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

#[tokio::test]
async fn an_emptied_table_is_told_and_its_next_rows_are_read() {
    let (database, table) = Database::with_changes().await;
    database.run(MANY).await;
    let (first, _) = database.read(&table, None, 0).await.unwrap();
    assert!(!first.facts.contains_key("emptied"));
    database.run("TRUNCATE $.changes RESTART IDENTITY").await;
    let (emptied, sink) = database.read(&table, first.cursor.as_ref(), 0).await.unwrap();
    assert_eq!((sink.ids().len(), &emptied.facts["emptied"]), (0, &json!(true)));
    assert!(emptied.facts["whole_table_because"].is_string(), "{:?}", emptied.facts);
    assert_ne!(emptied.cursor, first.cursor, "a commit keeps the news");
    let (still, _) = database.read(&table, emptied.cursor.as_ref(), 0).await.unwrap();
    assert_eq!((&still.facts["emptied"], &still.cursor), (&json!(true), &emptied.cursor), "one, not one a run");
    database.run("INSERT INTO $.changes (name) VALUES ('a'), ('b')").await;
    let (_, sink) = database.read(&table, still.cursor.as_ref(), 0).await.unwrap();
    assert_eq!(sink.ids(), [1, 2]);
    database.drop().await;
}

#[tokio::test]
async fn a_partition_that_was_emptied_and_filled_again_is_read() {
    let database = Database::new().await;
    database.run("CREATE TABLE $.p (id bigint, name text) PARTITION BY LIST (name)").await;
    database.run("CREATE TABLE $.p_a PARTITION OF $.p FOR VALUES IN ('a')").await;
    database.run("CREATE TABLE $.p_b PARTITION OF $.p FOR VALUES IN ('b')").await;
    database
        .run("INSERT INTO $.p SELECT n, 'a' FROM generate_series(1, 20) AS n; INSERT INTO $.p VALUES (21, 'b')")
        .await;
    let columns = json!([{ "name": "id", "type": "bigint" }, { "name": "name", "type": "text" }]);
    let table = database.table("p", columns);
    let mut reader = database.reader(&table).await;
    assert_eq!(reader.ids().await.len(), 21);
    database.run("TRUNCATE $.p_a; INSERT INTO $.p VALUES (5, 'a')").await;
    assert_eq!(reader.ids().await, [5]);
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

#[tokio::test]
async fn a_table_that_was_only_rewritten_is_not_read_again() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run(MANY).await;
    assert_eq!(reader.ids().await.len(), 50);
    for rewrite in ["VACUUM FULL $.changes", "CLUSTER $.changes USING changes_pkey"] {
        database.run(rewrite).await;
        assert!(reader.ids().await.is_empty(), "{rewrite}");
        let standing = reader.cursor.clone();
        assert!(reader.ids().await.is_empty(), "{rewrite}");
        assert_eq!(reader.cursor, standing, "a rewrite is noticed once");
    }
    database.run("INSERT INTO $.changes (name) VALUES ('next')").await;
    assert_eq!(reader.ids().await, [51]);
    database.drop().await;
}

#[tokio::test]
async fn rows_that_come_in_the_place_of_deleted_ones_are_read() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run(MANY).await;
    assert_eq!(reader.ids().await.len(), 50);
    database.run("DELETE FROM $.changes WHERE id > 40").await;
    assert!(reader.ids().await.is_empty());
    assert_eq!(reader.position().read_to, Some(40), "the bound follows the table");
    database.run("INSERT INTO $.changes (id, name) VALUES (41, 'again')").await;
    assert_eq!(reader.ids().await, [41]);
    database.drop().await;
}

#[tokio::test]
async fn a_commit_of_an_earlier_build_notices_an_emptied_table_too() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run(MANY).await;
    assert_eq!(reader.ids().await.len(), 50);
    for field in ["files", "sequence", "written_by", "seen"] {
        reader.cursor.as_mut().unwrap().0.as_object_mut().unwrap().remove(field);
    }
    let earlier = reader.cursor.clone();
    database.run("INSERT INTO $.changes (name) VALUES ('next')").await;
    assert_eq!(reader.ids().await, [51], "nothing is read again for what it does not say");
    database.run("TRUNCATE $.changes RESTART IDENTITY; INSERT INTO $.changes (name) VALUES ('a')").await;
    reader.cursor = earlier;
    assert_eq!(reader.ids().await, [1]);
    database.drop().await;
}

#[tokio::test]
async fn a_large_table_that_begins_again_is_read_in_parts() {
    let (database, table) = Database::with_changes().await;
    let mut reader = database.reader(&table).await;
    database.run("INSERT INTO $.changes (name) SELECT 'old' FROM generate_series(1, 9000)").await;
    assert_eq!(reader.ids().await.len(), 9_000);
    database.run("TRUNCATE $.changes RESTART IDENTITY").await;
    database.run("INSERT INTO $.changes (name) SELECT 'new' FROM generate_series(1, 8000)").await;
    database.run("ANALYZE $.changes").await;
    assert_eq!(reader.ids_in_parts(None, 1_000).await, (1..=8_000).collect::<Vec<_>>());
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

/// What is committed beside an open transaction lies in the range of the next read; it is read, and rejected, once.
#[tokio::test]
async fn a_rejected_row_beside_an_open_transaction_is_rejected_once() {
    let database = Database::new().await;
    database.run("CREATE TABLE $.t (id bigint, price numeric)").await;
    let columns = json!([{ "name": "id", "type": "bigint" }, { "name": "price", "type": "decimal(9,2)" }]);
    let table = database.table("t", columns);
    let open = database.session().await;
    open.run("CREATE TABLE $.other (id int); BEGIN; INSERT INTO $.other VALUES (1)").await;
    for id in 1..=9 {
        database.run(&format!("INSERT INTO $.t VALUES ({id}, 'NaN')")).await;
    }
    let config = database.config();
    let (first, sink) = read_as(&config, &table, None, 10_000).await.unwrap();
    assert_eq!(sink.rejected.len(), 9);
    let (second, sink) = read_as(&config, &table, first.cursor.as_ref(), 10_000).await.unwrap();
    assert_eq!((sink.rejected.len(), &second.cursor), (0, &first.cursor));
    open.run("COMMIT").await;
    let (third, sink) = read_as(&config, &table, second.cursor.as_ref(), 10_000).await.unwrap();
    assert_eq!((sink.rejected.len(), third.cursor), (0, first.cursor));
    database.drop().await;
}
