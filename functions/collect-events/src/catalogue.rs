//! The topics that events may be sent to: what `platform/sources.yaml` and `platform/schemas/` say of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use jsonschema::Validator;
use serde_json::Value;
use sluice_core::{
    Column, ColumnType, Error, Result, Schema, Sources, Table,
    sources::{Format, Source},
};
use sluice_lambda::hint;
use tracing::error;

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
    key: Option<String>,
}

/// All topics, by name.
#[derive(Default)]
pub struct Catalogue {
    topics: BTreeMap<String, Topic>,
    /// Those that cannot take events now, because their schema or their table does not suit.
    unavailable: BTreeSet<String>,
}

/// Why there is no topic to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// No table takes it.
    Unknown,
    /// A table takes it, and the log says what is wrong.
    Unavailable,
}

/// Names only: every function logs its settings at cold start.
impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.topics.keys()).finish()
    }
}

impl Catalogue {
    /// Reads the schema of every streamed table that has an event id. A topic that cannot take events holds up no other.
    pub fn read(sources: &Sources, platform: &Path) -> Self {
        let mut catalogue = Catalogue::default();
        for table in &sources.tables {
            let Source::Kafka { topic: name, format: Format::Json, .. } = &table.source else { continue };
            if table.columns.position_of_source(EVENT_ID).is_none() {
                continue;
            }
            match Topic::read(name, table, platform) {
                Ok(topic) => drop(catalogue.topics.insert(name.clone(), topic)),
                Err(error) => {
                    error!(
                        topic = name, error = error.chain(), error_kind = %error.kind(), hint = hint(&error),
                        "events of this topic are refused until this is fixed; other topics take theirs"
                    );
                    catalogue.unavailable.insert(name.clone());
                }
            }
        }
        catalogue
    }

    pub fn get(&self, name: &str) -> Result<&Topic, Missing> {
        let missing = if self.unavailable.contains(name) { Missing::Unavailable } else { Missing::Unknown };
        self.topics.get(name).ok_or(missing)
    }

    pub fn unavailable(&self) -> impl Iterator<Item = &str> {
        self.unavailable.iter().map(String::as_str)
    }

    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }
}

impl Topic {
    fn read(name: &str, table: &Table, platform: &Path) -> Result<Self> {
        let path = platform.join("schemas").join(format!("{name}.json"));
        let unreadable = || Error::config("cannot read the topic's schema").with("path", path.display());
        let text = fs::read_to_string(&path).map_err(|error| unreadable().because(error))?;
        let schema: Value = serde_json::from_str(&text).map_err(|error| unreadable().because(error))?;
        Topic::new(name, table.columns.clone(), schema)
    }

    pub fn new(name: &str, columns: Schema, schema: Value) -> Result<Self> {
        // Formats are annotations unless asked for; here a uuid must be one.
        let validator = jsonschema::options().should_validate_formats(true).build(&schema);
        let validator = validator.map_err(|error| {
            Error::config("the topic's schema is no JSON schema").with("topic", name).because(error.to_string())
        })?;
        let is_text = |column: &Column| column.source() == EVENT_ID && column.column_type == ColumnType::Text;
        if !columns.columns().iter().any(is_text) {
            return Err(
                Error::config("the column event_id must be a text to take the ids of events").with("topic", name)
            );
        }
        let key = key(name, &columns, &schema)?;
        Ok(Topic { name: name.to_owned(), columns, schema, validator, key })
    }

    /// The key of an event's record.
    pub fn key_of(&self, event: &Value) -> Option<String> {
        event.get(self.key.as_deref()?)?.as_str().map(str::to_owned)
    }
}

/// The field that the schema names. One that an event may lack, or that is no text, would leave records without a key and
/// so without their order, and nobody would see it.
fn key(topic: &str, columns: &Schema, schema: &Value) -> Result<Option<String>> {
    let Some(named) = schema.get(KEY_KEYWORD) else { return Ok(None) };
    let fits =
        |column: &&Column| column.required && column.column_type == ColumnType::Text && *named == column.source();
    let column = columns.columns().iter().find(fits).ok_or_else(|| {
        Error::config("x-kafka-key must name a required text column of the topic's table")
            .with("topic", topic)
            .with("x-kafka-key", named)
    })?;
    Ok(Some(column.source().to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_core::Kind;

    use super::*;

    #[test]
    fn only_a_required_text_can_be_the_key() {
        let column = |name, column_type, required| Column { required, ..Column::optional(name, column_type) };
        let columns = Schema(vec![
            column("event_id", ColumnType::Text, true),
            column("customer_email", ColumnType::Text, true),
            column("note", ColumnType::Text, false),
            column("product_id", ColumnType::Bigint, true),
        ]);
        let topic = |key: &Value| Topic::new("purchases", columns.clone(), json!({(KEY_KEYWORD): key}));
        for bad in [json!("note"), json!("product_id"), json!("nothing"), json!(7), Value::Null] {
            let error = topic(&bad).err().expect("a record could lose its key");
            assert!(error.kind() == Kind::Config && error.to_string().contains("purchases"), "{bad}: {error}");
        }
        let event = json!({"customer_email": "c1@example.com"});
        let good = topic(&json!("customer_email")).expect("a topic");
        assert_eq!(good.key_of(&event).as_deref(), Some("c1@example.com"));
        let keyless = Topic::new("purchases", columns.clone(), json!({})).expect("a topic");
        assert_eq!(keyless.key_of(&event), None);
    }
}
