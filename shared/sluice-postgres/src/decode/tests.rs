use chrono::DateTime;

use super::*;

/// A numeric as PostgreSQL sends it.
fn wire(digits: &[u16], weight: i16, sign: u16, decimals: u16) -> Vec<u8> {
    let header = [digits.len() as u16, weight as u16, sign, decimals];
    header.iter().chain(digits).flat_map(|number| number.to_be_bytes()).collect()
}

fn rejected<'a>(original: &str, rule: &'static str) -> Decoded<'a> {
    Invalid { original: original.into(), rule }
}

#[test]
fn a_numeric_is_exact_or_kept() {
    let most = [99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999];
    let cases = [
        (wire(&[], 0, 0, 0), 4, Fits(Cell::Decimal(0))),
        (wire(&[12, 9900], 0, 0, 2), 4, Fits(Cell::Decimal(129_900))),
        (wire(&[12, 9900], 0, 0x4000, 2), 2, Fits(Cell::Decimal(-1_299))),
        (wire(&[1], 2, 0, 0), 0, Fits(Cell::Decimal(100_000_000))),
        (wire(&[1], 1, 0, 0), 3, Fits(Cell::Decimal(10_000_000))),
        (wire(&[1, 0, 5], 1, 0, 4), 4, Fits(Cell::Decimal(100_000_005))),
        (wire(&[5], -1, 0, 4), 4, Fits(Cell::Decimal(5))),
        (wire(&[5], -2, 0, 8), 10, Fits(Cell::Decimal(500))),
        (wire(&[1, 1200], 0, 0, 6), 2, Fits(Cell::Decimal(112))),
        (wire(&most, 9, 0, 0), 0, Fits(Cell::Decimal(10_i128.pow(38) - 1))),
        (wire(&[1, 1230], 0, 0, 3), 2, rejected("1.123", TooManyDecimals.rule())),
        (wire(&[5], -2, 0x4000, 8), 4, rejected("-0.00000005", TooManyDecimals.rule())),
        (wire(&most, 9, 0, 0), 1, rejected(&"9".repeat(38), TooLarge.rule())),
        (wire(&[1], 30, 0, 0), 0, rejected(&format!("1{}", "0".repeat(120)), TooLarge.rule())),
        (wire(&[], 0, 0xC000, 0), 4, rejected("NaN", NOT_FINITE_RULE)),
        (wire(&[], 0, 0xD000, 0), 4, rejected("Infinity", NOT_FINITE_RULE)),
        (wire(&[], 0, 0xF000, 0), 4, rejected("-Infinity", NOT_FINITE_RULE)),
    ];
    for (bytes, scale, expected) in cases {
        assert_eq!(Wire::Numeric(scale).decode(&bytes).unwrap(), expected, "{bytes:?} at scale {scale}");
    }
}

#[test]
fn a_float_is_its_shortest_text() {
    let cases = [
        (12.99, 4, Fits(Cell::Decimal(129_900))),
        (10.005, 4, Fits(Cell::Decimal(100_050))),
        (10.005, 2, rejected("10.005", TooManyDecimals.rule())),
        (0.1 + 0.2, 4, rejected("0.30000000000000004", TooManyDecimals.rule())),
        (-1e-300, 10, rejected(&(-1e-300_f64).to_string(), TooManyDecimals.rule())),
        (-1e-7, 10, Fits(Cell::Decimal(-1_000))),
        (1e20, 0, Fits(Cell::Decimal(10_i128.pow(20)))),
        (f64::NAN, 4, rejected("NaN", NOT_FINITE_RULE)),
        (f64::NEG_INFINITY, 4, rejected("-inf", NOT_FINITE_RULE)),
    ];
    for (value, scale, expected) in cases {
        assert_eq!(Wire::Float8(scale).decode(&f64::to_be_bytes(value)).unwrap(), expected, "{value}");
    }
    assert_eq!(Wire::Float4(4).decode(&12.99_f32.to_be_bytes()).unwrap(), Fits(Cell::Decimal(129_900)));
    assert!(
        matches!(Wire::Float8(4).decode(&1e300_f64.to_be_bytes()).unwrap(), Invalid { rule, .. } if rule == TooLarge.rule())
    );
}

#[test]
fn an_integer_takes_its_columns_scale() {
    assert_eq!(integer_decimal(-3, 2), Fits(Cell::Decimal(-300)));
    assert_eq!(integer_decimal(i64::MAX, 38), rejected("9223372036854775807", TooLarge.rule()));
}

#[test]
fn times_outside_of_the_calendar_are_kept_and_not_loaded() {
    let micros = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros() - EPOCH_MICROS;
    let cases = [
        (0, Fits(Cell::Timestamp(EPOCH_MICROS))),
        (micros("0001-01-01T00:00:00Z"), Fits(Cell::Timestamp(-62_135_596_800_000_000))),
        (micros("9999-12-31T23:59:59.999999Z"), Fits(Cell::Timestamp(253_402_300_799_999_999))),
        (micros("9999-12-31T23:59:59.999999Z") + 1, rejected("10000-01-01 00:00:00", CALENDAR_RULE)),
        (micros("0001-01-01T00:00:00Z") - 1, rejected("0001-12-31 23:59:59.999999 BC", CALENDAR_RULE)),
        (i64::MAX, rejected("infinity", INFINITY_RULE)),
        (i64::MIN, rejected("-infinity", INFINITY_RULE)),
        (i64::MIN + 1, rejected("290279-12-22 19:59:05.224193 BC", CALENDAR_RULE)),
        (i64::MAX - 1, rejected("294277-01-09 04:00:54.775806", CALENDAR_RULE)),
    ];
    for (value, expected) in cases {
        assert_eq!(Wire::Timestamp.decode(&value.to_be_bytes()).unwrap(), expected, "{value}");
    }
}

