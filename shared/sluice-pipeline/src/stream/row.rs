//! From a record's bytes to a row of its table: JSON, decoded exactly by the table's contract.
//!
//! The plain case has a faster reader, `plain.rs`, that only ever agrees with the one here.
//!
//! Exactly: a number is read from its text by the one rule of [`number`], a whole number in quotes is no number, a time needs
//! its offset from UTC. Fields that the contract does not know are counted and
//! left out; a known one may stand only once.

use std::{borrow::Cow, fmt};

use chrono::{DateTime, Datelike, Utc};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluice_core::{
    Cell, Column, ColumnType, Record, Schema,
    contract::{self, Violation},
    names, number, time,
};

use super::{
    Limits,
    plain::{self, Token, Tokens},
    stamp,
};

/// Why a record cannot be a row. It quotes no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// What is wrong with the record as a whole.
    Record(String),
    Column(Violation),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Record(reason) => f.write_str(reason),
            Rejection::Column(violation) => violation.fmt(f),
        }
    }
}

impl From<&str> for Rejection {
    fn from(reason: &str) -> Self {
        Rejection::Record(reason.to_owned())
    }
}

impl From<String> for Rejection {
    fn from(reason: String) -> Self {
        Rejection::Record(reason)
    }
}

/// What all rows of one batch have in common.
pub(super) struct RowWriter<'a> {
    schema: &'a Schema,
    /// Each column's name as it begins its field: `{"EVENT_ID":`, `,"QUANTITY":`.
    names: Vec<String>,
    /// `,"_SLUICE_RUN_ID":…` and the other constants, ready to be copied.
    constants: String,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(
        schema: &'a Schema,
        run_id: &str,
        loaded_at: DateTime<Utc>,
        archive: &str,
        topic: &str,
        partition: i32,
    ) -> Self {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let mut loaded = String::new();
        stamp::write(loaded_at.timestamp_micros(), &mut loaded);
        let constants = format!(
            r#","_SLUICE_RUN_ID":{},"_SLUICE_LOADED_AT":"{loaded}","_SLUICE_SOURCE_FILE":{},"_KAFKA_TOPIC":{},"_KAFKA_PARTITION":{partition},"_SLUICE_SEQUENCE":"#,
            json(run_id),
            json(archive),
            json(topic),
        );
        let begin = |i: usize| if i == 0 { '{' } else { ',' };
        let columns = schema.columns().iter().enumerate();
        let names = columns.map(|(i, column)| format!("{}{}:", begin(i), json(&names::fold(&column.name))));
        RowWriter { schema, names: names.collect(), constants }
    }

    /// Appends the row of a record whose value is this JSON, and a newline. `line` is the record's line in the archive,
    /// counted from 1. Gives the number of fields that the contract does not know. Of a rejected record nothing is written.
    pub(super) fn write(
        &self,
        record: &Record,
        json: Option<&[u8]>,
        line: usize,
        rows: &mut String,
    ) -> Result<u64, Rejection> {
        let text = text(json)?;
        let unknown = match plain::read(self.schema, text) {
            Some(plain) if self.write_plain(&plain.tokens, rows)? => plain.unknown,
            _ => self.write_exact(text, rows)?,
        };
        self.write_origin(record, line, rows);
        Ok(unknown)
    }

    /// Writes the columns of a plain record; false when a field is not of the plain form of its type after all.
    fn write_plain(&self, tokens: &Tokens<'_>, rows: &mut String) -> Result<bool, Rejection> {
        let columns = self.schema.columns();
        let mut cells = [Cell::Null; plain::MOST_COLUMNS];
        for ((column, token), cell) in columns.iter().zip(tokens).zip(&mut cells) {
            *cell = match (token, column.column_type) {
                (None | Some(Token::Word("null")), _) => Cell::Null,
                (Some(Token::Text(text)), ColumnType::Text) => Cell::Text(text),
                (Some(Token::Word(word)), ColumnType::Bigint) if *word != "-0" => match word.parse() {
                    Ok(number) => Cell::Bigint(number),
                    Err(_) => return Ok(false),
                },
                (Some(Token::Text(text)), ColumnType::Timestamp) => match stamp::read(text) {
                    Some(micros) => Cell::Timestamp(micros),
                    None => return Ok(false),
                },
                (Some(Token::Word("true")), ColumnType::Boolean) => Cell::Boolean(true),
                (Some(Token::Word("false")), ColumnType::Boolean) => Cell::Boolean(false),
                (Some(Token::Word(digits) | Token::Text(digits)), ColumnType::Decimal(_, scale)) => {
                    match number::decimal(digits, scale) {
                        Ok(unscaled) => Cell::Decimal(unscaled),
                        Err(_) => return Ok(false),
                    }
                }
                _ => return Ok(false),
            };
        }
        let cells = &cells[..columns.len()];
        contract::check(self.schema, cells).map_err(Rejection::Column)?;
        for (((column, cell), name), token) in columns.iter().zip(cells).zip(&self.names).zip(tokens) {
            rows.push_str(name);
            match (cell, token) {
                (Cell::Timestamp(_) | Cell::Decimal(_), _) => write_cell(*cell, column.column_type, rows),
                (_, Some(Token::Text(text))) => {
                    rows.push('"');
                    rows.push_str(text);
                    rows.push('"');
                }
                (_, Some(Token::Word(word))) => rows.push_str(word),
                (_, None) => rows.push_str("null"),
            }
        }
        Ok(true)
    }

    fn write_exact(&self, text: &str, rows: &mut String) -> Result<u64, Rejection> {
        let Fields { values, unknown } = Fields::read(self.schema, Some(text.as_bytes()))?;
        for ((column, field), name) in self.schema.columns().iter().zip(&values).zip(&self.names) {
            rows.push_str(name);
            field.write(column.column_type, rows);
        }
        Ok(unknown)
    }

    /// The constants, and where the record stood.
    fn write_origin(&self, record: &Record, line: usize, rows: &mut String) {
        let mut digits = itoa::Buffer::new();
        let offset = digits.format(record.offset);
        rows.push_str(&self.constants);
        rows.push_str(offset);
        rows.push_str(r#","_KAFKA_OFFSET":"#);
        rows.push_str(offset);
        rows.push_str(r#","_SLUICE_ROW_NUMBER":"#);
        rows.push_str(itoa::Buffer::new().format(line));
        rows.push_str(r#","_KAFKA_TIMESTAMP":"#);
        match timestamp(record) {
            Some(micros) => {
                rows.push('"');
                stamp::write(micros, rows);
                rows.push('"');
            }
            None => rows.push_str("null"),
        }
        rows.push_str("}\n");
    }
}

/// Refuses what no append could take: a row too large as the stream writes it. Only a value that comes near is written
/// to be measured.
pub(crate) fn check_size(
    schema: &Schema,
    record: &Record,
    json: Option<&[u8]>,
    limits: Limits,
) -> Result<(), Rejection> {
    if json.is_none_or(|json| json.len() < limits.append_bytes / 2) {
        return Ok(());
    }
    let mut row = String::new();
    let none = DateTime::<Utc>::default();
    RowWriter::new(schema, "", none, "", "", 0).write(record, json, 1, &mut row)?;
    too_large(&row, limits)
}

/// Refuses a row that is too large for an append of its own. One that is no larger than what several rows may take together
/// fits; a larger one is judged as it would travel.
pub(super) fn too_large(row: &str, limits: Limits) -> Result<(), Rejection> {
    let Limits { append_bytes, row_bytes, packed_bytes, level } = limits;
    if row.len() <= append_bytes {
        return Ok(());
    }
    if row.len() > row_bytes {
        return Err(format!("the row is larger than {row_bytes} bytes").into());
    }
    match zstd::bulk::compress(row.as_bytes(), level) {
        Ok(packed) if packed.len() <= packed_bytes => Ok(()),
        _ => Err(format!("the row is larger than {packed_bytes} bytes when it is compressed").into()),
    }
}

/// The record's own time in microseconds, where it has one that the warehouse can hold.
pub(crate) fn timestamp(record: &Record) -> Option<i64> {
    let at = DateTime::from_timestamp_millis(record.timestamp_ms).filter(|_| record.timestamp_ms >= 0)?;
    (at.year() <= LAST_YEAR).then(|| at.timestamp_micros())
}

/// Whether a record with this value would become a row. For those that take records before they are in the topic: by the
/// very code that judges them after.
pub fn check(schema: &Schema, value: &[u8]) -> Result<(), Rejection> {
    Fields::read(schema, Some(value)).map(drop)
}

/// A record's values, one for each column of the contract, which they keep.
pub(crate) struct Fields<'a> {
    values: Vec<Field<'a>>,
    /// Fields that the contract does not know.
    unknown: u64,
}

impl<'a> Fields<'a> {
    pub(crate) fn read(schema: &Schema, json: Option<&'a [u8]>) -> Result<Self, Rejection> {
        let (values, unknown) = decode(schema, text(json)?)?;
        let fields = Fields { values, unknown };
        contract::check(schema, &fields.cells()).map_err(Rejection::Column)?;
        Ok(fields)
    }

    pub(crate) fn cells(&self) -> Vec<Cell<'_>> {
        self.values.iter().map(Field::cell).collect()
    }
}

