//! The topics that events may be sent to: what `platform/sources.yaml` and `platform/schemas/` say of each.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use jsonschema::Validator;
use serde_json::Value;
use sluice_core::{
    Error, Result, Schema, Sources,
    sources::{Format, Source},
};

/// The field that tells one event from another. A topic whose table has no such column takes no events over HTTP:
/// nothing could tell a repeated request from a second event.
pub const EVENT_ID: &str = "event_id";
/// The keyword in a topic's schema that names the field whose value is the record's key.
const KEY_KEYWORD: &str = "x-kafka-key";

/// One topic.
pub struct Topic {
    pub name: String,
    /// The contract of the topic's table, which `stream-kafka` checks each record by.
    pub columns: Schema,
    /// The topic's JSON schema, as the file has it.
    pub schema: Value,
    pub validator: Validator,
    /// The field whose value keys the record. Without one, records of the topic have no order among each other.
    pub key: Option<String>,
}

/// All topics, by name.
#[derive(Default)]
pub struct Catalogue(BTreeMap<String, Topic>);

/// Names only: every function logs its settings at cold start.
impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Catalogue {
    /// Reads the schema of every streamed table that has an event id.
    pub fn read(sources: &Sources, platform: &Path) -> Result<Self> {
        let mut topics = BTreeMap::new();
        for table in &sources.tables {
            let Source::Kafka { topic: name, format: Format::Json } = &table.source else { continue };
            if table.columns.position(EVENT_ID).is_none() {
                continue;
            }
            let path = platform.join("schemas").join(format!("{name}.json"));
            let unreadable = || Error::config("cannot read the topic's schema").with("path", path.display());
            let text = fs::read_to_string(&path).map_err(|error| unreadable().because(error))?;
            let schema: Value = serde_json::from_str(&text).map_err(|error| unreadable().because(error))?;
            topics.insert(name.clone(), Topic::new(name, table.columns.clone(), schema)?);
        }
        Ok(Catalogue(topics))
    }

    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.0.get(name)
    }

    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.0.values()
    }
}

impl Topic {
    pub fn new(name: &str, columns: Schema, schema: Value) -> Result<Self> {
        // Formats are annotations unless asked for; here a uuid must be one.
        let validator = jsonschema::options().should_validate_formats(true).build(&schema);
        let validator = validator.map_err(|error| {
            Error::config("the topic's schema is no JSON schema").with("topic", name).because(error.to_string())
        })?;
        let key = schema.get(KEY_KEYWORD).and_then(Value::as_str).map(str::to_owned);
        Ok(Topic { name: name.to_owned(), columns, schema, validator, key })
    }
}
