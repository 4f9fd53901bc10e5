//! Growth has limits. Raising one needs a decision in docs/adr/, which says what the lines buy.

use std::process::Command;

use serde_json::{Map, Value};

use crate::{
    expanded::section,
    project::{files, read, root},
};

const RAISED_BY: &str = "make it smaller, or raise the limit by a decision in docs/adr/ (0012 says why there is one)";

/// Lines of Rust in folders, without tests: the end of a file from a test module with a body on is one.
fn lines(folders: &[&str]) -> usize {
    let is_test = |path: &str| path.contains("/tests/") || path.ends_with("tests.rs") || path.ends_with("fakes.rs");
    let counted = |path: &String| folders.iter().any(|folder| path.starts_with(folder)) && !is_test(path);
    files(".rs").iter().filter(|path| counted(path)).map(|path| code(&read(path)).lines().count()).sum()
}

/// A module that is only declared has a file of its own.
fn code(text: &str) -> &str {
    let has_body = |at: &usize| text[*at..].lines().nth(1).is_some_and(|declared| declared.ends_with('{'));
    let tests = text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at).find(has_body);
    &text[..tests.unwrap_or(text.len())]
}

#[test]
fn a_declared_test_module_hides_no_line() {
    let declared = "//! A crate.\n#[cfg(test)]\nmod tests;\nfn one() {}\n";
    assert_eq!(code(declared), declared);
    assert_eq!(code("fn one() {}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n"), "fn one() {}\n\n");
}

#[test]
fn the_code_stays_within_its_lines() {
    for (folders, limit) in [
        (&["functions/", "shared/", "cli/"][..], 69_000),
        (&["local/"][..], 19_500),
        (&["local/parts/snowflake/"][..], 8_500),
    ] {
        let lines = lines(folders);
        assert!(lines > limit / 4, "{folders:?} has {lines} lines: this test would check nothing");
        assert!(lines <= limit, "{folders:?} has {lines} lines of at most {limit}: {RAISED_BY}");
    }
}

#[test]
fn the_template_stays_within_its_lines_and_their_length() {
    let template = read("template.yaml");
    let lines = template.lines().count();
    assert!(lines <= 1_900, "template.yaml has {lines} lines of at most 1900: {RAISED_BY}");
    for (at, line) in template.lines().enumerate() {
        assert!(line.chars().count() <= 140, "template.yaml:{} is longer than 140 characters", at + 1);
    }
}

#[test]
fn the_template_stays_within_its_parameters() {
    let parameters = section("Parameters").as_object().map_or(0, Map::len);
    assert!((10..=45).contains(&parameters), "template.yaml has {parameters} parameters of at most 45: {RAISED_BY}");
}

#[test]
fn the_workspace_stays_within_its_packages() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo tells the packages");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["workspace_members"].as_array().expect("the members").len();
    assert!(packages <= 30, "the workspace has {packages} packages of at most 30: {RAISED_BY}");
}

#[test]
fn the_command_stays_within_its_verbs() {
    let arguments = read("cli/src/args.rs");
    let task = arguments.split("enum Task {\n").nth(1).and_then(|rest| rest.split("\n}").next()).expect("the verbs");
    let is_verb = |line: &&str| line.trim_start().starts_with(|first: char| first.is_ascii_uppercase());
    let verbs = task.lines().filter(is_verb).count();
    assert!((5..=30).contains(&verbs), "sluice has {verbs} verbs of at most 30: {RAISED_BY}");
}
