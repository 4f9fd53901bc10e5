//! Avro records in the Confluent wire format, turned into the JSON object that a topic's contract describes.
//!
//! A record is read by the schema that its producer wrote it with. Its fields find their columns by name, or by an alias
//! in the topic's own schema file, which also gives the values of fields that the producer does not know yet. The
//! contract then judges the JSON as it judges any other, so nothing is approximated here: a decimal keeps its digits, a
//! time its microseconds, and what has no exact form is written so that the contract refuses it.

use std::{collections::BTreeMap, fmt::Write, io::Read};

use apache_avro::{
    Decimal, Schema,
    schema::{RecordSchema, ResolvedSchema},
    schema_compatibility::SchemaCompatibility,
    types::Value,
};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta};
use sluice_core::{Error, Result};

/// The wire format's first byte.
const MAGIC: u8 = 0;
/// No field of a record is larger; a length beyond it in a broken record must not fill the memory.
const LARGEST_FIELD: usize = 16 << 20;

/// Splits a value in the Confluent wire format: zero byte, four bytes of schema id, data. The error is the reason why the
/// value is not in that format.
pub fn unframe(value: &[u8]) -> Result<(u32, &[u8]), String> {
    match value {
        [MAGIC, a, b, c, d, data @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), data)),
        [MAGIC, ..] => Err("the value ends before its schema id does".to_owned()),
        _ => Err("the value does not begin with the zero byte of the Confluent wire format".to_owned()),
    }
}

/// The schema that a producer wrote records with.
#[derive(Debug, Clone)]
pub struct WriterSchema {
    schema: Schema,
    /// The named types that it refers to.
    references: Vec<Schema>,
}

impl WriterSchema {
    /// Parses a schema and those that it refers to. The error is the reason why it cannot be used.
    pub fn parse(schema: &str, references: &[String]) -> Result<Self, String> {
        let (schema, references) =
            Schema::parse_str_with_list(schema, references).map_err(|error| format!("it does not parse: {error}"))?;
        if !matches!(schema, Schema::Record(_)) {
            return Err("it is not a record".to_owned());
        }
        let parsed = WriterSchema { schema, references };
        parsed.refuse_recursion()?;
        ResolvedSchema::try_from(parsed.schemata())
            .map_err(|error| format!("its named types do not resolve: {error}"))?;
        Ok(parsed)
    }

    fn schemata(&self) -> Vec<&Schema> {
        self.references.iter().chain([&self.schema]).collect()
    }

    /// A schema that contains itself lets a record of a few kilobytes nest deeper than the stack is.
    fn refuse_recursion(&self) -> Result<(), String> {
        let names: BTreeMap<String, &Schema> =
            self.references.iter().filter_map(|schema| Some((schema.name()?.fullname(None), schema))).collect();
        descend(&self.schema, &names, &mut Vec::new())
    }
}

fn descend(schema: &Schema, names: &BTreeMap<String, &Schema>, inside: &mut Vec<String>) -> Result<(), String> {
    match schema {
        Schema::Record(record) => {
            inside.push(record.name.fullname(None));
            record.fields.iter().try_for_each(|field| descend(&field.schema, names, inside))?;
            inside.pop();
            Ok(())
        }
        Schema::Array(array) => descend(&array.items, names, inside),
        Schema::Map(map) => descend(&map.types, names, inside),
        Schema::Union(union) => union.variants().iter().try_for_each(|variant| descend(variant, names, inside)),
        Schema::Ref { name } => {
            let name = name.fullname(None);
            if inside.contains(&name) {
                return Err(format!("its type {name} contains itself"));
            }
            names.get(&name).map_or(Ok(()), |schema| descend(schema, names, inside))
        }
        _ => Ok(()),
    }
}

/// A topic's own schema file.
#[derive(Debug, Clone)]
pub struct ReaderSchema {
    schema: Schema,
    /// Names that producers may use, and the field that each means.
    aliases: BTreeMap<String, String>,
    /// The JSON of each field that has a default.
    defaults: BTreeMap<String, String>,
}

