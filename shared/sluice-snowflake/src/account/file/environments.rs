//! One file for every environment: values that differ, entries that only some have, and entries that are there once for each.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::{
    judge::Report,
    yaml::{At, Node, Place, Value},
};

use super::{Settings, named};
use crate::account::name::Name;

type Values = BTreeMap<String, String>;

/// What stands between the items of a value that is a list.
const BETWEEN: &str = ", ";

pub(super) struct Environments {
    current: String,
    values: BTreeMap<String, Values>,
}

/// An entry of the environment that is asked for.
pub(super) struct Entry {
    pub name: Name,
    /// How messages name it.
    pub about: String,
    pub node: Node,
}

impl Environments {
    pub(super) fn read(node: Option<&Node>, settings: &Settings, report: &mut Report) -> Option<Self> {
        let Some(node) = node else {
            report.add(Place { line: 1, column: 1 }, "`environments` is missing; name at least one, such as `dev: {}`");
            return None;
        };
        let Value::Mapping(given) = &node.value else {
            report.add(node.place, "`environments` must be a mapping from names to values");
            return None;
        };
        let mut values: BTreeMap<String, Values> =
            given.iter().map(|(name, node)| (name.value.clone(), own_values(name, node, report))).collect();
        let known = values.keys().cloned().collect::<Vec<_>>().join(", ");
        let Some(current) = values.get_mut(&settings.environment) else {
            let text = format!("'{}' is none of the environments; known are {known}", settings.environment);
            report.add(node.place, text);
            return None;
        };
        // What the deployment says of itself is true, whatever was written down.
        current.extend(settings.values.clone());
        Some(Environments { current: settings.environment.clone(), values })
    }

