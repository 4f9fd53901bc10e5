use Invalid::{NotANumber, TooLarge, TooManyDecimals};

use super::*;

#[test]
fn decimals_are_read_exactly_from_text() {
    for (text, scale, expected) in [
        ("1", 2, Ok(100)),
        ("-12.34", 2, Ok(-1_234)),
        ("12.340000", 2, Ok(1_234)),
        ("0.0000355384", 10, Ok(355_384)),
        ("1.5e-3", 4, Ok(15)),
        ("1E2", 0, Ok(100)),
        ("120E-1", 0, Ok(12)),
        (".5", 1, Ok(5)),
        ("5.", 1, Ok(50)),
        ("+5", 0, Ok(5)),
        ("007", 0, Ok(7)),
        (" 5\t", 0, Ok(5)),
        ("0", 10, Ok(0)),
        ("-0.00", 1, Ok(0)),
        ("0e999999999999999999999", 2, Ok(0)),
        ("99999999999999999999999999999999999999", 0, Ok(10_i128.pow(38) - 1)),
        ("-9.9999999999999999999999999999999999999e37", 0, Ok(1 - 10_i128.pow(38))),
    ] {
        assert_eq!(decimal(text, scale), expected, "{text} at scale {scale}");
    }
}

#[test]
fn a_number_that_its_column_does_not_hold_exactly_is_none() {
    for (text, scale, expected) in [
        ("10.005", 2, TooManyDecimals),
        ("-0.001", 2, TooManyDecimals),
        ("1e-400", 2, TooManyDecimals),
        ("1e-99999999999999999999", 10, TooManyDecimals),
        ("0.30000000000000004", 10, TooManyDecimals),
        ("100000000000000000000000000000000000000", 0, TooLarge),
        ("1e37", 2, TooLarge),
        ("1e60", 2, TooLarge),
        ("1e999999999", 0, TooLarge),
        ("1e99999999999999999999", 0, TooLarge),
        ("", 2, NotANumber),
        (" ", 2, NotANumber),
        (".", 2, NotANumber),
        ("-", 2, NotANumber),
        ("--1", 2, NotANumber),
        ("1.2.3", 2, NotANumber),
        ("1e", 2, NotANumber),
        ("1e+", 2, NotANumber),
        ("1e1.5", 2, NotANumber),
        ("1 000", 2, NotANumber),
        ("1,5", 2, NotANumber),
        ("0x10", 2, NotANumber),
        ("NaN", 2, NotANumber),
        ("Infinity", 2, NotANumber),
        ("١", 2, NotANumber),
    ] {
        assert_eq!(decimal(text, scale), Err(expected), "{text} at scale {scale}");
    }
}

#[test]
fn whole_numbers_are_read_exactly_however_they_are_written() {
    for (text, expected) in [
        ("7842", Ok(7842)),
        ("7842.0", Ok(7842)),
        ("-7.00", Ok(-7)),
        ("1.2E7", Ok(12_000_000)),
        (" 5 ", Ok(5)),
        ("9007199254740993.0", Ok(9_007_199_254_740_993)),
        ("9223372036854775807.000", Ok(i64::MAX)),
        ("-9223372036854775808.0", Ok(i64::MIN)),
        ("9223372036854775808.0", Err(TooLarge)),
        ("70e-1", Ok(7)),
        ("1.5E+1", Ok(15)),
        ("1e18", Ok(1_000_000_000_000_000_000)),
        ("1e19", Err(TooLarge)),
        ("1e999999999", Err(TooLarge)),
        ("0e999", Ok(0)),
        ("-0.0", Ok(0)),
        ("7.5", Err(TooManyDecimals)),
        ("7.00000000000000000000001", Err(TooManyDecimals)),
        ("1e-1", Err(TooManyDecimals)),
        ("\"7\"", Err(NotANumber)),
        ("true", Err(NotANumber)),
        ("", Err(NotANumber)),
    ] {
        assert_eq!(integer(text), expected, "{text}");
    }
}

