//! The properties of objects: what a value may be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A value that was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Setting {
    Text(String),
    List(Vec<String>),
    Group(BTreeMap<String, Setting>),
}

pub(crate) type Settings = BTreeMap<String, Setting>;

impl Setting {
    /// As DESCRIBE prints it.
    pub(crate) fn printed(&self) -> String {
        match self {
            Setting::Text(text) => text.clone(),
            Setting::List(values) => values.join(","),
            Setting::Group(values) => {
                let values = values.iter().map(|(name, value)| match value {
                    Setting::List(values) => format!("{name}=[{}]", values.join(", ")),
                    other => format!("{name}={}", other.printed()),
                });
                format!("{{{}}}", values.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One of the words between `|`, or any.
    Word(&'static str),
    Text,
    /// A text that is kept in capitals.
    Upper,
    Number,
    Flag,
    Size,
    /// A public key.
    Key,
    /// The name of an object of a kind, or of nothing in particular.
    Name(&'static str),
    Names(&'static str),
    /// A list of the words between `|`, or of any texts.
    List(&'static str),
    Group,
    Triggers,
    /// A list without parentheses.
    Values,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) default: &'static str,
    /// Only CREATE sets it.
    pub(crate) fixed: bool,
    /// There is no UNSET for it.
    pub(crate) kept: bool,
    pub(crate) enterprise: bool,
    /// The kinds that have it as a parameter besides the account.
    pub(crate) parameter: Option<&'static str>,
}

impl Property {
    pub(crate) fn type_name(&self) -> &'static str {
        match self.shape {
            Shape::Number => "Integer",
            Shape::Flag => "Boolean",
            Shape::List(_) | Shape::Names(_) | Shape::Values => "List",
            Shape::Group => "Object",
            _ => "String",
        }
    }
}
