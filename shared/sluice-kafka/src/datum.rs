//! Avro's binary form, read straight into JSON.
//!
//! By its schema's [`Layout`] a record is walked byte by byte: scalars become JSON, everything else is stepped over, and no
//! tree of values stands in between. So a record takes no more memory than its bytes, whatever lengths it declares, and no
//! more time than they do: a list of items that take no bytes is stepped over at once.

use std::fmt::Write;

use apache_avro::Schema;
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta};

use crate::layout::{self, Layout, Shape, Unit, quoted};

/// A record whose lists and maps say that they hold more, all together, is bad.
const MOST_ITEMS: usize = 1_000_000;
/// No column holds a decimal of more bytes.
const MOST_DECIMAL_BYTES: usize = 64;

const ENDS_EARLY: &str = "the value ends before its Avro schema does";
const NOT_OF_ITS_SCHEMA: &str = "the value is not Avro of its schema";

impl Layout {
    /// The names of the fields, and what writes their JSON one after the other.
    pub(crate) fn read<'a>(&'a self, data: &'a [u8]) -> (impl Iterator<Item = (&'a str, Field<'a>)>, Datum<'a>) {
        let fields = self.fields.iter().map(|(name, shape)| (name.as_str(), Field(shape)));
        (fields, Datum { rest: data, named: &self.named, items: 0 })
    }
}

/// The JSON of a single value, if it is Avro of its schema.
pub(crate) fn json_of(schema: &Schema, data: &[u8]) -> Result<String, String> {
    let (shape, named) = layout::of_value(schema)?;
    let mut json = String::new();
    Datum { rest: data, named: &named, items: 0 }.write(Field(&shape), &mut json)?;
    Ok(json)
}

/// A field whose value comes next.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a>(&'a Shape);

/// What is left of a record's data.
pub(crate) struct Datum<'a> {
    rest: &'a [u8],
    named: &'a [Shape],
    /// Of lists and maps, so far.
    items: usize,
}

impl<'a> Datum<'a> {
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Appends the JSON of a scalar; of anything else an empty list, which no column takes. The error is the reason why
    /// the record is bad, without its values.
    pub(crate) fn write(&mut self, Field(shape): Field<'_>, json: &mut String) -> Result<(), String> {
        let mut text = |text: Option<String>| match text {
            Some(text) => json.push_str(&text),
            None => json.push_str("[]"),
        };
        match shape {
            Shape::Null => text(Some("null".to_owned())),
            Shape::Boolean => text(Some(self.boolean()?.to_string())),
            Shape::Int => text(Some(self.int()?.to_string())),
            Shape::Long => text(Some(self.long()?.to_string())),
            Shape::Float => {
                let value = f32::from_le_bytes(self.array()?);
                text(Some(if value.is_finite() { format!("{value:?}") } else { quoted("NaN") }));
            }
            Shape::Double => {
                let value = f64::from_le_bytes(self.array()?);
                text(Some(if value.is_finite() { format!("{value:?}") } else { quoted("NaN") }));
            }
            Shape::Text => text(Some(quoted(utf8(self.bytes()?)?))),
            Shape::Uuid => text(Some(quoted(&uuid(self.bytes()?)?))),
            Shape::Date => text(date(self.int()?)),
            Shape::Time(units) => text(time(self.long()?, *units)),
            Shape::Timestamp { unit, zoned } => text(timestamp(self.long()?, *unit, *zoned)),
            Shape::Enum(symbols) => text(Some(self.choice(symbols)?.clone())),
            Shape::Decimal { size, scale } => {
                let bytes = match size {
                    Some(size) => self.take(*size)?,
                    None => self.bytes()?,
                };
                text(decimal(bytes, *scale as i128));
            }
            Shape::BigDecimal => {
                let mut inner = Datum { rest: self.bytes()?, named: &[], items: 0 };
                let (bytes, scale) = (inner.bytes()?, inner.long()?);
                text(decimal(bytes, i128::from(scale)));
            }
            Shape::Union(variants) => {
                let variant = self.choice(variants)?;
                return self.write(Field(variant), json);
            }
            Shape::Named(place) => {
                let named = self.named;
                return self.write(Field(&named[*place]), json);
            }
            Shape::Bytes | Shape::Fixed(_) | Shape::Items { .. } | Shape::Record(_) => {
                self.skip(shape)?;
                text(None);
            }
        }
        Ok(())
    }

    fn skip(&mut self, shape: &Shape) -> Result<(), String> {
        match shape {
            Shape::Null => Ok(()),
            Shape::Boolean => self.boolean().map(drop),
            Shape::Int | Shape::Long | Shape::Date | Shape::Time(_) | Shape::Timestamp { .. } => self.long().map(drop),
            Shape::Float => self.take(4).map(drop),
            Shape::Double => self.take(8).map(drop),
            Shape::Fixed(size) | Shape::Decimal { size: Some(size), .. } => self.take(*size).map(drop),
            Shape::Text | Shape::Uuid | Shape::Bytes | Shape::BigDecimal | Shape::Decimal { size: None, .. } => {
                self.bytes().map(drop)
            }
            Shape::Enum(symbols) => self.choice(symbols).map(drop),
            Shape::Items { item, keyed, least } => self.skip_items(item, *keyed, *least),
            Shape::Union(variants) => {
                let variant = self.choice(variants)?;
                self.skip(variant)
            }
            Shape::Record(fields) => fields.iter().try_for_each(|field| self.skip(field)),
            Shape::Named(place) => {
                let named = self.named;
                self.skip(&named[*place])
            }
        }
    }