/// The warehouse's last year, and that of its text form with four digits.
const LAST_YEAR: i32 = 9999;

/// Writes a cell whose JSON is not the record's own.
fn write_cell(cell: Cell<'_>, column_type: ColumnType, row: &mut String) {
    row.push('"');
    match (cell, column_type) {
        (Cell::Timestamp(micros), _) => stamp::write(micros, row),
        // In quotes, so that no reader on the way makes a float of it.
        (Cell::Decimal(unscaled), ColumnType::Decimal(_, scale)) => row.push_str(&decimal(unscaled, scale)),
        _ => {}
    }
    row.push('"');
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
        match &self.value {
            Value::Plain(cell @ (Cell::Timestamp(_) | Cell::Decimal(_))) => write_cell(*cell, column_type, row),
            // The warehouse gets a whole number without a point and an exponent, and zero without a sign.
            Value::Plain(Cell::Bigint(number)) if self.json == "-0" || self.json.contains(['.', 'e', 'E']) => {
                row.push_str(itoa::Buffer::new().format(*number));
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

fn text(json: Option<&[u8]>) -> Result<&str, Rejection> {
    std::str::from_utf8(json.ok_or("the record has no value")?).map_err(|_| "the value is not UTF-8".into())
}

/// A field for each column, and how many others the object has.
fn decode<'a>(schema: &Schema, text: &'a str) -> Result<(Vec<Field<'a>>, u64), Rejection> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err("the value is not a JSON object".into());
    }
    let (mut json, mut repeated) = (serde_json::Deserializer::from_str(text), None);
    let object = Columns { schema, repeated: &mut repeated }.deserialize(&mut json);
    let (raw, unknown) = object.and_then(|raw| json.end().map(|()| raw)).map_err(|error| match repeated {
        Some(column) => Rejection::Column(Violation { column, rule: "stands twice".to_owned() }),
        None => format!("the value is not JSON (line {}, column {})", error.line(), error.column()).into(),
    })?;
    let fields = schema.columns().iter().zip(raw).map(|(column, raw)| match raw.map(RawValue::get) {
        None | Some("null") => Ok(Field { value: Value::Plain(Cell::Null), json: "null" }),
        Some(json) => match read(column, json) {
            Ok(value) => Ok(Field { value, json }),
            Err(rule) => Err(Rejection::Column(Violation { column: column.name.clone(), rule })),
        },
    });
    Ok((fields.collect::<Result<_, Rejection>>()?, unknown))
}

/// The error is the rule that the JSON breaks.
fn read<'a>(column: &Column, json: &'a str) -> Result<Value<'a>, String> {
    let other = || format!("is not a {}", column.column_type);
    let text = || serde_json::from_str::<Text<'a>>(json).map(|Text(text)| text).map_err(|_| other());
    let is_text = json.starts_with('"');
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    Ok(Value::Plain(match column.column_type {
        ColumnType::Text => return text().map(Value::Text),
        ColumnType::Timestamp => timestamp_from_text(&text()?).ok_or_else(other)?,
        ColumnType::Date => date_from_text(&text()?).ok_or_else(other)?,
        // Money travels as text where the producer does not trust JSON's numbers.
        ColumnType::Decimal(_, scale) if is_text => decimal_from_text(&text()?, scale)?,
        ColumnType::Decimal(_, scale) if is_number => decimal_from_text(json, scale)?,
        ColumnType::Bigint if is_number => {
            Cell::Bigint(number::integer(json).map_err(|invalid| invalid.rule().to_owned())?)
        }
        ColumnType::Bigint | ColumnType::Boolean if is_text => {
            return Err(format!("is a text, not a {}", column.column_type));
        }
        ColumnType::Boolean => Cell::Boolean(json.parse().map_err(|_| other())?),
        ColumnType::Bigint | ColumnType::Decimal(..) => return Err(other()),
    }))
}

