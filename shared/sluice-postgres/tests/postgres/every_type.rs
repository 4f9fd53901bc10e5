//! Every type that a PostgreSQL table may hold: what it becomes under each contract type, or the error that names it.

use serde_json::json;
use sluice_core::Kind;

use crate::support::Database;

const CONTRACTS: [&str; 6] = ["bigint", "decimal(38,4)", "timestamp", "date", "boolean", "text"];

/// A type, a value of it, and what the value becomes as each contract type that takes it. All others refuse the column.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const TYPES: &[Case] = &[
    ("smallint", "-7", &[("bigint", "-7"), ("decimal(38,4)", "-70000"), ("text", "-7")]),
    ("integer", "7", &[("bigint", "7"), ("decimal(38,4)", "70000"), ("text", "7")]),
    (
        "bigint",
        "9007199254740993",
        &[("bigint", "9007199254740993"), ("decimal(38,4)", "90071992547409930000"), ("text", "9007199254740993")],
    ),
    ("numeric", "12.99", &[("decimal(38,4)", "129900"), ("text", "12.99")]),
    ("numeric(10,2)", "-0.5", &[("decimal(38,4)", "-5000"), ("text", "-0.50")]),
    ("money", "12.99", &[("decimal(38,4)", "129900"), ("text", "$12.99")]),
    ("real", "0.1", &[("decimal(38,4)", "1000"), ("text", "0.1")]),
    ("double precision", "12.99", &[("decimal(38,4)", "129900"), ("text", "12.99")]),
    ("text", "a b", &[("text", "a b")]),
    ("varchar(10)", "a b", &[("text", "a b")]),
    ("char(4)", "ab", &[("text", "ab  ")]),
    ("name", "ab", &[("text", "ab")]),
    ("\"char\"", "x", &[("text", "x")]),
    ("bytea", "\\x00ff", &[("text", "\\x00ff")]),
    ("boolean", "true", &[("boolean", "true"), ("text", "true")]),
    ("date", "2026-01-02", &[("date", "20455"), ("text", "2026-01-02")]),
    (
        "timestamp",
        "2026-01-02 03:04:05.678901",
        &[("timestamp", "1767323045678901"), ("text", "2026-01-02 03:04:05.678901")],
    ),
    ("timestamptz", "2026-01-02 12:04:05+09", &[("timestamp", "1767323045000000"), ("text", "2026-01-02 03:04:05+00")]),
    ("time", "03:04:05.5", &[("text", "03:04:05.5")]),
    ("timetz", "03:04:05+09", &[("text", "03:04:05+09")]),
    ("interval", "1 year 2 days 03:04:05", &[("text", "1 year 2 days 03:04:05")]),
    ("uuid", "6f1c0c1e-0b5f-4f4e-9d7e-1a2b3c4d5e6f", &[("text", "6f1c0c1e-0b5f-4f4e-9d7e-1a2b3c4d5e6f")]),
    ("json", "{\"a\":  1.10}", &[("text", "{\"a\":  1.10}")]),
    ("jsonb", "{\"a\":  1.10}", &[("text", "{\"a\": 1.10}")]),
    ("inet", "10.0.0.1", &[("text", "10.0.0.1/32")]),
    ("cidr", "10.0.0.0/8", &[("text", "10.0.0.0/8")]),
    ("macaddr", "08:00:2b:01:02:03", &[("text", "08:00:2b:01:02:03")]),
    ("bit(3)", "101", &[("text", "101")]),
    ("varbit", "10", &[("text", "10")]),
    ("point", "(1,2)", &[("text", "(1,2)")]),
    ("int4range", "[1,5)", &[("text", "[1,5)")]),
    ("int4multirange", "{[1,3),[5,7)}", &[("text", "{[1,3),[5,7)}")]),
    ("tsvector", "a b", &[("text", "'a' 'b'")]),
    ("integer[]", "{1,NULL,3}", &[("text", "{1,NULL,3}")]),
    ("text[]", "{a,\"b c\"}", &[("text", "{a,\"b c\"}")]),
    ("pg_lsn", "16/B374D848", &[("text", "16/B374D848")]),
    ("oid", "42", &[("text", "42")]),
    ("$.mood", "sad", &[("text", "sad")]),
    ("$.price", "12.5", &[("decimal(38,4)", "125000"), ("text", "12.5")]),
    ("$.code", "ab", &[("text", "ab")]),
    ("$.pair", "(1,x)", &[("text", "(1,x)")]),
];

