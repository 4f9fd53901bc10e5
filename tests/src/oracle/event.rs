//! One purchase record, read as the documented format demands.

use std::fmt;

use chrono::DateTime;
use serde_json::Value;

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
            Reason::BadTimestamp => "is not an RFC 3339 time with an offset",
        };
        write!(f, "{} {problem}", self.field)
    }
}

/// The most of one thing that a purchase may have.
const MOST_OF_ONE: i64 = 100_000;

/// A number without a fraction, as JSON Schema has it: 7.0 is one.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 2_f64.powi(53))?;
        Some(number as i64)
    })
}

/// Reads a record's value, or says why it is not a purchase. Fields that the format does not know are ignored.
pub fn parse(value: &[u8]) -> Result<Event, Refusal> {
    let refuse = |field, reason| Refusal { field, reason };
    let value: Value = serde_json::from_slice(value).map_err(|_| refuse("the record", Reason::NotJson))?;
    if !value.is_object() {
        return Err(refuse("the record", Reason::WrongType));
    }
    let field = |name| match value.get(name) {
        None | Some(Value::Null) => Err(refuse(name, Reason::MissingField)),
        Some(present) => Ok(present),
    };
    let text = |name| field(name)?.as_str().ok_or(refuse(name, Reason::WrongType));
    let integer = |name| whole(field(name)?).ok_or(refuse(name, Reason::WrongType));
    let from_one_to = |name, most| match integer(name)? {
        number if (1..=most).contains(&number) => Ok(number),
        _ => Err(refuse(name, Reason::OutOfRange)),
    };
    let moment = |name| {
        let time = DateTime::parse_from_rfc3339(text(name)?).map_err(|_| refuse(name, Reason::BadTimestamp))?;
        Ok(time.timestamp_micros())
    };
    from_one_to("schema_version", i64::MAX)?;
    Ok(Event {
        event_id: text("event_id")?.to_owned(),
        customer_email: text("customer_email")?.to_owned(),
        product_id: integer("product_id")?,
        quantity: from_one_to("quantity", MOST_OF_ONE)?,
        purchase_ts: moment("purchase_ts")?,
    })
}
