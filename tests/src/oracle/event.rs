//! One purchase record, read as the documented format demands.

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

/// Reads a record's value, or says why it is not a purchase. Fields that the format does not know are ignored.
pub fn parse(value: &[u8]) -> Result<Event, Reason> {
    let value: Value = serde_json::from_slice(value).map_err(|_| Reason::NotJson)?;
    if !value.is_object() {
        return Err(Reason::WrongType);
    }
    let field = |name: &str| match value.get(name) {
        None | Some(Value::Null) => Err(Reason::MissingField),
        Some(present) => Ok(present),
    };
    let text = |name: &str| field(name)?.as_str().ok_or(Reason::WrongType);
    let integer = |name: &str| field(name)?.as_i64().ok_or(Reason::WrongType);
    let at_least_one = |name: &str| integer(name).and_then(|n| if n >= 1 { Ok(n) } else { Err(Reason::OutOfRange) });
    let event = Event {
        event_id: text("event_id")?.to_owned(),
        customer_email: text("customer_email")?.to_owned(),
        product_id: integer("product_id")?,
        quantity: at_least_one("quantity")?,
        purchase_ts: DateTime::parse_from_rfc3339(text("purchase_ts")?)
            .map_err(|_| Reason::BadTimestamp)?
            .timestamp_micros(),
    };
    at_least_one("schema_version")?;
    Ok(event)
}
