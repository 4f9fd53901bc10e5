use bytes::Bytes;
use serde_json::json;

use super::*;

fn schema() -> Schema {
    serde_json::from_value(json!([
        {"name": "id", "type": "text", "required": true},
        {"name": "count", "type": "bigint", "minimum": 1},
        {"name": "price", "type": "decimal(20,4)", "minimum": -1_000_000},
        {"name": "at", "type": "timestamp"},
        {"name": "day", "type": "date"},
        {"name": "gift", "type": "boolean"},
    ]))
    .expect("a schema")
}

fn write(value: &str) -> Result<serde_json::Value, String> {
    let schema = schema();
    let loaded_at = DateTime::from_timestamp_micros(1_761_868_800_000_001).expect("a time");
    let writer = RowWriter::new(&schema, "lake_c_t_0/run", loaded_at, "archive/t/x", "t", 0);
    let record = Record {
        offset: 7,
        timestamp_ms: 1_761_868_800_123,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    };
    let mut rows = String::new();
    let written = writer.write(&record, record.value.as_deref(), 3, &mut rows);
    assert_eq!(rows.matches('\n').count(), usize::from(written.is_ok()), "one whole line or nothing");
    let rejected = |rejection: Rejection| rejection.to_string();
    written.map(|_| serde_json::from_str(&rows).expect("a row is JSON")).map_err(rejected)
}

#[test]
fn a_row_has_the_contracts_columns_and_where_it_came_from() {
    let row = write(
        r#" {"id": "a\"\u00eb\n", "count": 9007199254740993, "price": "12.3", "at": "2025-10-31T01:02:03.1234567+01:00",
            "day": "2024-02-29", "gift": true, "new": {"field": [1]}} "#,
    );
    let expected = json!({
        "ID": "a\"ë\n", "COUNT": 9_007_199_254_740_993_i64, "PRICE": "12.3000", "AT": "2025-10-31 00:02:03.123456",
        "DAY": "2024-02-29", "GIFT": true,
        "_SLUICE_RUN_ID": "lake_c_t_0/run", "_SLUICE_SEQUENCE": 7, "_SLUICE_LOADED_AT": "2025-10-31 00:00:00.000001",
        "_SLUICE_SOURCE_FILE": "archive/t/x", "_SLUICE_ROW_NUMBER": 3, "_KAFKA_TOPIC": "t", "_KAFKA_PARTITION": 0,
        "_KAFKA_OFFSET": 7, "_KAFKA_TIMESTAMP": "2025-10-31 00:00:00.123000",
    });
    assert_eq!(row, Ok(expected));
}

#[test]
fn a_rows_keys_are_the_warehouses_names_and_its_fields_the_sources() {
    let schema: Schema = serde_json::from_value(json!([
        {"name": "größe", "type": "text"},
        {"name": "it's \"quoted\" \\", "type": "text"},
        {"name": "created_at", "source_name": "createdAt", "type": "bigint"},
        {"name": "unit_price", "source_name": "Unit Price", "type": "bigint"},
    ]))
    .expect("a schema");
    let writer = RowWriter::new(&schema, "r", DateTime::UNIX_EPOCH, "a", "t", 0);
    let value = json!({"größe": "L", "it's \"quoted\" \\": "q", "createdAt": 7, "Unit Price": 8, "created_at": 9});
    let record = Record { offset: 0, timestamp_ms: 0, key: None, value: None, headers: Vec::new() };
    // Escapes are the exact reader's; what has none is the plain one's.
    let mut plain = value.clone();
    plain.as_object_mut().and_then(|fields| fields.remove("it's \"quoted\" \\"));
    for text in [value.to_string(), plain.to_string()] {
        let mut rows = String::new();
        assert_eq!(writer.write(&record, Some(text.as_bytes()), 1, &mut rows), Ok(1), "{text}");
        let row: serde_json::Value = serde_json::from_str(&rows).expect("a row is JSON");
        let found = [&row["GRÖSSE"], &row["CREATED_AT"], &row["UNIT_PRICE"]];
        assert_eq!(found, [&json!("L"), &json!(7), &json!(8)], "{text}");
        assert!(row.get("IT'S \"QUOTED\" \\").is_some(), "{row}");
    }
}