    fn known(&self) -> String {
        self.values.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// A part of the file with the values of the environment that is asked for.
    pub(super) fn own(&self, node: &Node, report: &mut Report) -> Node {
        self.filled(node, &self.current, report)
    }

    /// The entries of a section that this environment has.
    pub(super) fn entries(&self, section: &str, depth: usize, node: &Node, report: &mut Report) -> Vec<Entry> {
        let given: &[_] = match &node.value {
            Value::Mapping(given) => given,
            Value::Null => &[],
            other => {
                report.add(node.place, format!("`{section}` must be a mapping from names and is {}", other.kind()));
                &[]
            }
        };
        let mut found = Vec::new();
        let mut known: BTreeSet<Name> = BTreeSet::new();
        for (key, node) in given {
            for entry in self.once_for_each(section, depth, key, node, report) {
                if !known.insert(entry.name.clone()) {
                    report.add(key.place, format!("{}: there is another entry of this name; keep one", entry.about));
                }
                found.push(entry);
            }
        }
        found
    }

    fn once_for_each(
        &self,
        section: &str,
        depth: usize,
        key: &At<String>,
        node: &Node,
        report: &mut Report,
    ) -> Vec<Entry> {
        let mut node = node.clone();
        if node.value == Value::Null {
            node.value = Value::Mapping(Vec::new());
        }
        let mut differing = self.differing(&mut node, report);
        let only = self.listed(&mut node, "environments", report);
        if only.is_some_and(|only| !only.contains(&self.current)) {
            return Vec::new();
        }
        let each = self.listed(&mut node, "each", report).unwrap_or_else(|| vec![self.current.clone()]);
        let mut entries = Vec::new();
        for environment in each {
            let text = Value::Text(key.value.clone());
            let filled = self.filled(&At { value: text, place: key.place }, &environment, report);
            let Value::Text(text) = filled.value else { continue };
            let about = format!("{section}: {text}");
            let name = named(section, "name", &At { value: text, place: key.place }, report);
            let Some(name) = name else { continue };
            if name.depth() != depth {
                report.add(key.place, format!("{about}: is named {}", Name::form(depth)));
                continue;
            }
            let mut own = node.clone();
            if let (Value::Mapping(fields), Some(others)) = (&mut own.value, differing.remove(&environment)) {
                fields.retain(|(key, _)| !others.iter().any(|(other, _)| other.value == key.value));
                fields.extend(others);
            }
            entries.push(Entry { name, about, node: self.filled(&own, &environment, report) });
        }
        entries
    }

    /// Takes the settings out of an entry that are others in some environments.
    fn differing(&self, node: &mut Node, report: &mut Report) -> BTreeMap<String, Vec<(At<String>, Node)>> {
        let Value::Mapping(fields) = &mut node.value else { return BTreeMap::new() };
        let Some(at) = fields.iter().position(|(key, _)| key.value == "where") else { return BTreeMap::new() };
        let (_, differing) = fields.remove(at);
        let known = self.known();
        let Value::Mapping(given) = differing.value else {
            report.add(
                differing.place,
                format!("`where` must be a mapping from environments to settings; known are {known}"),
            );
            return BTreeMap::new();
        };
        let mut found = BTreeMap::new();
        for (environment, settings) in given {
            match settings.value {
                Value::Mapping(settings) if self.values.contains_key(&environment.value) => {
                    found.insert(environment.value, settings);
                }
                _ => {
                    report.add(environment.place, format!("`where`: name settings of one of the environments {known}"))
                }
            }
        }
        found
    }

    /// Takes a list of environments out of an entry.
    fn listed(&self, node: &mut Node, setting: &str, report: &mut Report) -> Option<Vec<String>> {
        let Value::Mapping(fields) = &mut node.value else { return None };
        let at = fields.iter().position(|(key, _)| key.value == setting)?;
        let (_, list) = fields.remove(at);
        let known = self.known();
        let Value::List(items) = &list.value else {
            report.add(list.place, format!("`{setting}` must be a list of environments; known are {known}"));
            return None;
        };
        if items.is_empty() {
            report.add(
                list.place,
                format!("`{setting}` names no environment, so the entry is nowhere; known are {known}"),
            );
        }
        let mut found = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(name) if self.values.contains_key(name) => found.push(name.clone()),
                _ => report.add(item.place, format!("`{setting}`: that is none of the environments {known}")),
            }
        }
        Some(found)
    }

    fn filled(&self, node: &Node, environment: &str, report: &mut Report) -> Node {
        let value = match &node.value {
            Value::Text(text) if text.contains("${") => Value::Text(self.text(text, environment, node.place, report)),
            Value::List(items) => {
                let filled = items.iter().flat_map(|item| self.items(item, environment));
                Value::List(filled.map(|item| self.filled(&item, environment, report)).collect())
            }
            Value::Mapping(fields) => {
                let fields = fields.iter().map(|(key, node)| (key.clone(), self.filled(node, environment, report)));
                Value::Mapping(fields.collect())
            }
            other => other.clone(),
        };
        At { value, place: node.place }
    }

    /// An item that is the name of a list stands for the items of that.
    fn items(&self, item: &Node, environment: &str) -> Vec<Node> {
        let named = match &item.value {
            Value::Text(text) => text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')),
            _ => None,
        };
        let listed = named.and_then(|name| self.value(name, environment)).filter(|value| value.contains(BETWEEN));
        match listed {
            Some(value) => {
                value.split(BETWEEN).map(|text| At { value: Value::Text(text.to_owned()), place: item.place }).collect()
            }
            None => vec![item.clone()],
        }
    }

    fn text(&self, text: &str, environment: &str, place: Place, report: &mut Report) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                report.add(place, format!("'{text}' has ${{ without }}"));
                return filled;
            };
            match self.value(name, environment) {
                Some(value) => filled.push_str(&value),
                None => report.add(
                    place,
                    format!(
                        "${{{name}}} has no value in the environment {environment}; give it one under `environments`, or \
                         in the deployment's settings"
                    ),
                ),
            }
            rest = after;
        }
        filled + rest
    }

    fn value(&self, name: &str, environment: &str) -> Option<String> {
        match name {
            "environment" => Some(environment.to_owned()),
            "ENVIRONMENT" => Some(environment.to_uppercase()),
            _ => self.values.get(environment)?.get(name).cloned(),
        }
    }
}

fn own_values(name: &At<String>, node: &Node, report: &mut Report) -> Values {
    let given: &[_] = match &node.value {
        Value::Mapping(given) => given,
        Value::Null => &[],
        other => {
            let text =
                format!("environment {}: must be a mapping from names to values and is {}", name.value, other.kind());
            report.add(node.place, text);
            &[]
        }
    };
    let mut values = Values::new();
    for (key, node) in given {
        match &node.value {
            Value::Text(text) | Value::Number(text) => drop(values.insert(key.value.clone(), text.clone())),
            Value::Boolean(flag) => drop(values.insert(key.value.clone(), flag.to_string())),
            Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Text(_))) => {
                let texts = items.iter().filter_map(|item| match &item.value {
                    Value::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                values.insert(key.value.clone(), texts.collect::<Vec<_>>().join(BETWEEN));
            }
            other => report.add(
                node.place,
                format!(
                    "environment {}: `{}` must be a value or a list of texts and is {}",
                    name.value,
                    key.value,
                    other.kind()
                ),
            ),
        }
    }
    values
}