impl ReaderSchema {
    pub fn parse(text: &str) -> Result<Self> {
        let schema =
            Schema::parse_str(text).map_err(|error| Error::config("the Avro schema does not parse").because(error))?;
        let Schema::Record(record) = &schema else {
            return Err(Error::config("the Avro schema is not a record"));
        };
        let mut aliases = BTreeMap::new();
        let mut defaults = BTreeMap::new();
        for field in &record.fields {
            let names = field.aliases.iter().flatten();
            aliases.extend(names.map(|alias| (alias.clone(), field.name.clone())));
            if let Some(default) = &field.default {
                let unusable =
                    || Error::config("a default in the Avro schema does not fit its field").with("field", &field.name);
                let value = default_value(default, &field.schema).ok_or_else(unusable)?;
                defaults.insert(field.name.clone(), scalar(&value, &field.schema, None));
            }
        }
        Ok(ReaderSchema { schema, aliases, defaults })
    }

    /// The names of the fields and whether a record may lack them, in the schema's order.
    pub fn fields(&self) -> Vec<(String, bool)> {
        let Schema::Record(record) = &self.schema else { return Vec::new() };
        record.fields.iter().map(|field| (field.name.clone(), self.defaults.contains_key(&field.name))).collect()
    }

    /// Whether records written with `earlier` can be read with this schema: what a registry calls BACKWARD. The error
    /// names the field that stands in the way.
    pub fn reads(&self, earlier: &ReaderSchema) -> Result<()> {
        SchemaCompatibility::can_read(&earlier.schema, &self.schema).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Error::config(format!("the Avro schema cannot read records of its earlier version: {error}{cause}"))
        })
    }

    /// Turns one record's data into a JSON object. The error is the reason why the record is bad, without its values.
    pub fn to_json(&self, writer: &WriterSchema, data: &[u8]) -> Result<Bytes, String> {
        apache_avro::util::max_allocation_bytes(LARGEST_FIELD);
        // The parser's messages may show values.
        let broken = |_| "the value is not Avro of its schema".to_owned();
        let schemata = writer.schemata();
        let mut data = Data { rest: data, ran_out: false };
        let value = apache_avro::from_avro_datum_schemata(&writer.schema, schemata.clone(), &mut data, None);
        if data.ran_out {
            return Err("the value ends before its Avro schema does".to_owned());
        }
        let value = value.map_err(broken)?;
        if !data.rest.is_empty() {
            return Err("the value is longer than its Avro schema says".to_owned());
        }
        let names = ResolvedSchema::try_from(schemata).map_err(broken)?;
        match (&value, &writer.schema) {
            (Value::Record(fields), Schema::Record(record)) => Ok(self.render(fields, record, &names)),
            _ => Err("the value is not an Avro record".to_owned()),
        }
    }

    fn render(&self, fields: &[(String, Value)], record: &RecordSchema, names: &ResolvedSchema<'_>) -> Bytes {
        let mut json = String::from("{");
        let mut missing = self.defaults.clone();
        let mut push = |name: &str, value: &str| {
            let comma = if json.len() > 1 { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(json, "{comma}{}:{value}", quoted(name));
        };
        for ((name, value), field) in fields.iter().zip(&record.fields) {
            let name = self.aliases.get(name).unwrap_or(name);
            missing.remove(name);
            push(name, &scalar(value, &field.schema, Some(names)));
        }
        for (name, default) in &missing {
            push(name, default);
        }
        json.push('}');
        json.into()
    }
}

/// A record's data. The decoder reads nulls where a record has ended too early; this tells of it.
struct Data<'a> {
    rest: &'a [u8],
    ran_out: bool,
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.ran_out |= self.rest.is_empty() && !buffer.is_empty();
        self.rest.read(buffer)
    }
}

/// The value of a default: of a union, one of its first type.
fn default_value(default: &serde_json::Value, schema: &Schema) -> Option<Value> {
    match schema {
        Schema::Union(union) => {
            let first = union.variants().first()?;
            Some(Value::Union(0, Box::new(default_value(default, first)?)))
        }
        _ => Value::from(default.clone()).resolve(schema).ok(),
    }
}

