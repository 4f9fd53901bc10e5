//! What PostgreSQL holds arrives as the contract says, is rejected with its reason, or stops the read by name.

use serde_json::json;
use sluice_core::{Kind, Result, Secret};
use sluice_postgres::{Read, TlsMode};

use crate::support::{Database, Sink, read_as};

#[tokio::test]
async fn every_type_arrives_as_its_contract_says() {
    let database = Database::new().await;
    database
        .run("CREATE TYPE $.mood AS ENUM ('glad', 'sad'); CREATE DOMAIN $.price AS numeric CHECK (value >= 0)")
        .await;
    database
        .run(
            "CREATE TABLE $.t (id int, small smallint, big bigint, price $.price, amount money, ratio float8, \
             real float4, count int, name text, code char(4), uid uuid, doc jsonb, mood $.mood, tags text[], \
             at timestamp, at_zone timestamptz, day date, ok bool)",
        )
        .await;
    database
        .run(
            "SET timezone = 'Asia/Tokyo'; INSERT INTO $.t VALUES \
             (1, -2, 9223372036854775807, 12.9900, 1234.56::money, 12.99, 0.1, 7, E'Ünï\\t\"x\"', 'ab', \
              '6f1c0c1e-0b5f-4f4e-9d7e-1a2b3c4d5e6f', '{\"a\": 1}', 'sad', '{a,\"b c\"}', \
              '2026-01-02 03:04:05.678901', '2026-01-02 12:04:05+09', '2026-01-02', true), \
             (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)",
        )
        .await;
    let columns = [
        ("id", "bigint"),
        ("small", "bigint"),
        ("big", "bigint"),
        ("price", "decimal(18,4)"),
        ("amount", "decimal(18,2)"),
        ("ratio", "decimal(18,4)"),
        ("real", "decimal(18,4)"),
        ("count", "decimal(9,1)"),
        ("name", "text"),
        ("code", "text"),
        ("uid", "text"),
        ("doc", "text"),
        ("mood", "text"),
        ("tags", "text"),
        ("at", "timestamp"),
        ("at_zone", "timestamp"),
        ("day", "date"),
        ("ok", "boolean"),
    ];
    let columns = columns.map(|(name, column_type)| json!({ "name": name, "type": column_type }));
    let table = database.table("t", json!(columns));
    let (_, sink) = database.read(&table, None, 0).await.unwrap();
    let expected = [
        "1",
        "-2",
        "9223372036854775807",
        "129900",
        "123456",
        "129900",
        "1000",
        "70",
        "Ünï\t\"x\"",
        "ab  ",
        "6f1c0c1e-0b5f-4f4e-9d7e-1a2b3c4d5e6f",
        "{\"a\": 1}",
        "sad",
        "{a,\"b c\"}",
        "1767323045678901",
        "1767323045000000",
        "20455",
        "true",
    ];
    assert_eq!(sink.rows[0], expected);
    assert_eq!(sink.rows[1][0], "2");
    assert!(sink.rows[1][1..].iter().all(|value| value == "null"), "{:?}", sink.rows[1]);
    assert!(sink.rejected.is_empty(), "{:?}", sink.rejected);
    database.drop().await;
}

#[tokio::test]
async fn values_that_no_column_can_hold_are_rejected_with_what_they_were() {
    let database = Database::new().await;
    database.run("CREATE TABLE $.t (id bigint, price numeric, ratio float8, at timestamp, day date)").await;
    database
        .run(
            "INSERT INTO $.t (id, price) VALUES (1, 'NaN'), (2, 'Infinity'), (3, 1.00005), (4, 1e60); \
             INSERT INTO $.t (id, ratio) VALUES (5, 'NaN'); \
             INSERT INTO $.t (id, at) VALUES (6, 'infinity'), (7, '20000-01-01'); \
             INSERT INTO $.t (id, day) VALUES (8, '-infinity'), (9, '4713-01-01 BC'); \
             INSERT INTO $.t (id, price) VALUES (10, -1), (11, 1.5000); \
             INSERT INTO $.t (id, price, ratio) VALUES (12, 'NaN', 'NaN')",
        )
        .await;
    let table = database.table(
        "t",
        json!([
            { "name": "id", "type": "bigint" },
            { "name": "price", "type": "decimal(18,4)", "minimum": 0 },
            { "name": "ratio", "type": "decimal(18,4)" },
            { "name": "at", "type": "timestamp" },
            { "name": "day", "type": "date" },
        ]),
    );
    let mut reader = database.reader(&table).await;
    let (_, sink) = database.read(&table, None, 0).await.unwrap();
    assert_eq!(
        sink.rejected,
        [
            "1: price NaN is not a finite number",
            "2: price Infinity is not a finite number",
            "3: price 1.00005 has more decimals than its column",
            &format!("4: price 1{} does not fit its column", "0".repeat(60)),
            "5: ratio NaN is not a finite number",
            "6: at infinity is infinite",
            "7: at 20000-01-01 00:00:00 is outside of the years 1 to 9999",
            "8: day -infinity is infinite",
            "9: day 4713-01-01 BC is outside of the years 1 to 9999",
            "price: is below 0",
            "12: price NaN is not a finite number, ratio NaN is not a finite number",
        ]
    );
    assert_eq!(reader.ids().await, [11]);
    assert_eq!(reader.position().high, Some(12), "rejected rows have been read");
    assert!(reader.ids().await.is_empty());
    database.drop().await;
}

