//! What a field of an object holds, in the one form in which file and account are compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Value {
    Flag(bool),
    Number(i64),
    Text(String),
    /// Compared as a set: the account answers lists in an order of its own.
    List(BTreeSet<String>),
    Map(BTreeMap<String, String>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    pub fn list<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Self {
        Value::List(items.into_iter().map(Into::into).collect())
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn items(&self) -> impl Iterator<Item = &str> {
        let list = match self {
            Value::List(items) => Some(items),
            _ => None,
        };
        list.into_iter().flatten().map(String::as_str)
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let map = match self {
            Value::Map(map) => Some(map),
            _ => None,
        };
        map.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether it says no more than that nothing is there.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Flag(_) | Value::Number(_) => false,
        }
    }
}

/// As people read it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Flag(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Text(text) if text.is_empty() => f.write_str("''"),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => write!(f, "[{}]", items.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
            Value::Map(map) => {
                let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                write!(f, "{{{}}}", entries.join(", "))
            }
        }
    }
}
