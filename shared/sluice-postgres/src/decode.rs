//! One value of binary `COPY`: bytes to a cell.
//!
//! Three endings: the value fits its column; it is a value of PostgreSQL that no contract type can hold, such as
//! `infinity` or `NaN`, so its row is rejected and kept; or the bytes are not a value at all, and the read stops.

use sluice_core::{
    Cell, Error, Result,
    contract::{CALENDAR_RULE, FIRST_DAY, FIRST_MICROS, LAST_DAY, LAST_MICROS},
    number::{
        self,
        Invalid::{TooLarge, TooManyDecimals},
    },
};

use crate::type_map::{Integer, Wire};

/// 2000-01-01, from which PostgreSQL counts, since 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY_MICROS;
const DAY_MICROS: i64 = 86_400_000_000;

const NOT_FINITE_RULE: &str = "is not a finite number";
const INFINITY_RULE: &str = "is infinite";

/// A value that is read, or one that cannot be held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decoded<'a> {
    Fits(Cell<'a>),
    Invalid { original: String, rule: &'static str },
}

use Decoded::{Fits, Invalid};

impl Wire {
    /// Reads a value that is not NULL.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<Decoded<'_>> {
        Ok(match self {
            Wire::Int2 => Fits(Cell::Bigint(i16::from_be_bytes(array(bytes)?).into())),
            Wire::Int4 => Fits(Cell::Bigint(i32::from_be_bytes(array(bytes)?).into())),
            Wire::Int8 => Fits(Cell::Bigint(i64::from_be_bytes(array(bytes)?))),
            Wire::IntegerDecimal(integer, scale) => integer_decimal(integer.decode(bytes)?, scale),
            Wire::Numeric(scale) => numeric(bytes, scale)?,
            Wire::Float4(scale) => {
                let value = f32::from_be_bytes(array(bytes)?);
                float(value.to_string(), value.is_finite(), scale)
            }
            Wire::Float8(scale) => {
                let value = f64::from_be_bytes(array(bytes)?);
                float(value.to_string(), value.is_finite(), scale)
            }
            Wire::Text => text(bytes),
            Wire::Timestamp => timestamp(i64::from_be_bytes(array(bytes)?)),
            Wire::Date => date(i32::from_be_bytes(array(bytes)?)),
            Wire::Boolean => match bytes {
                [0] => Fits(Cell::Boolean(false)),
                [1] => Fits(Cell::Boolean(true)),
                _ => return Err(malformed()),
            },
        })
    }
}

impl Integer {
    fn decode(self, bytes: &[u8]) -> Result<i64> {
        Ok(match self {
            Integer::Two => i16::from_be_bytes(array(bytes)?).into(),
            Integer::Four => i32::from_be_bytes(array(bytes)?).into(),
            Integer::Eight => i64::from_be_bytes(array(bytes)?),
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed())
}

fn malformed() -> Error {
    Error::internal("a value of binary COPY does not have its type's form")
}

fn invalid<'a>(original: impl ToString, rule: &'static str) -> Decoded<'a> {
    Invalid { original: original.to_string(), rule }
}

/// So much of a text that is not UTF-8 is kept.
const KEPT_BYTES: usize = 1024 * 1024;