#[test]
fn only_a_rate_is_rounded_half_away_from_zero_and_once() {
    for (text, expected) in [
        ("0.79", Ok(7_900_000_000)),
        ("0.00000000005", Ok(1)),
        ("-0.00000000005", Ok(-1)),
        ("0.00000000004999999", Ok(0)),
        ("4e-11", Ok(0)),
        ("1e-400", Ok(0)),
        ("0.99999999995", Ok(10_000_000_000)),
        ("1234567.12345678905", Ok(12_345_671_234_567_891)),
        ("1e28", Err(TooLarge)),
        ("9999999999999999999999999999.99999999995", Err(TooLarge)),
        ("none", Err(NotANumber)),
    ] {
        assert_eq!(rounded(text, 10), expected, "{text}");
    }
}

#[test]
fn a_number_of_a_million_digits_takes_no_longer_than_its_text() {
    let zeros = "0".repeat(1_000_000);
    assert_eq!(decimal(&format!("{zeros}1.5{zeros}"), 1), Ok(15));
    assert_eq!(decimal(&format!("0.{zeros}1e1000001"), 0), Ok(1));
    assert_eq!(decimal(&format!("1{zeros}e-1000000"), 0), Ok(1));
    assert_eq!(decimal(&format!("1{zeros}"), 0), Err(TooLarge));
    assert_eq!(decimal(&format!("0.{zeros}1"), 10), Err(TooManyDecimals));
}

/// A number as a person would write it out: digits before and after the point, without end. Nothing but texts.
mod written_out {
    /// Moves the point of `whole.fraction` by `by` places to the right.
    pub(super) fn shift(whole: &str, fraction: &str, by: i64) -> (String, String) {
        let mut digits: Vec<u8> = [whole, fraction].concat().into_bytes();
        let mut point = whole.len() as i64 + by;
        while point < 0 {
            digits.insert(0, b'0');
            point += 1;
        }
        while point > digits.len() as i64 {
            digits.push(b'0');
        }
        let fraction = digits.split_off(point as usize);
        let text = |bytes| String::from_utf8(bytes).expect("digits");
        (text(digits).trim_start_matches('0').to_owned(), text(fraction).trim_end_matches('0').to_owned())
    }
}

fn pick(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

fn digits(seed: &mut u64, most: u64) -> String {
    let zero_in = pick(seed, 3) + 1;
    let count = pick(seed, most + 1);
    (0..count).map(|_| if pick(seed, zero_in) == 0 { '0' } else { char::from(b'0' + pick(seed, 10) as u8) }).collect()
}

#[test]
fn every_text_reads_as_the_number_written_out_in_full_says() {
    let mut exact = 0;
    for mut seed in 0..100_000 {
        let (whole, fraction) = (digits(&mut seed, 25), digits(&mut seed, 25));
        let exponent = pick(&mut seed, 61) as i64 - 30;
        let scale = pick(&mut seed, 39) as i8;
        let sign = ["", "-"][pick(&mut seed, 2) as usize];
        if whole.is_empty() && fraction.is_empty() {
            continue;
        }
        let text = match pick(&mut seed, 3) {
            0 if exponent >= 0 => format!("{sign}{whole}.{fraction}e+{exponent}"),
            _ => format!("{sign}{whole}.{fraction}E{exponent}"),
        };
        let (unscaled, rest) = written_out::shift(&whole, &fraction, exponent + i64::from(scale));
        let expected = match unscaled.len() {
            _ if !rest.is_empty() => Err(TooManyDecimals),
            0 => Ok(0),
            1..=38 => Ok(format!("{sign}{unscaled}").parse().expect("at most 38 digits")),
            _ => Err(TooLarge),
        };
        assert_eq!(decimal(&text, scale), expected, "{text} at scale {scale}");
        exact += usize::from(expected.is_ok());

        let up = i128::from(rest.as_bytes().first().is_some_and(|digit| *digit >= b'5'));
        let kept = if unscaled.is_empty() { Some(0) } else { unscaled.parse::<i128>().ok() };
        let nearest = kept.map(|kept| kept + up).filter(|kept| *kept < 10_i128.pow(38)).ok_or(TooLarge);
        let nearest = nearest.map(|value| if sign == "-" { -value } else { value });
        assert_eq!(rounded(&text, scale), nearest, "{text} rounded at scale {scale}");
    }
    assert!(exact > 10_000, "only {exact} numbers were exact: the test compares too little");
}