#[tokio::test]
async fn every_type_becomes_what_is_written_down_or_is_refused_by_name() {
    let database = Database::new().await;
    database
        .run(
            "CREATE TYPE $.mood AS ENUM ('glad', 'sad'); CREATE TYPE $.pair AS (a int, b text); \
             CREATE DOMAIN $.price AS numeric; CREATE DOMAIN $.code AS varchar(5)",
        )
        .await;
    for (source, value, becomes) in TYPES {
        let literal = value.replace('\'', "''");
        database
            .run(&format!(
                "DROP TABLE IF EXISTS $.t; CREATE TABLE $.t (id bigint, c {source}); \
                 INSERT INTO $.t VALUES (1, '{literal}'), (2, NULL)"
            ))
            .await;
        for contract in CONTRACTS {
            let table =
                database.table("t", json!([{ "name": "id", "type": "bigint" }, { "name": "c", "type": contract }]));
            let read = database.read(&table, None, 0).await;
            match becomes.iter().find(|(taken, _)| *taken == contract) {
                Some((_, expected)) => {
                    let (_, sink) = read.unwrap_or_else(|error| panic!("{source} as {contract}: {error:?}"));
                    assert_eq!(sink.rows, [["1", *expected], ["2", "null"]], "{source} as {contract}");
                    assert!(sink.rejected.is_empty(), "{source} as {contract}: {:?}", sink.rejected);
                }
                None => {
                    let Err(error) = read else { panic!("{source} was read as {contract}") };
                    let found = (error.kind(), error.is_final());
                    assert_eq!(found, (Kind::SchemaMismatch, true), "{source} as {contract}: {error:?}");
                    assert!(error.to_string().contains("column 'c'"), "{error}");
                }
            }
        }
    }
    database.drop().await;
}

#[tokio::test]
async fn the_edges_of_each_type_are_exact_or_kept_with_their_reason() {
    let database = Database::new().await;
    let cases = [
        (
            "numeric",
            "decimal(38,0)",
            "99999999999999999999999999999999999999",
            Ok("99999999999999999999999999999999999999"),
        ),
        ("numeric", "decimal(38,0)", "100000000000000000000000000000000000000", Err("does not fit its column")),
        ("numeric", "decimal(18,4)", "99999999999999.9999", Ok("999999999999999999")),
        ("numeric", "decimal(18,4)", "100000000000000", Err("does not fit decimal(18,4)")),
        ("numeric", "decimal(18,4)", "0.00001", Err("has more decimals than its column")),
        ("numeric", "decimal(18,4)", "-Infinity", Err("is not a finite number")),
        ("numeric", "text", "NaN", Ok("NaN")),
        ("real", "decimal(18,4)", "Infinity", Err("is not a finite number")),
        ("real", "decimal(18,2)", "10.005", Err("has more decimals than its column")),
        ("double precision", "decimal(18,4)", "0.30000000000000004", Err("has more decimals than its column")),
        ("double precision", "text", "0.30000000000000004", Ok("0.30000000000000004")),
        ("double precision", "text", "-Infinity", Ok("-Infinity")),
        ("date", "date", "infinity", Err("is infinite")),
        ("date", "date", "0001-01-01", Ok("-719162")),
        ("date", "date", "9999-12-31", Ok("2932896")),
        ("date", "date", "0001-12-31 BC", Err("is outside of the years 1 to 9999")),
        ("date", "text", "0001-12-31 BC", Ok("0001-12-31 BC")),
        ("timestamp", "timestamp", "0001-01-01", Ok("-62135596800000000")),
        ("timestamp", "timestamp", "9999-12-31 23:59:59.999999", Ok("253402300799999999")),
        ("timestamp", "timestamp", "10000-01-01", Err("is outside of the years 1 to 9999")),
        ("timestamp", "timestamp", "0044-03-15 BC", Err("is outside of the years 1 to 9999")),
        ("timestamptz", "timestamp", "-infinity", Err("is infinite")),
        ("timestamptz", "text", "infinity", Ok("infinity")),
    ];
    for (source, contract, value, becomes) in cases {
        database
            .run(&format!(
                "DROP TABLE IF EXISTS $.t; CREATE TABLE $.t (id bigint, c {source}); \
                 INSERT INTO $.t VALUES (1, '{value}')"
            ))
            .await;
        let table = database.table("t", json!([{ "name": "id", "type": "bigint" }, { "name": "c", "type": contract }]));
        let (_, sink) = database.read(&table, None, 0).await.unwrap();
        match becomes {
            Ok(expected) => assert_eq!(sink.rows, [["1", expected]], "{value} of {source} as {contract}"),
            Err(rule) => {
                assert!(sink.rows.is_empty(), "{value} of {source} as {contract}: {:?}", sink.rows);
                assert!(sink.rejected[0].contains(rule), "{value} of {source}: {:?}", sink.rejected);
            }
        }
    }
    database.drop().await;
}
