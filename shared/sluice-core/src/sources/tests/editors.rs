//! The JSON Schema that editors check `platform/sources.yaml` by while it is written: made of the very types, and kept beside
//! the file. What spans several settings only the judge knows.

use std::{fs, path::Path};

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{Sources, Table};
use crate::{functions, yaml};

pub(crate) const TABLE: &str = r"^[A-Z_][A-Z0-9_]*\.[A-Z_][A-Z0-9_]*\.[A-Z_][A-Z0-9_]*$";
pub(crate) const TYPE: &str =
    r"^(bigint|text|timestamp|date|boolean|decimal\( *([1-9]|[12][0-9]|3[0-8]) *, *([0-9]|[12][0-9]|3[0-8]) *\))$";
pub(crate) const SCHEDULE: &str =
    r"^(hourly|daily [0-9]{1,2}( *, *[0-9]{1,2})*|weekly (mon|tues|wednes|thurs|fri|satur|sun)day [0-9]{1,2})$";

/// What Sluice extracts, how it loads, and the contract of every raw table.
#[derive(JsonSchema)]
#[schemars(title = "platform/sources.yaml")]
#[serde(deny_unknown_fields)]
struct File {
    #[allow(dead_code, reason = "the schema is all that is wanted of it")]
    #[schemars(length(min = 1))]
    tables: Vec<Table>,
}

fn schema() -> Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<File>().to_value();
    strict(&mut schema);
    schema
}

/// A setting is there or it is left out: none is null, though Rust reads both alike.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [one] = &types[..] {
                    let one = one.clone();
                    fields.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(cases)) = fields.get_mut("anyOf") {
                cases.retain(|case| *case != json!({"type": "null"}));
                if let [Value::Object(one)] = &cases[..] {
                    let one = one.clone();
                    fields.remove("anyOf");
                    fields.extend(one);
                }
            }
            if fields.get("default") == Some(&Value::Null) {
                fields.remove("default");
            }
            fields.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

#[test]
fn the_schema_for_editors_is_that_of_the_types() {
    let path = project("platform/sources.schema.json");
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &text).expect("a writable schema");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "{} is not of these types; UPDATE_SNAPSHOTS=1 writes it", path.display());
    let shipped = fs::read_to_string(project("platform/sources.yaml")).expect("the shipped file");
    assert!(shipped.starts_with("# yaml-language-server: $schema=sources.schema.json\n"), "no editor finds the schema");
}

#[test]
fn the_schema_takes_what_the_judge_takes_and_knows_each_setting() {
    let validator = jsonschema::validator_for(&schema()).expect("a JSON schema");
    let takes = |text: &str| {
        let tree = yaml::parse(text).root.expect("YAML").value.to_json();
        let faults: Vec<String> = validator.iter_errors(&tree).map(|e| format!("{}: {e}", e.instance_path())).collect();
        (faults.is_empty(), Sources::parse(text).is_ok(), faults)
    };
    for text in [include_str!("../../../../../platform/sources.yaml"), super::EVERY_SETTING] {
        let (by_schema, by_judge, faults) = takes(text);
        assert!(by_schema && by_judge, "{faults:?}");
    }
    let entry = super::EVERY_SETTING;
    for (right, wrong) in [
        ("table: DLT.A.B", "table: dlt.a.b"),
        ("type: bigint, required", "type: int, required"),
        ("decimal(18,4)", "decimal(39,4)"),
        ("schedule: daily 0, 9", "schedule: daily"),
        ("loader: copy", "loader: cpy"),
        ("minimum: 0", "minimum: '0'"),
        ("minimum: 0", "minimun: 0"),
        ("kind: postgres", "kind: postgresql"),
        ("cursor: id", "cursors: id"),
        ("key: [id]", "key: id"),
        ("first_date: 2025-10-30", "first_date: 2025"),
        ("partitions: 6", "partitions: 0"),
        ("partitions: 6", "partitions: 10001"),
        ("retention_hours: 168", "retention_hours: 7d"),
        ("compaction: true", "compaction: 1"),
    ] {
        assert!(entry.contains(right), "{right}");
        let (by_schema, by_judge, _) = takes(&entry.replacen(right, wrong, 1));
        assert!(!by_schema && !by_judge, "{wrong}: taken by schema {by_schema}, by judge {by_judge}");
    }
    // Every setting that the types know is in the example, so the judge has read each.
    let tree = yaml::parse(entry).root.expect("YAML").value.to_json();
    let text = schema().to_string();
    let entries = tree["tables"].as_array().expect("entries");
    let known = |name: &str| {
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        let properties = schema["$defs"][name]["properties"].as_object().cloned();
        properties.unwrap_or_else(|| panic!("{name} has no properties")).into_iter().map(|(name, _)| name)
    };
    for name in known("Table") {
        assert!(entries.iter().any(|entry| !entry[&name].is_null()), "no example has {name}");
    }
    let columns = || entries.iter().flat_map(|entry| entry["columns"].as_array().into_iter().flatten());
    for name in known("Column") {
        assert!(columns().any(|column| !column[&name].is_null()), "no example's column has {name}");
    }
}

#[test]
fn each_kind_of_source_is_brought_by_one_function() {
    let schema = schema();
    let kinds = schema["$defs"]["Source"]["oneOf"].as_array().expect("the kinds").iter();
    let mut kinds: Vec<&str> = kinds.filter_map(|kind| kind["properties"]["kind"]["const"].as_str()).collect();
    let mut brought: Vec<&str> = functions::ALL.iter().flat_map(|function| function.kinds).copied().collect();
    kinds.sort_unstable();
    brought.sort_unstable();
    assert_eq!(brought, kinds);
}
