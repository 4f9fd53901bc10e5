//! The schema files of topics: each describes its table's contract, and can read what earlier versions of it wrote.
//!
//! `platform/schemas/<topic>.json` or `.avsc` is the version in force. The versions that producers have used are kept
//! beside it as `<topic>.v<number>.…`; records written with them are in the topic and in the archive.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_core::{
    ColumnType, Schema, Sources,
    sources::{Format, Source},
};
use sluice_kafka::avro::ReaderSchema;

use crate::project::{list, read};

const FOLDER: &str = "platform/schemas";

#[test]
fn every_topic_has_a_schema_file_that_says_what_its_contract_says() {
    let sources = Sources::parse(&read("platform/sources.yaml")).expect("valid sources");
    let mut checked = 0;
    for table in &sources.tables {
        let Source::Kafka { topic, format, .. } = &table.source else { continue };
        let path = format!("{FOLDER}/{topic}.{}", format.extension());
        describes(*format, &read(&path), &table.columns).unwrap_or_else(|problem| panic!("{path}: {problem}"));
        checked += 1;
    }
    assert!(checked > 0, "no topic was found");
}

#[test]
fn every_schema_reads_what_its_earlier_versions_wrote() {
    let mut checked = 0;
    for name in list(FOLDER) {
        let Some((stem, extension)) = name.rsplit_once('.') else { continue };
        let Some((topic, version)) = stem.rsplit_once(".v") else { continue };
        assert!(version.parse::<u32>().is_ok(), "{name} has no number as its version");
        let current = read(&format!("{FOLDER}/{topic}.{extension}"));
        let format = if extension == "avsc" { Format::Avro } else { Format::Json };
        reads(format, &current, &read(&format!("{FOLDER}/{name}")))
            .unwrap_or_else(|problem| panic!("{FOLDER}/{topic}.{extension} cannot read records of {name}: {problem}"));
        checked += 1;
    }
    assert!(checked > 0, "no earlier version was found");
}

/// Whether a schema file and a table's columns say the same.
fn describes(format: Format, text: &str, columns: &Schema) -> Result<(), String> {
    match format {
        Format::Avro => {
            let schema = ReaderSchema::parse(text).map_err(|error| error.chain())?;
            let fields: BTreeSet<String> = schema.fields().into_iter().map(|(name, _)| name).collect();
            let names = columns.columns().iter().map(|column| column.source().to_owned()).collect();
            if fields == names { Ok(()) } else { Err(format!("its fields {fields:?} are not the columns {names:?}")) }
        }
        Format::Json => {
            let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let properties = schema["properties"].as_object().ok_or("it has no properties")?;
            let required = names(&schema["required"]);
            for column in columns.columns() {
                let name = column.source();
                let property = properties.get(name).ok_or_else(|| format!("it lacks {name}"))?;
                let (kind, format) = (property["type"].as_str(), property["format"].as_str());
                let fits = match column.column_type {
                    ColumnType::Bigint => kind == Some("integer"),
                    ColumnType::Text => kind == Some("string"),
                    ColumnType::Boolean => kind == Some("boolean"),
                    ColumnType::Decimal(..) => matches!(kind, Some("number" | "string")),
                    ColumnType::Timestamp => (kind, format) == (Some("string"), Some("date-time")),
                    ColumnType::Date => (kind, format) == (Some("string"), Some("date")),
                };
                if !fits {
                    return Err(format!("{name} is no {}", column.column_type));
                }
                if column.required != required.contains(name) {
                    return Err(format!("{name} is required by one and not by the other"));
                }
                for (keyword, bound) in [
                    ("minimum", column.minimum),
                    ("exclusiveMinimum", column.exclusive_minimum),
                    ("maximum", column.maximum),
                ] {
                    if bound.is_some_and(|bound| property[keyword].as_i64() != Some(bound)) {
                        return Err(format!("{name} has another {keyword}"));
                    }
                }
            }
            let known = |name: &&String| columns.position_of_source(name).is_some();
            properties.keys().find(|name| !known(name)).map_or(Ok(()), |name| Err(format!("{name} is no column")))
        }
    }
}

