//! Values and rows that are too long are rejected before they are sent; the others land.

use serde_json::json;

use crate::support::Database;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_value_that_is_too_long_is_rejected_and_its_neighbours_land() {
    let database = Database::new().await;
    let columns = [("body", "text"), ("blob", "bytea"), ("doc", "jsonb"), ("tags", "text[]"), ("bits", "varbit")];
    let typed = columns.map(|(name, source)| format!("{name} {source}")).join(", ");
    database.run(&format!("CREATE TABLE $.wide (id bigint PRIMARY KEY, key text, {typed})")).await;
    let long = 16 * MIB;
    database
        .run(&format!(
            "INSERT INTO $.wide (id, key, body) VALUES (1, 'a', 'short'), (2, 'b', repeat('x', {long})), \
             (3, 'c', repeat('x', {long} + 1)), (4, 'd', repeat('x', 200000000)), (5, 'e', repeat('x', 540000000)); \
             INSERT INTO $.wide (id, key, blob) VALUES (6, 'f', repeat('x', {long} / 2 - 1)::bytea), \
             (7, 'g', repeat('x', 540000000)::bytea); \
             INSERT INTO $.wide (id, doc) VALUES (8, to_jsonb(repeat('x', 100000000))); \
             INSERT INTO $.wide (id, tags) VALUES (9, ARRAY[repeat('x', 300000000)]); \
             INSERT INTO $.wide (id, bits) VALUES (10, repeat('1', 40000000)::varbit); \
             INSERT INTO $.wide (id, key) VALUES (11, 'last')"
        ))
        .await;
    let names = ["key"].into_iter().chain(columns.map(|(name, _)| name));
    let mut contract = vec![json!({ "name": "id", "type": "bigint" })];
    contract.extend(names.map(|name| json!({ "name": name, "type": "text" })));
    let table = database.table("wide", json!(contract));
    let (_, sink) = database.read(&table, None, 0).await.unwrap();
    assert_eq!(sink.ids(), [1, 2, 6, 11]);
    assert_eq!((sink.rows[1][2].len(), sink.rows[2][3].len()), (long, long));
    let rule = "is longer than 16777216 bytes";
    assert_eq!(
        sink.rejected,
        [
            format!("3: body (16777217 bytes) {rule}"),
            format!("4: body (200000000 bytes) {rule}"),
            format!("5: body (540000000 bytes) {rule}"),
            format!("7: blob (1080000002 bytes) {rule}"),
            format!("8: doc (100000002 bytes) {rule}"),
            format!("9: tags (300000002 bytes) {rule}"),
            format!("10: bits (40000000 bytes) {rule}"),
        ]
    );
    database.drop().await;
}

#[tokio::test]
async fn a_row_too_long_as_a_whole_is_rejected_with_its_short_values_kept() {
    let database = Database::new().await;
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    let typed = names.join(" text, ");
    database.run(&format!("CREATE TABLE $.t (id bigint PRIMARY KEY, key text, {typed} text)")).await;
    let of = |length: usize| vec![format!("repeat('x', {length})"); 40].join(", ");
    for (row, length) in [("1, 'a'", 15 * MIB), ("2, 'b'", MIB / 2), ("3, 'c'", MIB)] {
        database.run(&format!("INSERT INTO $.t VALUES ({row}, {})", of(length))).await;
    }
    let mut columns = vec![json!({ "name": "id", "type": "bigint" }), json!({ "name": "key", "type": "text" })];
    columns.extend(names.iter().map(|name| json!({ "name": name, "type": "text" })));
    let table = database.table("t", json!(columns));
    let (_, sink) = database.read(&table, None, 0).await.unwrap();
    assert_eq!((sink.ids(), sink.rejected.len()), (vec![2], 2));
    for row in &sink.rejected {
        assert!(row.contains("c0 (") && row.contains("c39 (") && row.contains("longer than 33554432 bytes"), "{row}");
        assert!(!row.contains("key"), "a short value is kept: {row}");
    }
    database.drop().await;
}
