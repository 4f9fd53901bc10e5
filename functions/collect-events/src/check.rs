//! Whether an event may enter its topic: by the topic's JSON schema, then by the very contract that the stream applies,
//! so that nothing is accepted here and refused there.

use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};
use sluice_core::Column;
use sluice_pipeline::stream::{self, Rejection};

use crate::catalogue::{EVENT_ID, Topic};

/// The most that an event may have, so that one always fits a message of the outbox, however it must be escaped there.
pub const EVENT_BYTES: usize = 100_000;
/// How many faults of one event are told.
const FAULTS_TOLD: usize = 20;

/// An event that its topic takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valid {
    pub id: String,
    pub key: Option<String>,
    /// As the client wrote it, with an id put in where it had none.
    pub text: String,
}

/// What is wrong with one field. Never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer within the event; empty for the event itself.
    pub pointer: String,
    pub detail: String,
}

impl Fault {
    fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Fault { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Checks one event. One without an id gets one.
pub fn check(topic: &Topic, text: &str, new_id: impl FnOnce() -> String) -> Result<Valid, Vec<Fault>> {
    if text.len() > EVENT_BYTES {
        return Err(vec![Fault::new("", format!("is larger than {EVENT_BYTES} bytes"))]);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        vec![Fault::new("", format!("is not JSON (line {}, column {})", error.line(), error.column()))]
    })?;
    let Value::Object(mut fields) = value else {
        return Err(vec![Fault::new("", "is not a JSON object")]);
    };
    let text = if fields.contains_key(EVENT_ID) { text.to_owned() } else { put_id(&mut fields, text, new_id()) };
    let event = Value::Object(fields);
    let faults: Vec<Fault> = topic.validator.iter_errors(&event).take(FAULTS_TOLD).map(|error| fault(&error)).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    stream::check(&topic.columns, text.as_bytes()).map_err(|rejection| vec![of_contract(topic, rejection)])?;
    let id = event.get(EVENT_ID).and_then(Value::as_str).map(str::to_owned);
    let id = id.ok_or_else(|| vec![Fault::new(format!("/{EVENT_ID}"), "is not a text")])?;
    Ok(Valid { id, key: topic.key_of(&event), text })
}

/// Puts the id first, and leaves the rest as it was written.
fn put_id(fields: &mut Map<String, Value>, text: &str, id: String) -> String {
    let rest = text.trim_start().strip_prefix('{').unwrap_or_default();
    let comma = if fields.is_empty() { "" } else { "," };
    let text = format!("{{\"{EVENT_ID}\":\"{id}\"{comma}{rest}");
    fields.insert(EVENT_ID.to_owned(), Value::String(id));
    text
}

fn fault(error: &jsonschema::ValidationError<'_>) -> Fault {
    let at = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            Fault::new(format!("{at}{}", pointer(property.as_str().unwrap_or_default())), "is required")
        }
        // Masked: an answer may be logged on its way, and a value may be a person's.
        _ => Fault::new(at, error.masked().to_string()),
    }
}

fn pointer(field: &str) -> String {
    format!("/{}", field.replace('~', "~0").replace('/', "~1"))
}

fn of_contract(topic: &Topic, rejection: Rejection) -> Fault {
    match rejection {
        Rejection::Record(reason) => Fault::new("", reason),
        Rejection::Column(violation) => {
            let column = topic.columns.columns().iter().find(|column| column.name == violation.column);
            Fault::new(pointer(column.map_or(violation.column.as_str(), Column::source)), violation.rule)
        }
    }
}