/// Whether records of the earlier schema are records of the later one.
fn reads(format: Format, later: &str, earlier: &str) -> Result<(), String> {
    match format {
        Format::Avro => {
            let [later, earlier] =
                [later, earlier].map(|text| ReaderSchema::parse(text).map_err(|error| error.chain()));
            later?.reads(&earlier?).map_err(|error| error.chain())
        }
        Format::Json => {
            let [later, earlier] =
                [later, earlier].map(|text| serde_json::from_str::<Value>(text).map_err(|error| error.to_string()));
            json_reads(&later?, &earlier?)
        }
    }
}

fn json_reads(later: &Value, earlier: &Value) -> Result<(), String> {
    if let Some(name) = names(&later["required"]).difference(&names(&earlier["required"])).next() {
        return Err(format!("{name} is required now"));
    }
    if later["additionalProperties"] == json!(false) && earlier["additionalProperties"] != json!(false) {
        return Err("further fields are forbidden now".to_owned());
    }
    let empty = serde_json::Map::new();
    let [now, before] = [later, earlier].map(|schema| schema["properties"].as_object().unwrap_or(&empty));
    for (name, before) in before {
        let Some(now) = now.get(name) else { continue };
        let [now_types, before_types] = [now, before].map(types);
        let widened = |kind: &String| now_types.contains(kind) || kind == "integer" && now_types.contains("number");
        if !before_types.iter().all(widened) {
            return Err(format!("{name} was {before_types:?} and is {now_types:?}"));
        }
        for keyword in ["format", "pattern", "const", "multipleOf"] {
            if !now[keyword].is_null() && now[keyword] != before[keyword] {
                return Err(format!("{name} has another {keyword}"));
            }
        }
        for (keyword, grows) in [("minimum", false), ("minLength", false), ("maximum", true), ("maxLength", true)] {
            let Some(bound) = now[keyword].as_f64() else { continue };
            let kept = before[keyword].as_f64().is_some_and(|was| if grows { bound >= was } else { bound <= was });
            if !kept {
                return Err(format!("{name} has a narrower {keyword}"));
            }
        }
        if !now["enum"].is_null()
            && (before["enum"].is_null() || !names(&before["enum"]).is_subset(&names(&now["enum"])))
        {
            return Err(format!("{name} takes fewer values"));
        }
    }
    Ok(())
}

fn names(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn types(property: &Value) -> BTreeSet<String> {
    property["type"].as_str().map(|kind| BTreeSet::from([kind.to_owned()])).unwrap_or_else(|| names(&property["type"]))
}

#[test]
fn the_check_of_json_schemas_knows_what_breaks_a_reader() {
    let schema = |required: Value, properties: Value| json!({"required": required, "properties": properties});
    let number = |kind: &str, minimum: i64| json!({"type": kind, "minimum": minimum});
    let earlier = schema(json!(["a"]), json!({"a": number("integer", 1), "b": {"type": "string", "enum": ["x", "y"]}}));
    for (later, problem) in [
        (earlier.clone(), None),
        (schema(json!([]), json!({"a": number("number", 0), "b": {"type": ["string", "null"]}, "c": {}})), None),
        (schema(json!(["a"]), json!({"b": {"type": "string", "enum": ["x", "y", "z"]}})), None),
        (schema(json!(["a", "b"]), json!({})), Some("b is required now")),
        (schema(json!([]), json!({"a": number("string", 1)})), Some("a was")),
        (schema(json!([]), json!({"a": number("integer", 2)})), Some("narrower minimum")),
        (schema(json!([]), json!({"a": {"type": "integer", "maximum": 9}})), Some("narrower maximum")),
        (schema(json!([]), json!({"b": {"type": "string", "enum": ["x"]}})), Some("fewer values")),
        (schema(json!([]), json!({"b": {"type": "string", "format": "uuid"}})), Some("another format")),
        (json!({"required": [], "additionalProperties": false}), Some("forbidden now")),
    ] {
        let found = json_reads(&later, &earlier);
        match problem {
            None => assert_eq!(found, Ok(()), "{later}"),
            Some(part) => assert!(found.expect_err("a problem").contains(part), "{later}"),
        }
    }
}
