//! Avro records in the Confluent wire format, turned into the JSON object that a topic's contract describes.
//!
//! A record is read by the schema that its producer wrote it with. Its fields find their columns by name, or by an alias
//! in the topic's own schema file, which also gives the values of fields that the producer does not know yet. The
//! contract then judges the JSON as it judges any other, so nothing is approximated here: a decimal keeps its digits, a
//! time its microseconds, and what has no exact form is written so that the contract refuses it.

use std::collections::BTreeMap;

use apache_avro::{Schema, schema_compatibility::SchemaCompatibility, to_avro_datum, types::Value};
use bytes::Bytes;
use sluice_core::{Error, Result};

use crate::{
    datum,
    layout::{Layout, quoted},
};

/// The wire format's first byte.
const MAGIC: u8 = 0;
/// Brackets within brackets, of a schema and all that it refers to together: the parser must not outgrow the stack.
const MOST_NESTING: usize = 512;

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
    layout: Layout,
}

impl WriterSchema {
    /// Parses a schema and those that it refers to. The error is the reason why it cannot be used.
    pub fn parse(schema: &str, references: &[String]) -> Result<Self, String> {
        if nesting(schema) + references.iter().map(|text| nesting(text)).sum::<usize>() > MOST_NESTING {
            return Err(format!("its brackets are nested deeper than {MOST_NESTING}"));
        }
        let (schema, references) =
            Schema::parse_str_with_list(schema, references).map_err(|error| format!("it does not parse: {error}"))?;
        Layout::of_record(&schema, &references).map(|layout| WriterSchema { layout })
    }
}

/// How deep the brackets of a JSON text nest.
fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
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
                let data = to_avro_datum(&field.schema, value).map_err(|_| unusable())?;
                defaults.insert(field.name.clone(), datum::json_of(&field.schema, &data).map_err(|_| unusable())?);
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
        let (fields, mut datum) = writer.layout.read(data);
        let mut missing: BTreeMap<&str, &str> =
            self.defaults.iter().map(|(name, default)| (name.as_str(), default.as_str())).collect();
        let mut json = String::from("{");
        let begin = |name: &str, json: &mut String| {
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(&quoted(name));
            json.push(':');
        };
        for (name, field) in fields {
            let name = self.aliases.get(name).map_or(name, String::as_str);
            missing.remove(name);
            begin(name, &mut json);
            datum.write(field, &mut json)?;
        }
        if !datum.is_at_end() {
            return Err("the value is longer than its Avro schema says".to_owned());
        }
        for (name, default) in missing {
            begin(name, &mut json);
            json.push_str(default);
        }
        json.push('}');
        Ok(json.into())
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

#[cfg(test)]
mod tests;