#[tokio::test]
async fn a_row_without_a_cursor_value_is_rejected_and_not_lost() {
    let database = Database::new().await;
    database.run("CREATE TABLE $.t (id bigint); INSERT INTO $.t VALUES (1)").await;
    let table = database.table("t", json!([{ "name": "id", "type": "bigint", "required": true }]));
    let mut reader = database.reader(&table).await;
    assert_eq!(reader.ids().await, [1]);
    database.run("INSERT INTO $.t VALUES (null)").await;
    let (_, sink) = database.read(&table, reader.cursor.as_ref(), 0).await.unwrap();
    assert_eq!(sink.rejected, ["id: is required and was null"]);
    database.drop().await;
}

#[tokio::test]
async fn a_table_of_another_shape_is_named_with_what_is_wrong() {
    let database = Database::new().await;
    database.run("CREATE TABLE $.t (id bigint, price text, extra int); CREATE VIEW $.v AS SELECT * FROM $.t").await;
    database.run("INSERT INTO $.t VALUES (1, '2', 3)").await;
    let id = json!({ "name": "id", "type": "bigint" });
    let cases = [
        (
            "t",
            json!([id, { "name": "nope", "type": "text" }, { "name": "gone", "type": "text" }]),
            Kind::SchemaMismatch,
            "nope, gone",
        ),
        (
            "t",
            json!([id, { "name": "price", "type": "decimal(18,4)" }]),
            Kind::SchemaMismatch,
            "column 'price' is a text",
        ),
        ("t", json!([{ "name": "price", "type": "bigint" }]), Kind::SchemaMismatch, "column 'price' is a text"),
        ("v", json!([id]), Kind::Unsupported, "view"),
        ("absent", json!([id]), Kind::NotFound, "does not exist"),
    ];
    for (name, columns, kind, part) in cases {
        let table = database.table(name, columns);
        let Err(error) = database.read(&table, None, 0).await else { panic!("{name} was read: {part}") };
        assert_eq!(error.kind(), kind, "{error:?}");
        let text = error.to_string();
        assert!(text.contains(part) && text.contains(&database.schema), "{text}");
    }

    let table = database.table("t", json!([id]));
    let (read, sink) = database.read(&table, None, 0).await.unwrap();
    assert_eq!(sink.rows, [["1"]]);
    assert_eq!(read.facts["drift"], json!({ "columns_not_in_contract": ["price", "extra"] }));
    database.drop().await;
}

#[tokio::test]
async fn a_role_that_may_not_see_every_row_reads_none() {
    let (database, table) = Database::with_changes().await;
    let role = format!("{}_role", database.schema);
    database.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA $ TO {role}")).await;
    let mut config = database.config();
    config.username.clone_from(&role);
    config.password = Secret::new("secret");
    let kind = |read: Result<_>| read.map(|(_, sink): (Read, Sink)| sink.rows).map_err(|error| error.kind());
    assert_eq!(kind(read_as(&config, &table, None, 0).await), Err(Kind::Auth));

    database.run(&format!("GRANT SELECT ON $.changes TO {role}; INSERT INTO $.changes (name) VALUES ('a')")).await;
    let (_, sink) = read_as(&config, &table, None, 0).await.unwrap();
    assert_eq!(sink.rows.len(), 1, "a plain role reads, and may ask who the server is");

    database.run("ALTER TABLE $.changes ENABLE ROW LEVEL SECURITY").await;
    assert_eq!(kind(read_as(&config, &table, None, 0).await), Err(Kind::Auth));
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_refuses_is_told_apart() {
    let (database, table) = Database::with_changes().await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut away = database.config();
    away.port = unused;
    let mut no_database = database.config();
    no_database.dbname = "no_such_database".into();
    // Whether the tests' server speaks TLS or not, no public authority has signed for it.
    let mut unproven = database.config();
    unproven.sslmode = TlsMode::VerifyFull;
    for (config, kind) in [(away, Kind::Unavailable), (no_database, Kind::Config), (unproven, Kind::Config)] {
        let Err(error) = read_as(&config, &table, None, 0).await else { panic!("{kind}: was read") };
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{}", config.port)), "{error}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_column_is_read_by_its_source_name_the_cursor_too() {
    let database = Database::new().await;
    database
        .run(
            "CREATE TABLE $.t (\"Change No\" bigint PRIMARY KEY, \"createdAt\" date, \"größe\" text, createdat text); \
             INSERT INTO $.t VALUES (1, '2026-01-02', 'L', 'another'), (2, NULL, NULL, NULL)",
        )
        .await;
    let columns = json!([
        { "name": "change", "source_name": "Change No", "type": "bigint", "required": true },
        { "name": "created_at", "source_name": "createdAt", "type": "date" },
        { "name": "größe", "type": "text" },
    ]);
    let table = database.table("t", columns);
    let (read, sink) = database.read(&table, None, 0).await.unwrap();
    assert_eq!(sink.rows, [["1", "20455", "L"], ["2", "null", "null"]]);
    database.run("INSERT INTO $.t VALUES (3, NULL, 'XL', NULL)").await;
    let (read, sink) = database.read(&table, read.cursor.as_ref(), 0).await.unwrap();
    assert_eq!(sink.rows, [["3", "null", "XL"]]);
    assert_eq!(read.facts["drift"]["columns_not_in_contract"], json!(["createdat"]));

    let lost = json!([{ "name": "id", "source_name": "Gone", "type": "bigint" }]);
    let error = database.read(&database.table("t", lost), None, 0).await.err().expect("a refusal");
    assert_eq!(error.kind(), Kind::SchemaMismatch);
    assert!(error.to_string().contains("Gone"), "{error}");
    database.drop().await;
}
