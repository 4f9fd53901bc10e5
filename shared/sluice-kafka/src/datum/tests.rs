use serde_json::json;

use super::*;

fn layout(fields: serde_json::Value) -> Result<Layout, String> {
    let text = json!({"type": "record", "name": "R", "fields": fields}).to_string();
    Layout::of_record(&Schema::parse_str(&text).expect("a schema"), &[])
}

/// The JSON of a record with one field of this type, and an id behind it.
fn read(field: serde_json::Value, data: &[u8]) -> Result<String, String> {
    let layout = layout(json!([{"name": "f", "type": field}, {"name": "id", "type": "int"}])).expect("a layout");
    let (fields, mut datum) = layout.read(data);
    let mut json = String::new();
    for (_, field) in fields {
        datum.write(field, &mut json)?;
        json.push(' ');
    }
    if datum.is_at_end() { Ok(json) } else { Err("more data".to_owned()) }
}

fn long(value: i64) -> Vec<u8> {
    let mut bits = (value << 1 ^ value >> 63).cast_unsigned();
    let mut bytes = Vec::new();
    while bits > 0x7f {
        bytes.push(bits as u8 & 0x7f | 0x80);
        bits >>= 7;
    }
    bytes.push(bits as u8);
    bytes
}

fn array(items: serde_json::Value) -> serde_json::Value {
    json!({"type": "array", "items": items})
}

#[test]
fn a_list_of_sixteen_million_nulls_is_refused_by_its_number() {
    let empty = json!({"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]});
    let none = json!({"type": "fixed", "name": "F", "size": 0});
    for items in [json!("null"), empty, none] {
        let many = [long(16_000_000), vec![0, 2]].concat();
        assert_eq!(
            read(array(items.clone()), &many),
            Err("its lists and maps hold more than 1000000 items".to_owned())
        );
        let few = [long(1_000_000), vec![0, 2]].concat();
        assert_eq!(read(array(items), &few).as_deref(), Ok("[] 1 "));
    }
    let in_turns = [long(600_000), long(-600_000), vec![0], vec![0, 2]].concat();
    assert!(read(array(json!("null")), &in_turns).expect_err("too many").contains("more than"));
    let nested = [long(2), long(600_000), vec![0], long(600_000), vec![0, 0, 2]].concat();
    assert!(read(array(array(json!("null"))), &nested).expect_err("too many").contains("more than"));
}

#[test]
fn lengths_that_no_data_follows_are_refused_at_once() {
    let map = json!({"type": "map", "values": "null"});
    let fixed = json!({"type": "fixed", "name": "F", "size": 1_000_000_000_000_u64});
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2});
    for (field, data) in [
        (json!("bytes"), long(i64::MAX)),
        (json!("string"), long(i64::MAX)),
        (decimal, long(1 << 40)),
        (fixed, vec![0; 100]),
        (array(json!("int")), long(900_000)),
        (array(json!("double")), [long(3), vec![0; 23]].concat()),
        (map, [long(900_000), vec![2, b'a']].concat()),
        (json!(["null", "string"]), [vec![2], long(1 << 50)].concat()),
    ] {
        assert_eq!(read(field.clone(), &data), Err(ENDS_EARLY.to_owned()), "{field}");
    }
    for data in [long(-1), long(i64::MIN), vec![0xff; 11]] {
        assert_eq!(read(json!("bytes"), &data), Err(NOT_OF_ITS_SCHEMA.to_owned()), "{data:?}");
    }
    assert!(
        read(array(json!("null")), &[long(i64::MIN), long(0)].concat()).expect_err("too many").contains("more than")
    );
}

/// Records that each hold the next one twice: written out, 2^depth fields. As references, because a JSON text may not nest
/// so deep.
fn doubling(leaf: &str, depth: usize) -> Result<Layout, String> {
    let reference = |n: usize| {
        let inner = if n == 0 { leaf.to_owned() } else { format!("N{}", n - 1) };
        let fields = json!([{"name": "a", "type": inner}, {"name": "b", "type": inner}]);
        json!({"type": "record", "name": format!("N{n}"), "fields": fields}).to_string()
    };
    let references: Vec<String> = (0..depth).map(reference).collect();
    let fields = json!([{"name": "f", "type": format!("N{}", depth - 1)}]);
    let text = json!({"type": "record", "name": "R", "fields": fields}).to_string();
    let (schema, references) = Schema::parse_str_with_list(&text, &references).expect("a schema");
    Layout::of_record(&schema, &references)
}

#[test]
fn a_schema_of_types_within_types_costs_no_more_than_its_text() {
    // The parser recurses from reference to reference: a function's main thread has this much, a test's has a quarter.
    let on_a_main_thread = std::thread::Builder::new().stack_size(8 << 20).spawn(doubled_types);
    on_a_main_thread.expect("a thread").join().expect("no overflow");
}