fn decimal_from_text(text: &str, scale: i8) -> Result<Cell<'static>, String> {
    number::decimal(text, scale).map(Cell::Decimal).map_err(|invalid| invalid.rule().to_owned())
}

fn timestamp_from_text(text: &str) -> Option<Cell<'static>> {
    let at = time::instant(text)?;
    (1..=LAST_YEAR).contains(&at.year()).then(|| Cell::Timestamp(at.timestamp_micros()))
}

fn date_from_text(text: &str) -> Option<Cell<'static>> {
    time::day(text).map(|day| Cell::Date(day.to_epoch_days()))
}

/// A JSON string, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a JSON object into one raw value per column, and counts its other fields.
struct Columns<'s> {
    schema: &'s Schema,
    /// Set where a column's field stands twice, which ends the reading.
    repeated: &'s mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = (Vec<Option<&'de RawValue>>, u64);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = (Vec<Option<&'de RawValue>>, u64);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let columns = self.schema.columns();
        let (mut values, mut unknown) = (vec![None; columns.len()], 0);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let Some(position) = self.schema.position_of_source(&name.0) else {
                map.next_value::<IgnoredAny>()?;
                unknown += 1;
                continue;
            };
            if values[position].replace(map.next_value::<&'de RawValue>()?).is_some() {
                *self.repeated = Some(columns[position].name.clone());
                return Err(de::Error::custom("a field stands twice"));
            }
        }
        Ok((values, unknown))
    }
}

#[cfg(test)]
mod tests;
