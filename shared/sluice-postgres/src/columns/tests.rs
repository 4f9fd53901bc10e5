use arrow_array::{Array, cast::AsArray, types::Decimal128Type};
use tokio_postgres::types::Type;

use super::*;

fn field(source: Type, contract: &str) -> Field {
    let column = serde_json::json!({ "name": "c", "type": contract });
    Field::new(&serde_json::from_value(column).unwrap(), &source).unwrap()
}

fn message(body: &[u8]) -> Vec<u8> {
    [&b"d"[..], &(body.len() as i32 + 4).to_be_bytes(), body].concat()
}

/// Rows of one value each, as messages.
fn rows(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let row = |value: &Option<Vec<u8>>| match value {
        Some(value) => message(&[&[0, 1][..], &(value.len() as i32).to_be_bytes(), value].concat()),
        None => message(&[&[0, 1][..], &NULL.to_be_bytes()].concat()),
    };
    values.iter().flat_map(row).collect()
}

fn decoded(field: &Field, values: &[Option<Vec<u8>>]) -> Columns {
    let bytes = rows(values);
    Batch::new(&bytes, values.len(), 1, 0, None).unwrap().decode(std::slice::from_ref(field)).unwrap()
}

/// What the column holds, or `None` where the row is marked.
fn cell(columns: &Columns, row: usize) -> Option<Cell<'_>> {
    let array = &columns.arrays[0];
    if columns.marked.contains(&row) {
        return None;
    }
    if array.is_null(row) {
        return Some(Cell::Null);
    }
    Some(if let Some(texts) = array.as_string_opt::<i32>() {
        Cell::Text(texts.value(row))
    } else if let Some(truths) = array.as_boolean_opt() {
        Cell::Boolean(truths.value(row))
    } else if let Some(decimals) = array.as_primitive_opt::<Decimal128Type>() {
        Cell::Decimal(decimals.value(row))
    } else if let Some(times) = array.as_primitive_opt::<arrow_array::types::TimestampMicrosecondType>() {
        Cell::Timestamp(times.value(row))
    } else if let Some(days) = array.as_primitive_opt::<arrow_array::types::Date32Type>() {
        Cell::Date(days.value(row))
    } else {
        Cell::Bigint(array.as_primitive::<arrow_array::types::Int64Type>().value(row))
    })
}

fn numeric(digits: &[u16], weight: i16, sign: u16) -> Vec<u8> {
    let header = [digits.len() as u16, weight as u16, sign, 4];
    header.iter().chain(digits).flat_map(|number| number.to_be_bytes()).collect()
}

/// A fixed sequence of numbers: a failure repeats itself.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 17
    }
}

/// Whatever the value, a column says what the value's own decoding says: the same cell, or a mark for what is invalid.
#[test]
fn columns_agree_with_single_values() {
    let mut numbers = Numbers(7);
    let mut next = || numbers.next();
    let int8 = [0, 1, -1, i64::MAX, i64::MIN].map(|v| v.to_be_bytes().to_vec()).to_vec();
    let int4 = [0, 1, -1, i32::MAX, i32::MIN, 3_000_000].map(|v| v.to_be_bytes().to_vec()).to_vec();
    let int2 = [0, -7, i16::MAX].map(|v| v.to_be_bytes().to_vec()).to_vec();
    let floats = [0.0, -0.0, 12.99, 0.1 + 0.2, 1e14, 999_999_999_999.999, 1e15, 1e300, f64::NAN, f64::INFINITY, 5e-324];
    let mut doubles: Vec<Vec<u8>> = floats.map(|v| v.to_be_bytes().to_vec()).to_vec();
    let mut narrow: Vec<Vec<u8>> = floats.map(|v| (v as f32).to_be_bytes().to_vec()).to_vec();
    let mut numerics: Vec<Vec<u8>> = [0xC000, 0xD000, 0xF000].map(|sign| numeric(&[], 0, sign)).to_vec();
    for _ in 0..20_000 {
        let digits: Vec<u16> = (0..next() % 7).map(|_| (next() % 10_000) as u16 * u16::from(next() % 3 != 0)).collect();
        numerics.push(numeric(&digits, (next() % 9) as i16 - 4, if next() % 2 == 0 { 0 } else { 0x4000 }));
        let cents = (next() % 100_000_000) as f64;
        doubles.push((cents / 100.0).to_be_bytes().to_vec());
        doubles.push((cents / 7.0).to_be_bytes().to_vec());
        narrow.push(((cents / 100.0) as f32).to_be_bytes().to_vec());
    }
    let times = [i64::MAX, i64::MIN, 0, -63_113_904_000_000_000, -63_113_904_000_000_001, 252_455_615_999_999_999 + 1];
    let times = times.map(|v| v.to_be_bytes().to_vec()).to_vec();
    let days =
        [i32::MAX, i32::MIN, 0, -730_119, -730_120, 2_921_939, 2_921_940].map(|v| v.to_be_bytes().to_vec()).to_vec();
    let texts = [&b"a"[..], b"", "Ünï".as_bytes()].map(<[u8]>::to_vec).to_vec();
    let broken = [&b"a"[..], b"\xFF", "ü".as_bytes(), b"\xC3"].map(<[u8]>::to_vec).to_vec();
    let cases = [
        (Type::INT8, "bigint", int8.clone()),
        (Type::INT4, "bigint", int4.clone()),
        (Type::INT2, "bigint", int2.clone()),
        (Type::INT8, "decimal(38,20)", int8),
        (Type::INT4, "decimal(18,4)", int4),
        (Type::INT2, "decimal(18,4)", int2),
        (Type::NUMERIC, "decimal(18,4)", numerics.clone()),
        (Type::NUMERIC, "decimal(18,0)", numerics.clone()),
        (Type::NUMERIC, "decimal(38,18)", numerics),
        (Type::FLOAT8, "decimal(18,4)", doubles.clone()),
        (Type::FLOAT8, "decimal(38,0)", doubles.clone()),
        (Type::FLOAT8, "decimal(38,18)", doubles),
        (Type::FLOAT4, "decimal(18,4)", narrow.clone()),
        (Type::FLOAT4, "decimal(38,12)", narrow),
        (Type::TIMESTAMP, "timestamp", times),
        (Type::DATE, "date", days),
        (Type::BOOL, "boolean", vec![vec![0], vec![1]]),
        (Type::TEXT, "text", texts),
        (Type::TEXT, "text", broken),
    ];
    for (source, contract, values) in cases {
        let field = field(source.clone(), contract);
        let with_null: Vec<Option<Vec<u8>>> = values.into_iter().map(Some).chain([None]).collect();
        let columns = decoded(&field, &with_null);
        for (row, value) in with_null.iter().enumerate() {
            let alone = value.as_ref().map_or(Decoded::Fits(Cell::Null), |value| field.wire.decode(value).unwrap());
            match (cell(&columns, row), alone) {
                (Some(found), Decoded::Fits(expected)) => {
                    assert_eq!(found, expected, "{source} as {contract}: {value:?}")
                }
                (None, Decoded::Invalid { .. }) => {}
                (found, expected) => panic!("{source} as {contract}: {value:?} is {found:?}, not {expected:?}"),
            }
        }
    }
}

