//! What every part of an event says of itself.

use serde_json::{Value, json};

/// Who says so, as every event and facet must tell.
pub(super) const PRODUCER: &str = concat!("urn:sluice:", env!("CARGO_PKG_VERSION"));

/// A facet by its published schema.
pub(super) fn facet(schema: &str, mut body: Value) -> Value {
    body["_producer"] = json!(PRODUCER);
    // `1-2-0/SchemaDatasetFacet.json` defines `SchemaDatasetFacet`.
    let name = schema.rsplit('/').next().and_then(|file| file.strip_suffix(".json")).unwrap_or_default();
    body["_schemaURL"] = json!(format!("https://openlineage.io/spec/facets/{schema}#/$defs/{name}"));
    body
}