#[test]
fn days_outside_of_the_calendar_are_kept_and_not_loaded() {
    let cases = [
        (0, Fits(Cell::Date(10_957))),
        (LAST_DAY - EPOCH_DAYS, Fits(Cell::Date(LAST_DAY))),
        (LAST_DAY - EPOCH_DAYS + 1, rejected("10000-01-01", CALENDAR_RULE)),
        (FIRST_DAY - EPOCH_DAYS - 1, rejected("0001-12-31 BC", CALENDAR_RULE)),
        (i32::MAX, rejected("infinity", INFINITY_RULE)),
        (i32::MIN, rejected("-infinity", INFINITY_RULE)),
        (i32::MAX - 1, rejected("5881610-07-10", CALENDAR_RULE)),
        (i32::MIN + 1, rejected("5877612-06-23 BC", CALENDAR_RULE)),
    ];
    for (value, expected) in cases {
        assert_eq!(Wire::Date.decode(&value.to_be_bytes()).unwrap(), expected, "{value}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_kept_in_hexadecimal() {
    assert_eq!(Wire::Text.decode("Ünï".as_bytes()).unwrap(), Fits(Cell::Text("Ünï")));
    assert_eq!(Wire::Text.decode(&[0x61, 0xff]).unwrap(), rejected("\\x61ff", "is not UTF-8"));
}

#[test]
fn bytes_of_another_form_stop_the_read() {
    let cases: [(Wire, &[u8]); 9] = [
        (Wire::Int2, &[0]),
        (Wire::Int4, &[0; 8]),
        (Wire::Int8, &[]),
        (Wire::Boolean, &[2]),
        (Wire::Date, &[0; 3]),
        (Wire::Timestamp, &[0; 4]),
        (Wire::Float8(2), &[0; 4]),
        (Wire::Numeric(2), &[0; 7]),
        (Wire::Numeric(2), &[0, 1, 0, 0, 0, 0, 0, 0]),
    ];
    for (wire, bytes) in cases {
        assert!(wire.decode(bytes).is_err(), "{wire:?} of {bytes:?}");
    }
    assert!(Wire::Numeric(2).decode(&wire(&[10_000], 0, 0, 0)).is_err());
    assert!(Wire::Numeric(2).decode(&wire(&[1], 0, 0x1234, 0)).is_err());
}

/// The number of a text without an exponent, as PostgreSQL sends it: groups of four digits, none of them zero at either end.
fn numeric_of(text: &str) -> Vec<u8> {
    let (sign, digits) = text.strip_prefix('-').map_or((0, text), |digits| (0x4000, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = "0".repeat((4 - whole.len() % 4) % 4) + whole;
    let padded = fraction.to_owned() + &"0".repeat((4 - fraction.len() % 4) % 4);
    let groups: Vec<u16> = (whole.clone() + &padded)
        .as_bytes()
        .chunks(4)
        .map(|group| std::str::from_utf8(group).expect("digits").parse().expect("a group"))
        .collect();
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    let used = groups.iter().rposition(|group| *group != 0).map_or(zeros, |last| last + 1);
    let weight = (whole.len() / 4) as i16 - 1 - zeros as i16;
    wire(&groups[zeros..used], weight, sign, fraction.len() as u16)
}

#[test]
fn a_numeric_and_a_number_in_json_are_the_same_value_or_none() {
    let mut seed = 7_u64;
    let mut pick = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut exact = 0;
    for _ in 0..50_000 {
        let mut digits =
            |most: u64| -> String { (0..pick(most)).map(|_| char::from(b'0' + (pick(10) * pick(2)) as u8)).collect() };
        let (whole, fraction) = (digits(30), digits(25));
        let sign = ["", "-"][pick(2) as usize];
        let text = format!("{sign}{}{whole}.{fraction}", pick(10));
        let scale = pick(20) as i8;
        let number = number::decimal(&text, scale).ok().map(Cell::Decimal);
        let bytes = numeric_of(&text);
        let numeric = match Wire::Numeric(scale).decode(&bytes).expect("a numeric") {
            Fits(cell) => Some(cell),
            Invalid { .. } => None,
        };
        assert_eq!(numeric, number, "{text} at scale {scale}");
        exact += usize::from(number.is_some());
        if let Some(short) = short_numeric(&bytes, scale) {
            assert_eq!(Some(Cell::Decimal(short.into())), number, "{text} at scale {scale}");
        }
    }
    assert!(exact > 5_000, "only {exact} numbers were exact: the test compares too little");
}
