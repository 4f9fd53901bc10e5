//! The settings of one mapping, each asked for by its name; what nobody has asked for is unknown.

use chrono::NaiveDate;
use serde::de::{DeserializeOwned, IntoDeserializer, value::Error as WordError};

use super::report::Report;
use crate::yaml::{At, Node, Place, Value};

/// A setting's value from its node, or what is wrong with it.
pub trait Setting: Sized {
    fn read(value: &Value) -> Result<Self, String>;
}

/// A whole number that counts something: 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

impl Setting for Count {
    fn read(value: &Value) -> Result<Self, String> {
        let number = i64::read(value)?;
        let count = u32::try_from(number).ok().filter(|count| *count > 0);
        count.map(Count).ok_or_else(|| format!("must be from 1 to {} and is {number}", u32::MAX))
    }
}

fn expected<T>(what: &str, found: &Value) -> Result<T, String> {
    let quotes = match found {
        Value::Number(_) | Value::Boolean(_) if what == "a text" => "; put it in quotes",
        _ => "",
    };
    Err(format!("must be {what} and is {}{quotes}", found.kind()))
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            other => expected("a text", other),
        }
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Boolean(value) => Ok(*value),
            other => expected("true or false", other),
        }
    }
}

impl Setting for i64 {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(text) => text.parse().map_err(|_| format!("must be a whole number of 64 bits and is {text}")),
            other => expected("a whole number", other),
        }
    }
}

impl Setting for NaiveDate {
    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        text.parse().map_err(|_| format!("'{text}' is no date; write it as 2025-10-30"))
    }
}

/// A word that a type of the domain knows.
pub struct Word<T>(pub T);

impl<T: DeserializeOwned> Setting for Word<T> {
    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        let parsed: Result<T, WordError> = T::deserialize(text.into_deserializer());
        parsed.map(Word).map_err(|error| error.to_string())
    }
}

/// A list; what is wrong with an item is told with the item's own place by [`Fields::list`].
pub type List = Vec<At<String>>;

pub struct Fields<'y> {
    /// Whose settings they are, as a message begins.
    about: String,
    pub place: Place,
    given: &'y [(At<String>, Node)],
    asked: Vec<&'static str>,
}

impl<'y> Fields<'y> {
    pub fn of(about: String, node: &'y Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Mapping(given) => Some(Fields { about, place: node.place, given, asked: Vec::new() }),
            other => {
                report.add(node.place, format!("{about} must be a mapping of settings and is {}", other.kind()));
                None
            }
        }
    }

    pub fn node(&mut self, name: &'static str) -> Option<&'y Node> {
        if !self.asked.contains(&name) {
            self.asked.push(name);
        }
        self.given.iter().find(|(key, _)| key.value == name).map(|(_, node)| node)
    }

    /// The node of a setting that must be there.
    pub fn needed(&mut self, name: &'static str, report: &mut Report) -> Option<&'y Node> {
        let node = self.node(name);
        if node.is_none() {
            report.add(self.place, format!("{}: `{name}` is missing", self.about));
        }
        node
    }

    pub fn optional<T: Setting>(&mut self, name: &'static str, report: &mut Report) -> Option<At<T>> {
        let node = self.node(name)?;
        self.read(name, node, report)
    }

    pub fn required<T: Setting>(&mut self, name: &'static str, report: &mut Report) -> Option<At<T>> {
        let node = self.needed(name, report)?;
        self.read(name, node, report)
    }

    pub fn word<T: DeserializeOwned>(&mut self, name: &'static str, report: &mut Report) -> Option<At<T>> {
        self.optional::<Word<T>>(name, report).map(|At { value, place }| At { value: value.0, place })
    }

    pub fn required_word<T: DeserializeOwned>(&mut self, name: &'static str, report: &mut Report) -> Option<At<T>> {
        self.required::<Word<T>>(name, report).map(|At { value, place }| At { value: value.0, place })
    }

    /// A list of texts, of which those that can be read are left.
    pub fn list(&mut self, name: &'static str, report: &mut Report) -> Option<At<List>> {
        let node = self.node(name)?;
        let Value::List(items) = &node.value else {
            report.add(node.place, format!("{}: `{name}` must be a list and is {}", self.about, node.value.kind()));
            return None;
        };
        let read = items.iter().filter_map(|item| self.read(name, item, report)).collect();
        Some(At { value: read, place: node.place })
    }

    /// The mappings of a list, each with the words that a message names it by.
    pub fn mappings(&mut self, name: &'static str, report: &mut Report) -> Vec<Fields<'y>> {
        let Some(node) = self.node(name) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            report.add(node.place, format!("{}: `{name}` must be a list and is {}", self.about, node.value.kind()));
            return Vec::new();
        };
        let numbered = items.iter().enumerate();
        numbered.filter_map(|(at, item)| Fields::of(format!("{name} {}", at + 1), item, report)).collect()
    }

    /// Tells of a problem of this mapping.
    pub fn tell(&self, place: Place, problem: impl std::fmt::Display, report: &mut Report) {
        report.add(place, format!("{}: {problem}", self.about));
    }

    /// Where a setting stands that has no effect, whatever it says.
    pub fn idle<T: Default>(&mut self, name: &'static str) -> Option<At<T>> {
        self.node(name).map(|node| At { value: T::default(), place: node.place })
    }

    fn read<T: Setting>(&self, name: &str, node: &Node, report: &mut Report) -> Option<At<T>> {
        match T::read(&node.value) {
            Ok(value) => Some(At { value, place: node.place }),
            Err(problem) => {
                report.add(node.place, format!("{}: `{name}`: {problem}", self.about));
                None
            }
        }
    }

    /// Tells of each setting that nobody has asked for.
    pub fn end(self, report: &mut Report) {
        for (key, _) in self.given.iter().filter(|(key, _)| !self.asked.contains(&key.value.as_str())) {
            let known = self.asked.join(", ");
            report.add(key.place, format!("{}: `{}` is no setting here; known are {known}", self.about, key.value));
        }
    }
}
