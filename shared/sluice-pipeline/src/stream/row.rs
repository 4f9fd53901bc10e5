//! From a record's bytes to a row of its table: JSON, decoded exactly by the table's contract.
//!
//! Exactly: a number is read from its text and never passes through a float, a number in quotes is no number, a time
//! needs its offset from UTC. Fields that the contract does not know are ignored; a known one may stand only once.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluice_core::{
    Cell, Column, ColumnType, Schema,
    contract::{self, Violation},
};

use super::Record;

/// What all rows of one append have in common.
pub(super) struct RowWriter<'a> {
    schema: &'a Schema,
    /// `,"_SLUICE_RUN_ID":…` and the other constants, ready to be copied.
    constants: String,
}

impl<'a> RowWriter<'a> {
    pub fn new(
        schema: &'a Schema,
        run_id: &str,
        loaded_at: DateTime<Utc>,
        archive: &str,
        topic: &str,
        partition: i32,
    ) -> Self {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let constants = format!(
            r#","_SLUICE_RUN_ID":{},"_SLUICE_LOADED_AT":"{}","_SLUICE_SOURCE_FILE":{},"_KAFKA_TOPIC":{},"_KAFKA_PARTITION":{partition}"#,
            json(run_id),
            timestamp(loaded_at),
            json(archive),
            json(topic),
        );
        RowWriter { schema, constants }
    }

    /// Appends the record's row and a newline. `line` is the record's line in the archive, counted from 1. The error
    /// says why the record cannot be a row, without its values; nothing is written then.
    pub fn write(&self, record: &Record, line: usize, rows: &mut String) -> Result<(), String> {
        use std::fmt::Write;

        let value = record.value.as_deref().ok_or("the record has no value")?;
        let fields = decode(self.schema, value)?;
        let cells: Vec<Cell<'_>> = fields.iter().map(Field::cell).collect();
        contract::check(self.schema, &cells).map_err(|violation| violation.to_string())?;

        for (i, (column, field)) in self.schema.columns().iter().zip(&fields).enumerate() {
            rows.push_str(if i == 0 { "{\"" } else { ",\"" });
            rows.extend(column.name.chars().map(|c| c.to_ascii_uppercase()));
            rows.push_str("\":");
            field.write(column.column_type, rows);
        }
        rows.push_str(&self.constants);
        let at = DateTime::from_timestamp_millis(record.timestamp_ms).filter(|_| record.timestamp_ms >= 0);
        let at = at.map_or_else(|| "null".to_owned(), |at| format!("\"{}\"", timestamp(at)));
        let offset = record.offset;
        // Writing to a string cannot fail.
        let _ = writeln!(
            rows,
            r#","_SLUICE_SEQUENCE":{offset},"_SLUICE_ROW_NUMBER":{line},"_KAFKA_OFFSET":{offset},"_KAFKA_TIMESTAMP":{at}}}"#
        );
        Ok(())
    }
}

/// Whether a record with this value would become a row. For whoever takes records before they are in the topic: by the
/// very code that judges them after. The error says why not, without its values.
pub fn check(schema: &Schema, value: &[u8]) -> Result<(), String> {
    let fields = decode(schema, value)?;
    let cells: Vec<Cell<'_>> = fields.iter().map(Field::cell).collect();
    contract::check(schema, &cells).map_err(|violation| violation.to_string())
}

/// UTC with six digits, the warehouse's default input form for a timestamp without zone.
fn timestamp(at: DateTime<Utc>) -> String {
    let mut text = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    text.pop();
    text.replacen('T', " ", 1)
}

/// A decoded field and the JSON it came from.
struct Field<'a> {
    value: Value<'a>,
    json: &'a str,
}

enum Value<'a> {
    Plain(Cell<'static>),
    Text(Cow<'a, str>),
}

impl Field<'_> {
    fn cell(&self) -> Cell<'_> {
        match &self.value {
            Value::Plain(cell) => *cell,
            Value::Text(text) => Cell::Text(text),
        }
    }

    fn write(&self, column_type: ColumnType, row: &mut String) {
        match (&self.value, column_type) {
            (Value::Plain(Cell::Timestamp(micros)), _) => {
                let at = DateTime::from_timestamp_micros(*micros).unwrap_or_default();
                row.push('"');
                row.push_str(&timestamp(at));
                row.push('"');
            }
            // In quotes, so that no reader on the way makes a float of it.
            (Value::Plain(Cell::Decimal(unscaled)), ColumnType::Decimal(_, scale)) => {
                row.push('"');
                row.push_str(&decimal(*unscaled, scale));
                row.push('"');
            }
            // Valid JSON of the right type already, escapes included.
            _ => row.push_str(self.json),
        }
    }
}

fn decimal(unscaled: i128, scale: i8) -> String {
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn decode<'a>(schema: &Schema, value: &'a [u8]) -> Result<Vec<Field<'a>>, String> {
    let text = std::str::from_utf8(value).map_err(|_| "the value is not UTF-8".to_owned())?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err("the value is not a JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let raw = Columns(schema).deserialize(&mut json).and_then(|raw| json.end().map(|()| raw)).map_err(|error| {
        if error.is_data() {
            // Of an object, the only data errors are our own, and they quote no value.
            let text = error.to_string();
            text.split(" at line ").next().unwrap_or_default().to_owned()
        } else {
            format!("the value is not JSON (line {}, column {})", error.line(), error.column())
        }
    })?;
    let fields = schema.columns().iter().zip(raw).map(|(column, raw)| match raw.map(RawValue::get) {
        None | Some("null") => Ok(Field { value: Value::Plain(Cell::Null), json: "null" }),
        Some(json) => read(column, json).map(|value| Field { value, json }).ok_or_else(|| {
            let rule = format!("is not a {}", column.column_type);
            Violation { column: column.name.clone(), rule }.to_string()
        }),
    });
    fields.collect()
}

fn read<'a>(column: &Column, json: &'a str) -> Option<Value<'a>> {
    let text = || serde_json::from_str::<Text<'a>>(json).ok().map(|Text(text)| text);
    Some(Value::Plain(match column.column_type {
        ColumnType::Text => return text().map(Value::Text),
        ColumnType::Bigint => Cell::Bigint(json.parse().ok()?),
        ColumnType::Boolean => Cell::Boolean(json.parse().ok()?),
        // Money travels as text where the producer does not trust JSON's numbers.
        ColumnType::Decimal(_, scale) => {
            let digits = if json.starts_with('"') { text()? } else { Cow::Borrowed(json) };
            Cell::Decimal(contract::decimal_from_text(&digits, scale)?)
        }
        ColumnType::Timestamp => {
            let at = DateTime::parse_from_rfc3339(&text()?).ok()?.to_utc();
            (1..=9999).contains(&at.year()).then(|| Cell::Timestamp(at.timestamp_micros()))?
        }
        ColumnType::Date => {
            let date = text().filter(|text| text.len() == 10)?.parse::<NaiveDate>().ok()?;
            let days = date.signed_duration_since(NaiveDate::default()).num_days();
            Cell::Date(i32::try_from(days).ok()?)
        }
    }))
}

/// A JSON string, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a JSON object into one raw value per column.
struct Columns<'s>(&'s Schema);

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.0.columns().len()];
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let Some(slot) = self.0.position(&name.0).and_then(|position| values.get_mut(position)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if slot.replace(map.next_value::<&'de RawValue>()?).is_some() {
                return Err(de::Error::custom(format!("{}: stands twice", name.0)));
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
