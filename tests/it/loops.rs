//! What CloudFormation asks of the template's loops (`Fn::ForEach`), of which SAM or an emulator forgives a part. No account has
//! been asked: these are the rules of its documentation and of the RFC that it was built by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    expanded::{expand, expanded, list, of_type, section, written},
    project::read,
};

const LOOP: &str = "Fn::ForEach::";
/// The sections that may hold loops.
const SECTIONS: [&str; 3] = ["Conditions", "Outputs", "Resources"];
/// How deep loops may be nested.
const DEPTH: usize = 5;

struct Loop {
    name: &'static str,
    identifier: &'static str,
    collection: &'static Value,
    fragment: &'static Map<String, Value>,
    /// The identifiers of the loops around it.
    outer: Vec<&'static str>,
}

/// The loops in a part of the template, the outer ones first.
fn loops_in(value: &'static Value, outer: &[&'static str], found: &mut Vec<Loop>) {
    match value {
        Value::Array(members) => members.iter().for_each(|member| loops_in(member, outer, found)),
        Value::Object(members) => {
            for (key, member) in members {
                let Some(name) = key.strip_prefix(LOOP) else {
                    loops_in(member, outer, found);
                    continue;
                };
                let [identifier, collection, fragment] = list(member) else { panic!("{key} has not three members") };
                let identifier = identifier.as_str().unwrap_or_else(|| panic!("{key} has no identifier"));
                let copies = fragment.as_object().unwrap_or_else(|| panic!("{key} has no fragment"));
                found.push(Loop { name, identifier, collection, fragment: copies, outer: outer.to_vec() });
                loops_in(fragment, &[outer, &[identifier]].concat(), found);
            }
        }
        _ => {}
    }
}

fn loops() -> Vec<Loop> {
    let mut found = Vec::new();
    for name in SECTIONS {
        loops_in(&written()[name], &[], &mut found);
    }
    assert!(found.len() >= 6, "the template has {} loops: this test would check nothing", found.len());
    found
}

fn is_alphanumeric(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric())
}

/// Whether a text names a loop's identifier to be replaced.
fn names(text: &str, identifier: &str) -> bool {
    text.contains(&format!("${{{identifier}}}")) || text.contains(&format!("&{{{identifier}}}"))
}

#[test]
fn loops_stand_only_where_cloudformation_expands_them() {
    let text = read("template.yaml");
    let written_out = text.lines().filter(|line| line.trim_start_matches(['-', ' ']).starts_with(LOOP)).count();
    assert_eq!(loops().len(), written_out, "a loop stands outside of {SECTIONS:?}");
    let transform = list(&written()["Transform"]);
    assert_eq!(transform, ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"], "loops come before SAM");
}

#[test]
fn no_loop_and_no_identifier_has_the_name_of_something_else() {
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for name in ["Parameters", "Resources", "Conditions", "Mappings"] {
        taken.extend(section(name).as_object().expect("members by name").keys().map(String::as_str));
    }
    let loops = loops();
    let identifiers: BTreeSet<&str> = loops.iter().map(|one| one.identifier).collect();
    for one in &loops {
        assert!(is_alphanumeric(one.name) && is_alphanumeric(one.identifier), "{}", one.name);
        assert!(taken.insert(one.name), "{} is the name of another loop, a resource or a parameter", one.name);
        assert!(!one.outer.contains(&one.identifier), "{}: a loop around it has {}", one.name, one.identifier);
        assert!(one.outer.len() < DEPTH, "{} is in {} loops", one.name, one.outer.len());
    }
    for identifier in identifiers {
        assert!(!taken.contains(identifier), "{identifier} is an identifier and the name of something else");
    }
}

#[test]
fn a_loop_goes_through_names_or_a_parameter_that_everybody_may_read() {
    for one in loops() {
        if let Some(parameter) = one.collection["Ref"].as_str() {
            let parameter = &section("Parameters")[parameter];
            assert!(parameter["Type"] == "CommaDelimitedList" && parameter["NoEcho"].is_null(), "{}", one.name);
        } else {
            let names = one.collection.as_array().unwrap_or_else(|| panic!("{} goes through no list", one.name));
            let distinct: BTreeSet<&str> = names.iter().map(|name| name.as_str().expect("a name")).collect();
            assert!(!names.is_empty() && distinct.len() == names.len(), "{}: {names:?}", one.name);
        }
    }
}

#[test]
fn each_copy_is_named_by_every_loop_that_it_is_in() {
    for one in loops() {
        for key in one.fragment.keys().filter(|key| !key.starts_with(LOOP)) {
            for identifier in one.outer.iter().chain([&one.identifier]) {
                assert!(names(key, identifier), "{key} of {} does not name {identifier}", one.name);
            }
        }
    }
    for name in SECTIONS {
        let members = section(name).as_object().expect("members by name");
        assert!(members.keys().all(|key| is_alphanumeric(key)), "{name} has a name that is not alphanumeric");
    }
}

/// CloudFormation replaces an identifier in keys of copies, in `!Sub` and in `!Ref`; SAM replaces it in any text.
#[test]
fn no_identifier_stands_where_only_sam_replaces_it() {
    let expanded = expanded().to_string();
    for one in loops() {
        assert!(!names(&expanded, one.identifier), "{} of {} stays as it is", one.identifier, one.name);
    }
}

/// CloudFormation refuses a copy that begins with its condition; `sam build` ends with a TypeError at one that is composed.
#[test]
fn a_copy_begins_with_its_type_and_has_a_condition_that_is_written_out() {
    let text = read("template.yaml");
    let is_copy = |line: &str| line.ends_with("}:") && (line.contains("${") || line.contains("&{"));
    let copies = text.lines().zip(text.lines().skip(1)).filter(|(line, _)| is_copy(line));
    for (copy, next) in copies {
        assert!(next.trim_start().starts_with("Type: "), "{copy} does not begin with its type");
    }
    for one in loops() {
        for (key, copy) in one.fragment.iter().filter(|(key, _)| !key.starts_with(LOOP)) {
            let condition = &copy["Condition"];
            let is_plain = condition.as_str().is_none_or(|name| section("Conditions").get(name).is_some());
            assert!((condition.is_null() || condition.is_string()) && is_plain, "{key}: {condition}");
        }
    }
}

#[test]
fn the_expanded_template_is_within_the_quotas_of_a_stack() {
    let count = |name: &str| section(name).as_object().map_or(0, Map::len);
    // SAM makes of a function at most itself, an invoke configuration, a mapping, a URL and two permissions.
    let resources = count("Resources") + 5 * of_type("::Serverless::Function").len();
    assert!(resources <= 500, "{resources} resources of at most 500");
    for name in ["Parameters", "Mappings", "Outputs"] {
        assert!(count(name) <= 200, "{} {name} of at most 200", count(name));
    }
    let bytes = expanded().to_string().len();
    // Half of what is allowed: SAM's own resources come to it.
    assert!(bytes <= 500_000, "the template has {bytes} bytes when its loops are expanded");
}

#[test]
fn sam_makes_the_same_copies_as_the_emulator() {
    let by_sam: BTreeMap<String, String> =
        serde_json::from_value(expand("sam", "expand_sam.py")).expect("types by the names of resources");
    let resources = section("Resources").as_object().expect("resources by name");
    let by_emulator: BTreeMap<String, String> = resources
        .iter()
        .map(|(name, resource)| (name.clone(), resource["Type"].as_str().unwrap_or_default().to_owned()))
        .collect();
    assert_eq!(by_sam, by_emulator);
}