/// A scalar's JSON. What is no scalar becomes an empty list, which no column takes.
fn scalar(value: &Value, schema: &Schema, names: Option<&ResolvedSchema<'_>>) -> String {
    let time = |seconds: i64, nanos: i64| {
        let at = NaiveTime::MIN.overflowing_add_signed(TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanos));
        quoted(&at.0.format("%H:%M:%S%.f").to_string())
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Float(value) if value.is_finite() => format!("{value:?}"),
        Value::Double(value) if value.is_finite() => format!("{value:?}"),
        // Not a number, to nobody.
        Value::Float(_) | Value::Double(_) => quoted("NaN"),
        Value::String(text) | Value::Enum(_, text) => quoted(text),
        Value::Uuid(uuid) => quoted(&uuid.to_string()),
        Value::Date(days) => {
            let date = NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(*days)));
            date.map_or_else(no_column, |date| quoted(&date.to_string()))
        }
        Value::TimeMillis(millis) => time(i64::from(*millis) / 1_000, i64::from(*millis) % 1_000 * 1_000_000),
        Value::TimeMicros(micros) => time(micros / 1_000_000, micros % 1_000_000 * 1_000),
        Value::TimestampMillis(millis) => stamp(DateTime::from_timestamp_millis(*millis), true),
        Value::TimestampMicros(micros) => stamp(DateTime::from_timestamp_micros(*micros), true),
        Value::TimestampNanos(nanos) => stamp(Some(DateTime::from_timestamp_nanos(*nanos)), true),
        // Without a zone it is no point in time, and the contract says so.
        Value::LocalTimestampMillis(millis) => stamp(DateTime::from_timestamp_millis(*millis), false),
        Value::LocalTimestampMicros(micros) => stamp(DateTime::from_timestamp_micros(*micros), false),
        Value::LocalTimestampNanos(nanos) => stamp(Some(DateTime::from_timestamp_nanos(*nanos)), false),
        Value::Decimal(value) => decimal(value, schema, names).unwrap_or_else(no_column),
        Value::BigDecimal(value) => quoted(&value.to_string()),
        Value::Union(position, value) => {
            let variant = match resolve(schema, names) {
                Schema::Union(union) => union.variants().get(*position as usize),
                _ => None,
            };
            scalar(value, variant.unwrap_or(schema), names)
        }
        Value::Bytes(_)
        | Value::Fixed(..)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Record(_)
        | Value::Duration(_) => no_column(),
    }
}

fn no_column() -> String {
    "[]".to_owned()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn stamp(at: Option<DateTime<chrono::Utc>>, zoned: bool) -> String {
    at.map_or_else(no_column, |at| {
        let mut text = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        if !zoned {
            text.pop();
        }
        quoted(&text)
    })
}

/// Every digit of the value: an integer, or text with an exponent.
fn decimal(value: &Decimal, schema: &Schema, names: Option<&ResolvedSchema<'_>>) -> Option<String> {
    let Schema::Decimal(schema) = resolve(schema, names) else { return None };
    let bytes = Vec::<u8>::try_from(value).ok()?;
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let significant = bytes.iter().position(|byte| *byte != fill).unwrap_or(bytes.len());
    let significant = &bytes[significant..];
    let mut wide = [fill; 17];
    wide.get_mut(17_usize.checked_sub(significant.len())?..)?.copy_from_slice(significant);
    // Seventeen bytes, so that the sign is never taken for a digit; then it must fit sixteen.
    let (sign, number) = wide.split_first()?;
    let unscaled = i128::from_be_bytes(number.try_into().ok()?);
    if (*sign == 0) == (unscaled < 0) {
        return None;
    }
    Some(if schema.scale == 0 { unscaled.to_string() } else { format!("\"{unscaled}E-{}\"", schema.scale) })
}

fn resolve<'a>(schema: &'a Schema, names: Option<&'a ResolvedSchema<'a>>) -> &'a Schema {
    match (schema, names) {
        (Schema::Ref { name }, Some(names)) => names.get_names().get(name).copied().unwrap_or(schema),
        _ => schema,
    }
}

#[cfg(test)]
#[path = "avro_tests.rs"]
mod tests;