#[test]
fn fields_that_the_contract_does_not_know_are_counted_by_both_readers() {
    for (value, expected) in [
        (r#"{"id":"a"}"#, 0),
        (r#"{"new":1,"id":"a","ID":"b"}"#, 2),
        (r#"{"id":"a","new":1,"new":2}"#, 2),
        (r#"{"id":"a","new":{"id":"b","other":[]},"last":"\n"}"#, 2),
    ] {
        let schema = schema();
        let writer = RowWriter::new(&schema, "r", DateTime::UNIX_EPOCH, "a", "t", 0);
        let record = Record { offset: 0, timestamp_ms: 0, key: None, value: None, headers: Vec::new() };
        assert_eq!(writer.write(&record, Some(value.as_bytes()), 1, &mut String::new()), Ok(expected), "{value}");
        assert_eq!(writer.write_exact(value, &mut String::new()), Ok(expected), "{value}");
    }
}

#[test]
fn an_absent_optional_field_is_null() {
    let row = write(r#"{"id":"a","count":null}"#).expect("a row");
    for column in ["COUNT", "PRICE", "AT", "DAY", "GIFT"] {
        assert_eq!(row[column], json!(null), "{column}");
    }
}

#[test]
fn a_decimal_keeps_every_digit() {
    for (text, expected) in [
        ("0.1", "0.1000"),
        ("-0.00050000", "-0.0005"),
        ("-0.00", "0.0000"),
        ("1234567890123456.7891", "1234567890123456.7891"),
        ("\"0.3\"", "0.3000"),
        ("\" 0.3\"", "0.3000"),
        ("1e2", "100.0000"),
        ("1234567890123456789e-4", "123456789012345.6789"),
    ] {
        let row = write(&format!(r#"{{"id":"a","price":{text}}}"#)).expect("a row");
        assert_eq!(row["PRICE"], expected, "{text}");
    }
    assert_eq!(decimal(5, 0), "5");
}

#[test]
fn a_whole_number_may_be_written_with_a_point_or_an_exponent() {
    for (text, expected) in [
        ("7842.0", 7842),
        ("1e2", 100),
        ("70e-1", 7),
        ("9007199254740993.0", 9_007_199_254_740_993_i64),
        ("9223372036854775807.0", i64::MAX),
        ("1.2E7", 12_000_000),
    ] {
        let row = write(&format!(r#"{{"id":"a","count":{text}}}"#)).expect("a row");
        assert_eq!(row["COUNT"], json!(expected), "{text}");
    }
}

#[test]
fn what_breaks_the_contract_is_refused_with_a_reason_that_shows_no_value() {
    for (value, reason) in [
        ("", "the value is not a JSON object"),
        ("\"secret\"", "the value is not a JSON object"),
        ("[1]", "the value is not a JSON object"),
        ("{\"id\": secret}", "the value is not JSON (line 1, column 8)"),
        ("{\"id\":\"a\"} {}", "the value is not JSON (line 1, column 12)"),
        ("{\"id\":\"a", "the value is not JSON (line 1, column 8)"),
        ("{}", "id: is required and was null"),
        (r#"{"id":1}"#, "id: is not a text"),
        (r#"{"id":"\ud800"}"#, "id: is not a text"),
        (r#"{"id":"a","id":"b"}"#, "id: stands twice"),
        (r#"{"id":"a","count":"1"}"#, "count: is a text, not a bigint"),
        (r#"{"id":"a","count":true}"#, "count: is not a bigint"),
        (r#"{"id":"a","count":1.5}"#, "count: has more decimals than its column"),
        (r#"{"id":"a","count":"1.0"}"#, "count: is a text, not a bigint"),
        (r#"{"id":"a","count":0.0}"#, "count: is below 1"),
        (r#"{"id":"a","count":-0}"#, "count: is below 1"),
        (r#"{"id":"a","count":9223372036854775808}"#, "count: does not fit its column"),
        (r#"{"id":"a","count":1e999999999}"#, "count: does not fit its column"),
        (r#"{"id":"a","count":0}"#, "count: is below 1"),
        (r#"{"id":"a","price":true}"#, "price: is not a decimal(20,4)"),
        (r#"{"id":"a","price":"NaN"}"#, "price: is not a number"),
        (r#"{"id":"a","price":10.00005}"#, "price: has more decimals than its column"),
        (r#"{"id":"a","price":"10.00005"}"#, "price: has more decimals than its column"),
        (r#"{"id":"a","price":1e-400}"#, "price: has more decimals than its column"),
        (r#"{"id":"a","price":1e-99999999999999999999}"#, "price: has more decimals than its column"),
        (r#"{"id":"a","price":1e999999999}"#, "price: does not fit its column"),
        (r#"{"id":"a","price":-1000000.0001}"#, "price: is below -1000000"),
        (r#"{"id":"a","price":1e16}"#, "price: does not fit decimal(20,4)"),
        (r#"{"id":"a","at":1761868800}"#, "at: is not a timestamp"),
        (r#"{"id":"a","at":"2025-10-31 01:02:03"}"#, "at: is not a timestamp"),
        (r#"{"id":"a","at":"2025-10-31T01:02:03"}"#, "at: is not a timestamp"),
        (r#"{"id":"a","at":"2025-10-31T01:02:03\u221201:00"}"#, "at: is not a timestamp"),
        (r#"{"id":"a","at":"2025-02-30T01:02:03Z"}"#, "at: is not a timestamp"),
        (r#"{"id":"a","at":"9999-12-31T23:59:59-01:00"}"#, "at: is not a timestamp"),
        (r#"{"id":"a","day":"2025-02-29"}"#, "day: is not a date"),
        (r#"{"id":"a","day":"2025- 2- 9"}"#, "day: is not a date"),
        (r#"{"id":"a","gift":"true"}"#, "gift: is a text, not a boolean"),
    ] {
        assert_eq!(write(value), Err(reason.to_owned()), "{value}");
    }
}

#[test]
fn a_tombstone_and_bytes_that_are_no_text_are_refused() {
    let schema = schema();
    let writer = RowWriter::new(&schema, "r", DateTime::UNIX_EPOCH, "a", "t", 0);
    let mut record = Record { offset: 0, timestamp_ms: -1, key: None, value: None, headers: Vec::new() };
    let mut rows = String::new();
    assert_eq!(writer.write(&record, record.value.as_deref(), 1, &mut rows), Err("the record has no value".into()));
    record.value = Some(Bytes::from_static(&[b'{', 0xff, b'}']));
    assert_eq!(writer.write(&record, record.value.as_deref(), 1, &mut rows), Err("the value is not UTF-8".into()));
    record.value = Some(Bytes::from_static(br#"{"id":"a"}"#));
    assert_eq!(writer.write(&record, record.value.as_deref(), 1, &mut rows), Ok(0));
    assert!(rows.contains(r#""_KAFKA_TIMESTAMP":null"#), "no timestamp is not 1969: {rows}");
}

/// One way of writing a row.
fn rows(write: impl FnOnce(&RowWriter<'_>, &mut String) -> Result<u64, Rejection>) -> Result<(String, u64), Rejection> {
    let schema = schema();
    let writer = RowWriter::new(&schema, "lake_c_t_0/run", DateTime::UNIX_EPOCH, "archive/t/x", "t", 0);
    let mut rows = String::new();
    write(&writer, &mut rows).map(|unknown| (rows, unknown))
}

/// Records near the edge of what the plain reader takes: a seeded mix of pieces, right and wrong.
fn near_plain(mut seed: u64) -> String {
    let mut pick = |options: &[&str]| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        options[(seed >> 33) as usize % options.len()].to_owned()
    };
    let values = [
        "1",
        "-0",
        "0",
        "01",
        "1.0",
        "1.50",
        "1e2",
        "1E+2",
        "1e",
        "-",
        ".5",
        "5.",
        "+1",
        "9223372036854775808",
        "true",
        "false",
        "null",
        "nul",
        "\"\"",
        "\"x\"",
        "\"ë\"",
        "\"a\\\"b\"",
        "\"a\\u00e9\"",
        "\"a\tb\"",
        "\"open",
        "\"1.23456\"",
        "\"2024-02-29\"",
        "\"2025-10-31T01:02:03Z\"",
        "\"2025-10-31T01:02:03.1234567Z\"",
        "\"2025-02-30T01:02:03Z\"",
        "\"2025-10-31T01:02:03+01:00\"",
        "[1,2]",
        "{\"a\":1}",
        "",
    ];
    let names = ["id", "count", "price", "at", "day", "gift", "new", "ID", "c\\u006funt"];
    let mut text = pick(&["{", "{\"id\":\"x\",", "{\"id\":\"x\",", "{\"id\":\"x\",", " \n{ ", "", "["]);
    for field in 0..pick(&["1", "2", "4", "7"]).parse().unwrap_or(1) {
        if field > 0 {
            text += &pick(&[",", ",", ",", " ,\t", "", ",,"]);
        }
        text += &format!(
            "\"{}\"{}{}{}",
            pick(&names),
            pick(&[":", ":", ":", " : ", ""]),
            pick(&values),
            pick(&["", "", " "])
        );
    }
    text + &pick(&["}", "}", "}", "}\n", "} x", "", "}}"])
}

#[test]
fn the_plain_reader_only_ever_agrees_with_the_exact_one() {
    let (mut plain, mut good) = (0, 0);
    for seed in 0..200_000 {
        let text = near_plain(seed);
        let exact = rows(|writer, rows| writer.write_exact(&text, rows));
        let schema = schema();
        let fast = plain::read(&schema, &text).map(|plain| {
            rows(|writer, rows| match writer.write_plain(&plain.tokens, rows) {
                Ok(true) => Ok(plain.unknown),
                Ok(false) => writer.write_exact(&text, rows),
                Err(reason) => Err(reason),
            })
        });
        if let Some(fast) = fast {
            assert_eq!(fast, exact, "{text}");
            plain += 1;
            good += usize::from(exact.is_ok());
        }
    }
    assert!(plain > 5_000 && good > 1_000, "{plain} plain records, {good} of them good: the test compares too little");
}