/// Only a server that does not check its encoding (SQL_ASCII) sends such bytes; they are kept in hexadecimal.
fn text(bytes: &[u8]) -> Decoded<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Fits(Cell::Text(text)),
        Err(_) => Invalid { original: hexadecimal(bytes), rule: "is not UTF-8" },
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let kept = &bytes[..bytes.len().min(KEPT_BYTES)];
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    let mut text = String::with_capacity(2 + 2 * kept.len());
    text.push_str("\\x");
    text.extend(kept.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    if kept.len() < bytes.len() {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

fn integer_decimal<'a>(value: i64, scale: i8) -> Decoded<'a> {
    match i128::from(value).checked_mul(10_i128.pow(scale.unsigned_abs().into())) {
        Some(unscaled) => Fits(Cell::Decimal(unscaled)),
        None => invalid(value, TooLarge.rule()),
    }
}

/// `shortest` is the shortest text that is exactly this float. It is judged as any number is: 12.99 is 12.99, though the
/// float is not, and 0.1 + 0.2 has seventeen decimals.
fn float<'a>(shortest: String, is_finite: bool, scale: i8) -> Decoded<'a> {
    if !is_finite {
        return Invalid { original: shortest, rule: NOT_FINITE_RULE };
    }
    match number::decimal(&shortest, scale) {
        Ok(unscaled) => Fits(Cell::Decimal(unscaled)),
        Err(reason) => Invalid { original: shortest, rule: reason.rule() },
    }
}

/// Since 1970, if it is a time that a column holds.
pub(crate) fn timestamp_micros(since_2000: i64) -> Option<i64> {
    since_2000.checked_add(EPOCH_MICROS).filter(|micros| (FIRST_MICROS..=LAST_MICROS).contains(micros))
}

/// Since 1970, if it is a day that a column holds.
pub(crate) fn date_days(since_2000: i32) -> Option<i32> {
    since_2000.checked_add(EPOCH_DAYS).filter(|days| (FIRST_DAY..=LAST_DAY).contains(days))
}

const POWERS: [i64; 16] = {
    let mut powers = [1; 16];
    let mut at = 1;
    while at < 16 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The float's value at the scale, where it is a number of at most fifteen digits with no more decimals than the scale.
/// Two numbers of up to fifteen digits are never the same float, so the one found here is also the shortest exact text.
pub(crate) fn plain_double(value: f64, scale: i8) -> Option<i64> {
    let power = *POWERS.get(usize::from(scale.unsigned_abs()))? as f64;
    let unscaled = (value * power).round();
    (unscaled.abs() < 1e15 && unscaled / power == value).then_some(unscaled as i64)
}

/// The same for the narrow float, which tells numbers of six digits apart.
pub(crate) fn plain_float(value: f32, scale: i8) -> Option<i64> {
    // The largest power of ten that is exact in this type.
    let power = *POWERS.get(usize::from(scale.unsigned_abs())).filter(|power| **power <= 10_000_000_000)? as f32;
    let unscaled = (value * power).round();
    (unscaled.abs() < 1e6 && unscaled / power == value).then_some(unscaled as i64)
}

/// A numeric of up to four groups of digits whose value at the scale fits 64 bits: nearly every one. `None` for the
/// others, and for those that are not exact at the scale.
pub(crate) fn short_numeric(bytes: &[u8], scale: i8) -> Option<i64> {
    let (header, digits) = bytes.split_first_chunk::<8>()?;
    let count = usize::from(u16::from_be_bytes([header[0], header[1]]));
    let weight = i32::from(i16::from_be_bytes([header[2], header[3]]));
    let negative = match [header[4], header[5]] {
        [0x00, 0x00] => false,
        [0x40, 0x00] => true,
        _ => return None,
    };
    if count > 4 || digits.len() != count * 2 {
        return None;
    }
    let mut value = 0_i64;
    let mut power = 4 * weight + i32::from(scale);
    for digit in digits.chunks_exact(2) {
        let digit = i64::from(u16::from_be_bytes([digit[0], digit[1]]));
        if digit > 9_999 {
            return None;
        }
        value += match power {
            0..=14 => digit * POWERS[power as usize],
            -3..=-1 => {
                let cut = POWERS[power.unsigned_abs() as usize];
                if digit % cut != 0 {
                    return None;
                }
                digit / cut
            }
            _ => return None,
        };
        power -= 4;
    }
    Some(if negative { -value } else { value })
}

fn timestamp<'a>(since_2000: i64) -> Decoded<'a> {
    match since_2000.checked_add(EPOCH_MICROS) {
        _ if since_2000 == i64::MAX => invalid("infinity", INFINITY_RULE),
        _ if since_2000 == i64::MIN => invalid("-infinity", INFINITY_RULE),
        Some(micros) if (FIRST_MICROS..=LAST_MICROS).contains(&micros) => Fits(Cell::Timestamp(micros)),
        _ => {
            let day = since_2000.div_euclid(DAY_MICROS) + i64::from(EPOCH_DAYS);
            invalid(far::timestamp(day, since_2000.rem_euclid(DAY_MICROS)), CALENDAR_RULE)
        }
    }
}

fn date<'a>(since_2000: i32) -> Decoded<'a> {
    match since_2000.checked_add(EPOCH_DAYS) {
        _ if since_2000 == i32::MAX => invalid("infinity", INFINITY_RULE),
        _ if since_2000 == i32::MIN => invalid("-infinity", INFINITY_RULE),
        Some(days) if (FIRST_DAY..=LAST_DAY).contains(&days) => Fits(Cell::Date(days)),
        _ => invalid(far::date(i64::from(since_2000) + i64::from(EPOCH_DAYS)), CALENDAR_RULE),
    }
}

/// PostgreSQL's numeric: a sign, and digits of base 10,000 whose first has the weight 10,000^weight. Nothing is
/// rounded: a value with more decimals than the column is not that column's value.
fn numeric<'a>(bytes: &[u8], scale: i8) -> Result<Decoded<'a>> {
    let Some((header, digits)) = bytes.split_first_chunk::<8>() else { return Err(malformed()) };
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (count, weight, sign, shown_decimals) = (field(0), field(2) as i16, field(4), field(6));
    if digits.len() != usize::from(count) * 2 {
        return Err(malformed());
    }
    let negative = match sign {
        0x0000 => false,
        0x4000 => true,
        0xC000 => return Ok(invalid("NaN", NOT_FINITE_RULE)),
        0xD000 => return Ok(invalid("Infinity", NOT_FINITE_RULE)),
        0xF000 => return Ok(invalid("-Infinity", NOT_FINITE_RULE)),
        _ => return Err(malformed()),
    };
    let digits = || digits.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    if digits().any(|digit| digit > 9_999) {
        return Err(malformed());
    }
    Ok(match unscaled(digits(), weight, scale) {
        Ok(value) => Fits(Cell::Decimal(if negative { -value } else { value })),
        Err(reason) => invalid(numeric_text(digits(), weight, negative, shown_decimals), reason.rule()),
    })
}

/// The digits' value times 10^scale.
fn unscaled(digits: impl Iterator<Item = u16>, weight: i16, scale: i8) -> std::result::Result<i128, number::Invalid> {
    let mut value: i128 = 0;
    // The power of ten of the digit at hand, once scaled.
    let mut power = 4 * i32::from(weight) + i32::from(scale);
    let mut trailing = 0_u32;
    for digit in digits {
        let (digit, step) = (i128::from(digit), power.clamp(-4, 0).unsigned_abs());
        // Below the column's last decimal: the part of this digit that lies there must be zero.
        let cut = 10_i128.pow(step);
        if digit % cut != 0 {
            return Err(TooManyDecimals);
        }
        let shift = 10_i128.pow(4 - step);
        value = value.checked_mul(shift).and_then(|v| v.checked_add(digit / cut)).ok_or(TooLarge)?;
        trailing = power.max(0).unsigned_abs();
        power -= 4;
    }
    if value == 0 {
        return Ok(0);
    }
    let value = 10_i128.checked_pow(trailing).and_then(|shift| value.checked_mul(shift)).ok_or(TooLarge)?;
    if value < 10_i128.pow(38) { Ok(value) } else { Err(TooLarge) }
}

/// The number as PostgreSQL writes it, for the reject file.
fn numeric_text(digits: impl Iterator<Item = u16>, weight: i16, negative: bool, shown_decimals: u16) -> String {
    let mut whole = String::new();
    let mut fraction = String::new();
    // Groups of zeros between the point and the first digit.
    for _ in (i32::from(weight) + 1)..0 {
        fraction.push_str("0000");
    }
    let mut place = i32::from(weight);
    for digit in digits {
        let part = if place >= 0 { &mut whole } else { &mut fraction };
        part.push_str(&format!("{digit:04}"));
        place -= 1;
    }
    // And between the last digit and the point.
    for _ in 0..=place {
        whole.push_str("0000");
    }
    let whole = whole.trim_start_matches('0');
    let decimals = usize::from(shown_decimals);
    let fraction = format!("{fraction:0<decimals$}");
    let sign = if negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &fraction[..decimals]) }
}

mod far;
#[cfg(test)]
mod tests;
