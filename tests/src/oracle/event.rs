//! One purchase record, read as the documented format demands.

use std::fmt;

use chrono::{DateTime, Datelike};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::generate::Reason;

/// A purchase that keeps the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub event_id: String,
    pub customer_email: String,
    pub product_id: i64,
    pub quantity: i64,
    /// Microseconds since 1970 UTC.
    pub purchase_ts: i64,
}

/// Why a record is not a purchase, and which field says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub field: &'static str,
    pub reason: Reason,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.reason {
            Reason::NotJson => "is not JSON",
            Reason::MissingField => "is missing",
            Reason::WrongType => "has the wrong type",
            Reason::OutOfRange => "is outside of its range",
            Reason::StandsTwice => "stands twice",
            Reason::BadTimestamp => "is not an RFC 3339 time with an offset",
        };
        write!(f, "{} {problem}", self.field)
    }
}

/// The most of one thing that a purchase may have.
const MOST_OF_ONE: i64 = 100_000;

/// A record's known fields, each as it is written. A known field that stands twice is an error of the derived code.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    schema_version: Option<&'a RawValue>,
    event_id: Option<&'a RawValue>,
    customer_email: Option<&'a RawValue>,
    product_id: Option<&'a RawValue>,
    quantity: Option<&'a RawValue>,
    purchase_ts: Option<&'a RawValue>,
}

/// A number without a fraction, as JSON Schema has it: 7.0 and 70e-1 are one. By its digits, since a float would round it.
fn whole(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{before}{after}");
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let exponent: i64 = exponent.parse().ok()?;
    let point = i64::try_from(before.len()).ok()?.checked_add(exponent)?;
    let zeros = point.checked_sub(i64::try_from(significant.len()).ok()?)?;
    // No whole number of 64 bits ends in more zeros.
    let zeros = usize::try_from(zeros).ok().filter(|zeros| *zeros < 19)?;
    format!("{sign}{significant}{}", "0".repeat(zeros)).parse().ok()
}

/// Reads a record's value, or says why it is not a purchase. Fields that the format does not know are ignored.
pub fn parse(value: &[u8]) -> Result<Event, Refusal> {
    let refuse = |field, reason| Refusal { field, reason };
    let record: &RawValue = serde_json::from_slice(value).map_err(|_| refuse("the record", Reason::NotJson))?;
    if !record.get().starts_with('{') {
        return Err(refuse("the record", Reason::WrongType));
    }
    let fields: Fields<'_> = serde_json::from_str(record.get()).map_err(|_| refuse("a field", Reason::StandsTwice))?;
    let present = |name, field: Option<&RawValue>| match field.map(RawValue::get) {
        None | Some("null") => Err(refuse(name, Reason::MissingField)),
        Some(text) => Ok(text.to_owned()),
    };
    let text = |name, field| {
        serde_json::from_str::<String>(&present(name, field)?).map_err(|_| refuse(name, Reason::WrongType))
    };
    let integer = |name, field| whole(&present(name, field)?).ok_or(refuse(name, Reason::WrongType));
    let from_one_to = |name, field, most| match integer(name, field)? {
        number if (1..=most).contains(&number) => Ok(number),
        _ => Err(refuse(name, Reason::OutOfRange)),
    };
    let moment = |name, field| {
        let text = text(name, field)?;
        // RFC 3339 is ASCII; the parser here takes another minus too.
        let time = DateTime::parse_from_rfc3339(&text).ok().filter(|_| text.is_ascii());
        let time = time.ok_or(refuse(name, Reason::BadTimestamp))?;
        match time.to_utc().year() {
            1..=9999 => Ok(time.timestamp_micros()),
            _ => Err(refuse(name, Reason::OutOfRange)),
        }
    };
    from_one_to("schema_version", fields.schema_version, i64::MAX)?;
    Ok(Event {
        event_id: text("event_id", fields.event_id)?,
        customer_email: text("customer_email", fields.customer_email)?,
        product_id: integer("product_id", fields.product_id)?,
        quantity: from_one_to("quantity", fields.quantity, MOST_OF_ONE)?,
        purchase_ts: moment("purchase_ts", fields.purchase_ts)?,
    })
}