#[test]
fn bytes_that_are_no_rows_are_refused() {
    let good = rows(&[Some(vec![0; 8]), None]);
    assert!(Batch::new(&good, 2, 1, 0, None).is_ok());
    let longer_than_its_message = message(&[0, 1, 0x7F, 0xFF, 0xFF, 0xFF]);
    let shorter_than_its_message = message(&[0, 1, 0, 0, 0, 1, 1, 1]);
    for (bytes, messages, width) in [
        (&good[..good.len() - 1], 2, 1),
        (&good[..], 1, 1),
        (&good[..], 2, 2),
        (&good[..], 3, 1),
        (&longer_than_its_message, 1, 1),
        (&shorter_than_its_message, 1, 1),
        (&message(&[0, 1, 0, 0, 0, 5, 1]), 1, 1),
        (&message(&[0]), 1, 1),
        (&[b'd', 0, 0, 0, 3], 1, 1),
    ] {
        assert!(Batch::new(bytes, messages, width, 0, None).is_err(), "{bytes:?}");
    }
}

/// The stream's header lies before the first row or alone, perhaps with an extension; the trailer is no row.
#[test]
fn header_and_trailer_are_no_rows() {
    let extended = [SIGNATURE, &[0; 4], &3_u32.to_be_bytes(), b"new"].concat();
    let row = [&[0, 1][..], &8_i32.to_be_bytes(), &7_i64.to_be_bytes()].concat();
    let field = field(Type::INT8, "bigint");
    for header in [[SIGNATURE, &[0; 8]].concat(), extended] {
        let alone = [message(&header), message(&row), message(&TRAILER)].concat();
        let with_a_row = [message(&[&header[..], &row].concat()), message(&TRAILER)].concat();
        for (bytes, messages) in [(alone, 3), (with_a_row, 2)] {
            let batch = Batch::new(&bytes, messages, 1, header_bytes(&bytes).unwrap(), None).unwrap();
            let columns = batch.decode(std::slice::from_ref(&field)).unwrap();
            assert_eq!((batch.rows(), cell(&columns, 0)), (1, Some(Cell::Bigint(7))));
        }
        for bytes in [message(&header[1..]), message(&header[..header.len() - 1]), header.clone(), Vec::new()] {
            assert!(header_bytes(&bytes).is_err(), "{bytes:?}");
        }
    }
}

#[test]
fn a_value_of_a_wrong_length_is_an_error_that_names_the_column() {
    let field = field(Type::INT8, "bigint");
    let bytes = rows(&[Some(vec![1, 2, 3])]);
    let batch = Batch::new(&bytes, 1, 1, 0, None).unwrap();
    assert_eq!(batch.decode(std::slice::from_ref(&field)).unwrap().marked, [0]);
    let error = batch.row(0, std::slice::from_ref(&field)).unwrap_err();
    assert!(error.to_string().contains("column"), "{error}");
}