    /// Blocks of items: their number, and where it is negative also their bytes; none ends the list.
    fn skip_items(&mut self, item: &Shape, keyed: bool, least: usize) -> Result<(), String> {
        loop {
            let count = match self.long()? {
                0 => return Ok(()),
                count if count < 0 => self.long().map(|_| count.unsigned_abs())?,
                count => count.unsigned_abs(),
            };
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            self.items = self.items.saturating_add(count);
            if self.items > MOST_ITEMS {
                return Err(format!("its lists and maps hold more than {MOST_ITEMS} items"));
            }
            if count.saturating_mul(least) > self.rest.len() {
                return Err(ENDS_EARLY.to_owned());
            }
            if least == 0 {
                continue;
            }
            for _ in 0..count {
                if keyed {
                    self.bytes()?;
                }
                self.skip(item)?;
            }
        }
    }

    fn choice<'s, T>(&mut self, options: &'s [T]) -> Result<&'s T, String> {
        let index = usize::try_from(self.long()?).ok();
        index.and_then(|index| options.get(index)).ok_or_else(|| NOT_OF_ITS_SCHEMA.to_owned())
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(NOT_OF_ITS_SCHEMA.to_owned()),
        }
    }

    fn int(&mut self) -> Result<i32, String> {
        i32::try_from(self.long()?).map_err(|_| NOT_OF_ITS_SCHEMA.to_owned())
    }

    /// Seven bits a byte, the lowest first; the lowest of all is the sign.
    fn long(&mut self) -> Result<i64, String> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            bits |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
            }
        }
        Err(NOT_OF_ITS_SCHEMA.to_owned())
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = usize::try_from(self.long()?).map_err(|_| NOT_OF_ITS_SCHEMA.to_owned())?;
        self.take(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| NOT_OF_ITS_SCHEMA.to_owned())
}

/// As text, or its sixteen bytes.
fn uuid(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() != 16 {
        return utf8(bytes).map(str::to_owned);
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

fn date(days: i32) -> Option<String> {
    let date = NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(days)))?;
    Some(quoted(&date.to_string()))
}

fn time(value: i64, units: i64) -> Option<String> {
    let seconds = u32::try_from(value.div_euclid(units)).ok()?;
    let nanos = u32::try_from(value.rem_euclid(units) * (1_000_000_000 / units)).ok()?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos)?;
    Some(quoted(&time.format("%H:%M:%S%.f").to_string()))
}

/// Without a zone it is no point in time, and the contract says so.
fn timestamp(value: i64, unit: Unit, zoned: bool) -> Option<String> {
    let at = match unit {
        Unit::Millis => DateTime::from_timestamp_millis(value)?,
        Unit::Micros => DateTime::from_timestamp_micros(value)?,
        Unit::Nanos => DateTime::from_timestamp_nanos(value),
    };
    let text = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    Some(quoted(if zoned { &text } else { text.trim_end_matches('Z') }))
}

/// Every digit of the value: an integer, or text with an exponent.
fn decimal(bytes: &[u8], scale: i128) -> Option<String> {
    let fill = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let significant = bytes.iter().position(|byte| *byte != fill).unwrap_or(bytes.len());
    // One byte more, so that the sign stays.
    let bytes = &bytes[significant.saturating_sub(1)..];
    if bytes.len() > MOST_DECIMAL_BYTES {
        return None;
    }
    let digits = digits(bytes, fill);
    Some(if scale == 0 { digits } else { format!("\"{digits}E{}\"", -scale) })
}

/// The decimal digits of an integer in two's complement, its highest byte first.
fn digits(bytes: &[u8], fill: u8) -> String {
    const LIMB: u64 = 1_000_000_000_000_000_000;

    // The lowest first. A negative number is one more than its complement, and then has its sign.
    let mut limbs = vec![0_u64];
    let mut multiply_add = |factor: u64, addend: u8| {
        let mut carry = u128::from(addend);
        for limb in &mut limbs {
            let value = u128::from(*limb) * u128::from(factor) + carry;
            *limb = (value % u128::from(LIMB)) as u64;
            carry = value / u128::from(LIMB);
        }
        if carry > 0 {
            limbs.push(carry as u64);
        }
    };
    bytes.iter().for_each(|byte| multiply_add(256, byte ^ fill));
    multiply_add(1, fill & 1);
    let mut text = String::from(if fill == 0 { "" } else { "-" });
    let mut limbs = limbs.iter().rev();
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", limbs.next().copied().unwrap_or_default());
    for limb in limbs {
        let _ = write!(text, "{limb:018}");
    }
    text
}

#[cfg(test)]
mod tests;
