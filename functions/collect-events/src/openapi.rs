//! The OpenAPI document as served: the one beside the source, with a path and a schema for every topic.

use serde_json::{Map, Value, json};
use sluice_core::{Error, Result, yaml};

use crate::{
    body::Limits,
    catalogue::{Catalogue, EVENT_ID, Topic},
};

const DOCUMENT: &str = include_str!("../openapi.yaml");
/// The path and the schema in the document that stand for those of each topic.
const PATH: &str = "/v1/events/{topic}";
const SCHEMA: &str = "Event";

/// Renders the document.
pub fn document(catalogue: &Catalogue, limits: Limits) -> Result<Value> {
    let broken = || Error::internal("openapi.yaml is not the document that collect-events knows");
    let mut document = yaml::parse(DOCUMENT).root.ok_or_else(broken)?.value.to_json();
    document["components"]["schemas"]["Batch"]["maxItems"] = json!(limits.events);
    let paths = document["paths"].as_object_mut().ok_or_else(broken)?;
    let template = paths.remove(PATH).ok_or_else(broken)?;
    for topic in catalogue.topics() {
        let mut path = template.clone();
        path.as_object_mut().ok_or_else(broken)?.remove("parameters");
        let mut batch = document["components"]["schemas"]["Batch"].clone();
        let (schema, batch_schema) = (topic.name.clone(), format!("{}Batch", topic.name));
        point(&mut path, SCHEMA, &schema);
        point(&mut path, "Batch", &batch_schema);
        point(&mut batch, SCHEMA, &schema);
        path["post"]["operationId"] = json!(format!("send-{}", topic.name));
        document["paths"][PATH.replace("{topic}", &topic.name)] = path;
        let schemas = document["components"]["schemas"].as_object_mut().ok_or_else(broken)?;
        schemas.insert(schema, event(topic));
        schemas.insert(batch_schema, batch);
    }
    let schemas = document["components"]["schemas"].as_object_mut().ok_or_else(broken)?;
    schemas.remove(SCHEMA);
    schemas.remove("Batch");
    Ok(document)
}

/// The document as asked for under this base path: the addresses in it follow the base path.
pub fn under(document: &Value, base_path: &str) -> Value {
    let mut document = document.clone();
    document["servers"] = json!([{ "url": base_path }]);
    document
}

/// The topic's schema as a request must keep it: an event without an id gets one.
fn event(topic: &Topic) -> Value {
    let mut schema: Map<String, Value> = topic.schema.as_object().cloned().unwrap_or_default();
    // Inside the document they would name another document and another dialect.
    schema.remove("$id");
    schema.remove("$schema");
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != EVENT_ID);
    }
    Value::Object(schema)
}

/// Points every reference to one schema to another.
fn point(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "$ref" && *value == format!("#/components/schemas/{from}") {
                    *value = json!(format!("#/components/schemas/{to}"));
                }
                point(value, from, to);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point(item, from, to)),
        _ => {}
    }
}
