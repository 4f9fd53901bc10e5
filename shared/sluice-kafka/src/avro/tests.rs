use apache_avro::Decimal;
use serde_json::{Value as Json, json};

use super::*;

fn writer(schema: &Json) -> WriterSchema {
    WriterSchema::parse(&schema.to_string(), &[]).expect("a writer's schema")
}

fn record(fields: Json) -> Json {
    json!({"type": "record", "name": "R", "fields": fields})
}

fn reader(fields: Json) -> ReaderSchema {
    ReaderSchema::parse(&record(fields).to_string()).expect("a reader's schema")
}

/// What a record with these fields becomes.
fn json_of(fields: Json, values: Vec<(&str, Value)>, reader: &ReaderSchema) -> Json {
    let schema = record(fields);
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let parsed = Schema::parse_str(&schema.to_string()).expect("a schema");
    let data = to_avro_datum(&parsed, Value::Record(values)).expect("encodes");
    let writer = writer(&schema);
    let text = reader.to_json(&writer, &data).expect("a good record");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn the_wire_format_is_a_zero_byte_four_bytes_of_id_and_the_data() {
    assert_eq!(unframe(&[0, 0, 1, 0, 2, 9, 8]), Ok((65_538, &[9, 8][..])));
    assert_eq!(unframe(&[0, 0, 0, 0, 7]), Ok((7, &[][..])));
    for (value, part) in
        [(&[0, 0, 0, 1][..], "ends before"), (&[1, 0, 0, 0, 1, 2][..], "zero byte"), (&[][..], "zero byte")]
    {
        assert!(unframe(value).expect_err("no wire format").contains(part));
    }
}

#[test]
fn every_logical_type_keeps_its_exact_value() {
    let logical = |inner: &str, logical: &str| json!({"type": inner, "logicalType": logical});
    let decimal = |scale: u32| json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": scale});
    let at = 1_761_868_800_123_456_i64;
    let all = json_of(
        json!([
            {"name": "id", "type": logical("string", "uuid")},
            {"name": "n", "type": "long"},
            {"name": "i", "type": "int"},
            {"name": "price", "type": decimal(2)},
            {"name": "loss", "type": ["null", decimal(4)]},
            {"name": "whole", "type": decimal(0)},
            {"name": "huge", "type": decimal(10)},
            {"name": "millis", "type": logical("long", "timestamp-millis")},
            {"name": "micros", "type": logical("long", "timestamp-micros")},
            {"name": "local", "type": logical("long", "local-timestamp-micros")},
            {"name": "day", "type": logical("int", "date")},
            {"name": "time", "type": logical("long", "time-micros")},
            {"name": "ratio", "type": "double"},
            {"name": "nan", "type": "double"},
            {"name": "yes", "type": "boolean"},
            {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["A", "B"]}},
            {"name": "none", "type": ["null", "string"]},
            {"name": "raw", "type": "bytes"},
            {"name": "list", "type": {"type": "array", "items": "int"}},
        ]),
        vec![
            ("id", Value::Uuid("6f9619ff-8b86-d011-b42d-00cf4fc964ff".parse().expect("a uuid"))),
            ("n", Value::Long(i64::MAX)),
            ("i", Value::Int(-7)),
            ("price", Value::Decimal(Decimal::from(1_230_i16.to_be_bytes()))),
            ("loss", Value::Union(1, Box::new(Value::Decimal(Decimal::from((-5_i8).to_be_bytes()))))),
            ("whole", Value::Decimal(Decimal::from(300_i32.to_be_bytes()))),
            ("huge", Value::Decimal(Decimal::from(i128::MIN.to_be_bytes()))),
            ("millis", Value::TimestampMillis(at / 1_000)),
            ("micros", Value::TimestampMicros(at)),
            ("local", Value::LocalTimestampMicros(at)),
            ("day", Value::Date(-1)),
            ("time", Value::TimeMicros(3_723_000_004)),
            ("ratio", Value::Double(1e16)),
            ("nan", Value::Double(f64::NAN)),
            ("yes", Value::Boolean(true)),
            ("kind", Value::Enum(1, "B".into())),
            ("none", Value::Union(0, Box::new(Value::Null))),
            ("raw", Value::Bytes(vec![1])),
            ("list", Value::Array(vec![Value::Int(1)])),
        ],
        &reader(json!([])),
    );
    let expected = json!({
        "id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "n": i64::MAX, "i": -7,
        "price": "1230E-2", "loss": "-5E-4", "whole": 300, "huge": format!("{}E-10", i128::MIN),
        "millis": "2025-10-31T00:00:00.123Z", "micros": "2025-10-31T00:00:00.123456Z", "local": "2025-10-31T00:00:00.123456",
        "day": "1969-12-31", "time": "01:02:03.000004", "ratio": 1e16, "nan": "NaN", "yes": true, "kind": "B", "none": null,
        "raw": [], "list": [],
    });
    assert_eq!(all, expected);
}