fn doubled_types() {
    for (leaf, data, expected) in [("null", &[][..], Ok(())), ("int", &[0; 1_000], Err(ENDS_EARLY.to_owned()))] {
        let layout = doubling(leaf, 60).expect("a layout");
        let (mut fields, mut datum) = layout.read(data);
        let (_, field) = fields.next().expect("a field");
        assert_eq!(datum.write(field, &mut String::new()), expected, "{leaf}");
    }
    assert_eq!(doubling("int", 64).map(drop), Err("its types are nested deeper than 64".to_owned()));
}

#[test]
fn nested_values_are_stepped_over_and_what_follows_is_read() {
    let record = json!({"type": "record", "name": "N", "fields": [
        {"name": "n", "type": "null"},
        {"name": "b", "type": "boolean"},
        {"name": "f", "type": "float"},
        {"name": "d", "type": "double"},
        {"name": "l", "type": ["null", {"type": "map", "values": "long"}]},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "x", "type": {"type": "fixed", "name": "X", "size": 3}},
        {"name": "u", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "p", "type": {"type": "fixed", "name": "P", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 1}},
    ]});
    let data = [
        &[1][..],
        &[0; 4],
        &[0; 8],
        // A map of two blocks: one plain, one with its size before it.
        &[2, 2, 2, b'k', 14, 1, 8, 4, b'a', b'b', 0, 0],
        &[2],
        &[1, 2, 3],
        &[4, b'u', b'u'],
        &[0, 7],
    ]
    .concat();
    assert_eq!(read(record.clone(), &[&data[..], &[84]].concat()).as_deref(), Ok("[] 42 "));
    let list = [&[4][..], &data, &data, &[0, 84]].concat();
    assert_eq!(read(array(record), &list).as_deref(), Ok("[] 42 "));
}

#[test]
fn a_decimal_of_any_length_and_scale_keeps_its_digits() {
    let padded = |sign: u8, byte: u8| [vec![sign; 20], vec![byte]].concat();
    let power = |exponent: usize| [vec![1], vec![0; exponent / 8]].concat();
    for (bytes, scale, expected) in [
        (vec![], 0, Some("0")),
        (vec![0], 0, Some("0")),
        (vec![0xff], 0, Some("-1")),
        (vec![0x80], 0, Some("-128")),
        (vec![0x00, 0x80], 0, Some("128")),
        (padded(0, 200), 0, Some("200")),
        (padded(0xff, 200), 0, Some("-56")),
        (vec![0x04, 0xce], 2, Some("\"1230E-2\"")),
        (vec![1], i128::from(i64::MIN), Some("\"1E9223372036854775808\"")),
        (vec![1], 1_000_000_000, Some("\"1E-1000000000\"")),
        (power(128), 0, Some("340282366920938463463374607431768211456")),
        ([vec![0x80], vec![0; 16]].concat(), 0, Some("-43556142965880123323311949751266331066368")),
        (i128::MIN.to_be_bytes().to_vec(), 0, Some("-170141183460469231731687303715884105728")),
        (power(1_000), 0, None),
    ] {
        assert_eq!(decimal(&bytes, scale).as_deref(), expected, "{bytes:?}");
    }
    let mut seed = 3_u64;
    for _ in 0..10_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (i128::from(seed.cast_signed()) * i128::from(seed >> 7)) >> (seed % 100);
        assert_eq!(decimal(&number.to_be_bytes(), 0), Some(number.to_string()));
    }
}

#[test]
fn a_time_that_no_day_has_is_none() {
    assert_eq!(time(86_399_999, 1_000).as_deref(), Some("\"23:59:59.999\""));
    for (value, units) in [(86_400_000, 1_000), (-1, 1_000), (i64::MAX, 1_000_000), (i64::MIN, 1_000_000)] {
        assert_eq!(time(value, units), None, "{value}");
    }
    assert_eq!((date(i32::MAX), timestamp(i64::MAX, Unit::Millis, true)), (None, None));
}

#[test]
fn random_bytes_are_read_or_refused_and_never_outlast_their_length() {
    let schema = json!([
        "null", "string", array(json!("null")), {"type": "map", "values": array(json!("bytes"))},
        {"type": "bytes", "logicalType": "big-decimal"}, {"type": "long", "logicalType": "timestamp-micros"},
    ]);
    let mut seed = 11_u64;
    let mut good = 0;
    for _ in 0..100_000 {
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Small numbers are lengths that fit.
            let byte = (seed >> 33) as u8;
            if byte & 0x40 == 0 { byte & 0x0f } else { byte }
        };
        let data: Vec<u8> = (0..byte() % 24).map(|_| byte()).collect();
        good += usize::from(read(schema.clone(), &data).is_ok());
    }
    assert!(good > 100, "only {good} records were good: the test reads too little");
}
