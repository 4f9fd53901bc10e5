//! The settings of each function agree in its code, its README and the template.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sluice_core::yaml;

use crate::{
    code::SOURCES,
    project::{files, functions, read},
};

/// Names like `SLUICE_…` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for part in text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')) {
        if part.starts_with("SLUICE_") && part.len() > "SLUICE_".len() {
            names.insert(part.to_owned());
        }
    }
    names
}

/// What a function's code reads, by its own config and the configs of the crates it shares.
fn read_by(function: &str) -> BTreeSet<String> {
    let own = &SOURCES[&format!("functions/{function}/src/config.rs")].code;
    let mut all = names(own);
    for (marker, config) in [
        ("SnowflakeConfig", "shared/sluice-snowflake/src/config.rs"),
        ("DbtCloudConfig", "shared/sluice-dbt/src/client.rs"),
        ("DbtProjectConfig", "shared/sluice-dbt/src/project.rs"),
        ("HubspotConfig", "shared/sluice-hubspot/src/config.rs"),
        ("HubSpotConfig", "shared/sluice-hubspot/src/config.rs"),
        ("KafkaConfig", "shared/sluice-kafka/src/config.rs"),
        ("PostgresConfig", "shared/sluice-postgres/src/config.rs"),
    ] {
        if own.contains(marker) {
            all.extend(names(&SOURCES[config].code));
        }
    }
    all
}

/// What a function's README tells in its table.
fn told_by(function: &str) -> BTreeSet<String> {
    let readme = read(&format!("functions/{function}/README.md"));
    let rows = readme.lines().filter(|line| line.starts_with("| `SLUICE_"));
    rows.flat_map(|row| names(row.split('|').nth(1).unwrap_or_default())).collect()
}

#[test]
fn each_readme_tells_exactly_the_variables_that_the_code_reads() {
    for function in functions() {
        assert_eq!(told_by(&function), read_by(&function), "functions/{function}/README.md against its config");
    }
}

#[test]
fn the_template_sets_no_variable_that_nobody_reads_and_none_is_missing() {
    let template = names(&read("template.yaml"));
    let read: BTreeSet<String> = functions().iter().flat_map(|function| read_by(function)).collect();
    let unknown: Vec<&String> = template
        .difference(&read)
        .filter(|name| !["SLUICE_LOADER", "SLUICE_PROFILE"].contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "the template sets {unknown:?}, which no function reads");
    for function in functions() {
        let readme = crate::project::read(&format!("functions/{function}/README.md"));
        for row in readme.lines().filter(|line| line.starts_with("| `SLUICE_") && line.contains("| required |")) {
            for name in names(row.split('|').nth(1).unwrap_or_default()) {
                assert!(template.contains(&name), "{function} requires {name}, the template does not set it");
            }
        }
    }
}

/// Programs that start functions without the template, and the functions that each starts: those that it names, or all.
fn starters() -> Vec<(String, Vec<String>)> {
    let benches = files(".py").into_iter().filter(|path| path.starts_with("bench/"));
    benches
        .map(|path| {
            let text = read(&path);
            let all = text.contains("for name in functions()");
            let named = functions().into_iter().filter(|function| all || text.contains(&format!("\"{function}\"")));
            (path, named.collect())
        })
        .collect()
}

#[test]
fn every_bench_sets_what_functions_require() {
    let starters = starters();
    for (path, least) in [("bench/p1.py", 1), ("bench/p3.py", functions().len())] {
        let (_, started) = starters.iter().find(|(name, _)| name == path).expect("the bench is there");
        assert!(started.len() >= least, "{path} starts {started:?}");
    }
    for (path, started) in starters {
        let set = names(&read(&path));
        for function in started {
            let readme = read(&format!("functions/{function}/README.md"));
            for row in readme.lines().filter(|line| line.starts_with("| `SLUICE_") && line.ends_with("| required |")) {
                for name in names(row.split('|').nth(1).unwrap_or_default()) {
                    assert!(set.contains(&name), "{function} requires {name}, {path} does not set it");
                }
            }
        }
    }
}

#[test]
fn every_raw_table_is_a_source_of_the_dbt_project_with_its_columns() {
    let project = yaml::parse(&read("dbt/models/staging/_sources.yml")).root.expect("YAML").value.to_json();
    let names = |list: &Value, name: &str| -> Vec<String> {
        list.as_array().into_iter().flatten().map(|item| item[name].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut declared = BTreeMap::new();
    for source in project["sources"].as_array().expect("sources") {
        for table in source["tables"].as_array().expect("tables") {
            let name = format!("{}.{}", source["name"], table["identifier"]).replace('"', "");
            declared.insert(name, names(&table["columns"], "name"));
        }
    }
    let sources = sluice_core::Sources::parse(&read("platform/sources.yaml")).expect("valid sources");
    let expected: BTreeMap<String, Vec<String>> = sources
        .tables
        .iter()
        .map(|table| {
            let id = &table.table;
            let name = format!("{}_{}", id.database, id.schema).to_lowercase();
            let columns = table.columns.columns().iter().map(|column| column.name.clone()).collect();
            (format!("{name}.{}", id.table), columns)
        })
        .collect();
    assert_eq!(declared, expected);
}