#[test]
fn fields_meet_by_name_or_alias_and_defaults_fill_what_is_missing() {
    let reader = reader(json!([
        {"name": "email", "type": "string", "aliases": ["mail"]},
        {"name": "count", "type": "long", "default": 1},
        {"name": "note", "type": ["null", "string"], "default": null},
        {"name": "channel", "type": {"type": "enum", "name": "C", "symbols": ["WEB", "APP"]}, "default": "WEB"},
        {"name": "needed", "type": "string"},
    ]));
    let row = json_of(
        json!([{"name": "mail", "type": "string"}, {"name": "extra", "type": "int"}]),
        vec![("mail", Value::String("a\"b".into())), ("extra", Value::Int(1))],
        &reader,
    );
    let expected = json!({"email": "a\"b", "extra": 1, "count": 1, "note": null, "channel": "WEB"});
    assert_eq!(row, expected, "what has no default stays away, and the contract decides");
    let names: Vec<(String, bool)> = reader.fields();
    assert_eq!(names[0], ("email".to_owned(), false));
    assert_eq!(names[1], ("count".to_owned(), true));
    let unusable = record(json!([{"name": "n", "type": "long", "default": "x"}]));
    let error = ReaderSchema::parse(&unusable.to_string()).map(|_| ()).expect_err("no such default");
    assert!(error.chain().contains("default"), "{error}");
}

#[test]
fn named_types_of_other_schemas_are_found() {
    let currency = json!({"type": "enum", "name": "shop.Currency", "symbols": ["GBP", "USD"]});
    let schema = json!({"type": "record", "name": "shop.R", "fields": [
        {"name": "price_in", "type": "shop.Currency"}, {"name": "fee_in", "type": ["null", "shop.Currency"]},
    ]});
    let writer = WriterSchema::parse(&schema.to_string(), &[currency.to_string()]).expect("a schema with a reference");
    let text = reader(json!([])).to_json(&writer, &[2, 2, 0]).expect("a good record");
    assert_eq!(serde_json::from_slice::<Json>(&text).expect("JSON"), json!({"price_in": "USD", "fee_in": "GBP"}));
    let missing = WriterSchema::parse(&schema.to_string(), &[]).map(|_| ()).expect_err("nobody defines the type");
    assert!(missing.contains("Currency"), "{missing}");
}

#[test]
fn broken_records_are_refused_without_their_values() {
    let writer = writer(&record(json!([{"name": "id", "type": "string"}, {"name": "n", "type": ["null", "long"]}])));
    let reader = reader(json!([]));
    let good = [&[12][..], b"s3cret", &[2, 10]].concat();
    assert!(reader.to_json(&writer, &good).is_ok());
    for cut in 0..good.len() {
        let reason = reader.to_json(&writer, &good[..cut]).expect_err("cut short");
        assert!(!reason.contains("s3cret"), "{reason}");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(reader.to_json(&writer, &longer).expect_err("too long").contains("longer"));
    for broken in [
        &[0xff_u8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..],
        &[12, 0xff, 0xfe, 0, 0, 0, 0, 0][..],
        &[0, 8][..],
    ] {
        assert!(reader.to_json(&writer, broken).is_err(), "{broken:?}");
    }
}

#[test]
fn schemas_that_cannot_be_used_say_why() {
    for (schema, part) in [
        (json!("string"), "not a record"),
        (json!({"type": "record"}), "does not parse"),
        (
            json!({"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}),
            "contains itself",
        ),
    ] {
        let reason = WriterSchema::parse(&schema.to_string(), &[]).map(|_| ()).expect_err("unusable");
        assert!(reason.contains(part), "{reason}");
    }
    let (open, close) = ("{\"type\":\"array\",\"items\":".repeat(100), "}".repeat(100));
    let deep = |name: &str, items: &str| {
        format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"f","type":{open}"{items}"{close}}}]}}"#)
    };
    let references: Vec<String> = (0..4).map(|n| deep(&format!("N{n}"), &format!("N{}", n + 1))).collect();
    let reason = WriterSchema::parse(&deep("R", "N0"), &references).map(|_| ()).expect_err("too deep");
    assert_eq!(reason, "its brackets are nested deeper than 512");
    assert_eq!(nesting(r#"{"[\"[{": [[], "\\", {}]}"#), 3);
    let link = json!({"type": "record", "name": "Link", "fields": [{"name": "to", "type": {"type": "array", "items": "Link"}}]});
    let schema = record(json!([{"name": "link", "type": "Link"}]));
    let reason = WriterSchema::parse(&schema.to_string(), &[link.to_string()]).map(|_| ()).expect_err("recursive");
    assert!(reason.contains("contains itself"), "{reason}");
}

#[test]
fn a_later_version_must_read_what_earlier_ones_wrote() {
    let earlier = reader(json!([{"name": "id", "type": "string"}, {"name": "n", "type": "int"}]));
    for (fields, part) in [
        (json!([{"name": "id", "type": "string"}, {"name": "n", "type": "long"}]), None),
        (json!([{"name": "id", "type": "string"}]), None),
        (json!([{"name": "id", "type": "string"}, {"name": "x", "type": "int", "default": 0}]), None),
        (json!([{"name": "id", "type": "string"}, {"name": "x", "type": "int"}]), Some("x")),
        (json!([{"name": "id", "type": "long"}]), Some("id")),
    ] {
        let read = reader(fields.clone()).reads(&earlier).map_err(|error| error.chain());
        match part {
            None => assert_eq!(read, Ok(()), "{fields}"),
            Some(part) => assert!(read.expect_err("incompatible").contains(part), "{fields}"),
        }
    }
}
