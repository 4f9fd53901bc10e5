//! The rules of the house, checked by machine.

use crate::{
    code::{SOURCES, code, shipped},
    project::{dependencies, files, functions, list, read, root},
};

#[test]
fn what_is_shipped_has_no_duckdb_no_kafka_library_in_c_and_no_emulator() {
    let banned = ["duckdb", "libduckdb-sys", "rdkafka", "rdkafka-sys", "axum", "sluice-testkit"];
    for package in functions().into_iter().chain(list("shared")).chain(["sluice-cli".to_owned()]) {
        let needed = dependencies(&package);
        let found: Vec<&String> =
            needed.iter().filter(|name| banned.contains(&name.as_str()) || name.starts_with("emulator")).collect();
        assert!(found.is_empty(), "{package} depends on {found:?}");
    }
}

#[test]
fn of_shared_crates_one_knows_lambda_and_one_the_aws_sdk() {
    for package in list("shared") {
        let manifest = read(&format!("shared/{package}/Cargo.toml"));
        let direct = |prefix: &str| manifest.lines().any(|line| line.starts_with(prefix));
        assert!(package == "sluice-lambda" || !direct("lambda_runtime"), "{package} knows Lambda");
        assert!(package == "sluice-lambda" || !direct("aws_lambda_events"), "{package} knows Lambda's events");
        assert!(package == "sluice-aws" || !direct("aws-sdk") && !direct("aws-config"), "{package} knows the AWS SDK");
    }
}

#[test]
fn the_core_and_the_loops_reach_nothing_but_their_ports() {
    for package in ["sluice-core", "sluice-pipeline", "sluice-watch"] {
        for name in ["tokio", "reqwest", "hyper", "aws-config"] {
            assert!(!dependencies(package).contains(&name.to_owned()), "{package} depends on {name}");
        }
    }
    // What the core offers to those who pass a port in, and calls nowhere itself.
    let offered = [("shared/sluice-core/src/port.rs", "Utc::now"), ("shared/sluice-core/src/sources.rs", "std::fs")];
    let calls = [
        "Utc::now",
        "Local::now",
        "SystemTime::now",
        "Instant::now",
        "std::env",
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "Uuid::new_v4",
        "Uuid::now_v7",
        "fastrand",
    ];
    for (path, source) in shipped() {
        if ["shared/sluice-core/", "shared/sluice-pipeline/", "shared/sluice-watch/"]
            .iter()
            .any(|loops| path.starts_with(loops))
        {
            for call in calls.into_iter().filter(|call| !offered.contains(&(path, *call))) {
                assert!(!source.names(call), "{path} names {call}: that belongs behind a port");
            }
        }
    }
    for (path, call) in offered {
        assert!(SOURCES[path].names(call), "{path} no longer names {call}: take it off the list");
    }
}

#[test]
fn the_environment_is_read_in_one_place() {
    let calls = ["env::var", "env::var_os", "env::vars", "env::vars_os"];
    let reads = shipped().into_iter().filter(|(_, source)| calls.iter().any(|call| source.names(call)));
    let reading: Vec<&str> = reads.map(|(path, _)| path).collect();
    assert_eq!(reading, ["shared/sluice-lambda/src/start.rs"]);
}

#[test]
fn sql_lives_where_it_belongs() {
    // The report's queries are compiled of Lightdash's files, for more than one warehouse.
    let home = ["shared/sluice-postgres/", "shared/sluice-snowflake/", "functions/publish-report/src/lightdash/"];
    let verbs = ["SELECT ", "INSERT INTO ", "MERGE INTO ", "COPY INTO ", "CREATE TABLE "];
    for (path, source) in shipped().into_iter().filter(|(path, _)| !home.iter().any(|home| path.starts_with(home))) {
        for line in source.code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            assert!(!verbs.iter().any(|verb| line.contains(verb)), "{path} holds SQL: {line}");
        }
    }
}

/// Where functions and the operator's command are wired to the warehouse: a second one is named here and nowhere else.
const WIRING: [&str; 8] = [
    "cli/src/warehouse.rs",
    "functions/activate-hubspot/src/config.rs",
    "functions/dispatch-dbt/src/config.rs",
    "functions/load-commits/src/config.rs",
    "functions/provision-warehouse/src/config.rs",
    "functions/publish-report/src/config.rs",
    "functions/stream-kafka/src/config.rs",
    "functions/watch-platform/src/config.rs",
];

#[test]
fn only_wiring_names_the_warehouses_crate() {
    let is_wired = |path: &str| ["cli/", "functions/"].iter().any(|folder| path.starts_with(folder));
    let naming = SOURCES.iter().filter(|(path, source)| is_wired(path) && source.text.contains("sluice_snowflake"));
    let found: Vec<&String> = naming.map(|(path, _)| path).collect();
    assert_eq!(found, WIRING);
}

#[test]
fn the_sketch_of_a_second_warehouse_names_the_files_of_the_first() {
    let page = read("docs/adr/0006-crates-and-the-duckdb-fence.md");
    let home = "shared/sluice-snowflake/src";
    let mut ports = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let names = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let (files, says) = (names(cells[0]), names(cells[1]));
        for file in &files {
            assert!(root().join(home).join(file).exists(), "{home} has no {file}");
        }
        for name in says.iter().filter(|name| name.ends_with(".rs")) {
            assert!(root().join(home).join(&files[0]).join(name).exists(), "{home}/{} has no {name}", files[0]);
        }
        for port in says.iter().filter_map(|name| name.split("::").nth(1)) {
            assert!(
                SOURCES[&format!("{home}/{}", files[0])].code.contains(&format!("{port} for ")),
                "{}: {port}",
                files[0]
            );
            ports += 1;
        }
    }
    assert_eq!(ports, 10, "a port of the loops is in no row");
    for wiring in WIRING {
        assert!(page.contains(&format!("`{wiring}`")), "the page does not name {wiring}");
        assert!(SOURCES[wiring].code.contains("type Warehouse = "), "{wiring}");
    }
}

#[test]
fn no_port_names_a_warehouses_vendor() {
    let is_port = |path: &str| path.starts_with("shared/sluice-pipeline/") || path.ends_with("sluice-core/src/port.rs");
    for (path, source) in shipped().into_iter().filter(|(path, _)| is_port(path)) {
        let text = source.code.to_lowercase();
        for vendor in ["snowflake", "snowpipe", "duckdb"] {
            assert!(!text.contains(vendor), "{path} names {vendor}");
        }
    }
}

#[test]
fn functions_have_the_same_shape() {
    let headings =
        ["What it does", "Trigger", "Reads and writes", "Environment", "Failure behaviour", "IAM", "Run it locally"];
    for function in functions() {
        for file in ["Cargo.toml", "README.md", "src/main.rs", "src/lib.rs", "src/config.rs", "src/handler.rs"] {
            assert!(root().join("functions").join(&function).join(file).exists(), "{function} lacks {file}");
        }
        let readme = read(&format!("functions/{function}/README.md"));
        let found: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(found, headings, "the README of {function}");
        let main = read(&format!("functions/{function}/src/main.rs"));
        assert!(main.lines().count() <= 40, "{function}: main.rs is bootstrap only");
        let lines = SOURCES[&format!("functions/{function}/src/handler.rs")].lines();
        assert!(lines <= 80, "{function}: handler.rs only translates, and has {lines} lines");
        assert!(!list(&format!("events/{function}")).is_empty(), "{function} has no events");
    }
}

#[test]
fn files_are_short_enough_to_hold_in_mind_and_named_for_what_they_hold() {
    let vague = ["utils", "helpers", "common", "types", "misc", "manager"];
    for (path, source) in SOURCES.iter() {
        let lines = source.lines();
        assert!(lines <= 500, "{path} has {lines} lines");
        let stem = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        assert!(!vague.contains(&stem), "{path} says nothing by its name");
    }
}

#[test]
fn the_repository_holds_what_was_written_and_nothing_that_was_made() {
    let hidden = [".cargo", ".ci", ".github", ".gitignore"];
    let made = ["target", "node_modules", "__pycache__", "manifest.json", "run_results.json", "partial_parse.msgpack"];
    for path in files("") {
        let top = path.split('/').next().unwrap_or_default();
        assert!(!top.starts_with('.') || hidden.contains(&top), "{path} is no file of the project's: remove it");
        let is_made = path.split('/').any(|part| made.contains(&part) || part.ends_with(".duckdb"));
        assert!(!is_made, "{path} was made by a program: remove it and name it in .gitignore");
    }
}

#[test]
fn nothing_is_left_half_done() {
    // Spelled in parts, so that this file does not find itself.
    let marks = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["HA", "CK"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["dbg", "!("],
    ]
    .map(|parts| parts.concat());
    for ending in [".rs", ".sql", ".py", ".yaml", ".yml", ".md"] {
        for path in files(ending) {
            let text = read(&path);
            for mark in &marks {
                // A size of a warehouse begins with one of them.
                let is_mark = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_uppercase());
                let held = text.match_indices(mark.as_str()).any(|(at, _)| is_mark(&text[at + mark.len()..]));
                assert!(!held, "{path} holds {mark}");
            }
        }
    }
}

#[test]
fn the_emulators_stay_smaller_than_what_they_stand_beside() {
    let count = |folders: &[&str]| -> usize {
        let own = |path: &String| folders.iter().any(|folder| path.starts_with(folder));
        SOURCES.iter().filter(|(path, _)| own(path)).map(|(_, source)| source.text.lines().count()).sum()
    };
    let (local, platform) = (count(&["local/"]), count(&["functions/", "shared/"]));
    assert!(local < platform, "local/ has {local} lines, functions/ and shared/ {platform}");
}

#[test]
fn every_module_says_what_it_is() {
    for (path, source) in code().into_iter().filter(|(path, _)| !path.ends_with("main.rs")) {
        assert!(source.text.starts_with("//!"), "{path} has no header");
    }
}

#[test]
fn tests_stand_below_their_code_or_in_a_file_tests() {
    let in_code: Vec<&str> = code().into_iter().map(|(path, _)| path).collect();
    for (path, source) in SOURCES.iter().filter(|(path, _)| path.contains("/src/")) {
        let is_part = in_code.contains(&path.as_str());
        assert!(
            is_part || source.tests.is_empty() || is_of_tests(path),
            "{path}: call it tests.rs, in its code's folder"
        );
        assert!(!path.ends_with("/tests/mod.rs"), "{path}: call it tests.rs, beside its folder");
        assert!(!source.text.contains("#[path ="), "{path} puts a module elsewhere than its name says");
    }
}

fn is_of_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[test]
fn a_test_is_named_by_a_fact_of_at_most_70_characters() {
    for (path, source) in SOURCES.iter() {
        for name in &source.tests {
            assert!(name.len() <= 70, "{path}: {name} has {} characters", name.len());
        }
    }
}

#[test]
fn no_test_stands_where_the_tests_do_not_run_it() {
    let runs = read("tools/test");
    let run = ["cli/src/main.rs", "local/src/main.rs"];
    assert!(
        runs.contains("--lib --bin sluice --bin sluice-local --test '*'"),
        "tools/test runs the tests of other programs than these"
    );
    for (path, source) in SOURCES.iter() {
        let is_program = path.ends_with("src/main.rs") || path.contains("/src/bin/") || path.starts_with("bench/");
        assert!(!is_program || run.contains(&path.as_str()) || source.tests.is_empty(), "{path} has tests");
        let example = source.text.lines().find(|line| line.trim_start().starts_with("/// ```"));
        assert!(example.is_none(), "{path} has an example in a comment, which is never run");
    }
}
