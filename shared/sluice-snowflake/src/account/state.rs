//! What an account is: its objects and its grants. The file says one of these, the account answers another, and a plan is
//! what lies between them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    kinds::{Absent, Field, Form, Kind},
    name::Name,
    value::Value,
};

/// An object and what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// What it has; a field that has no value of its own is not here.
    pub fields: BTreeMap<&'static str, Value>,
    /// Fields that the account does not show: they cannot be compared.
    pub unknown: BTreeSet<&'static str>,
    /// Text that a statement needs and that is not compared: a key, the statement that makes a table.
    pub texts: BTreeMap<&'static str, String>,
}

impl Object {
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field)
    }

    pub fn text(&self, field: &str) -> &str {
        self.get(field).and_then(Value::as_text).unwrap_or_default()
    }

    pub fn set(&mut self, field: &'static str, value: Option<Value>) {
        match value {
            Some(value) => drop(self.fields.insert(field, value)),
            None => drop(self.fields.remove(field)),
        }
    }

    /// Gives every field that is not named what its absence means. On Standard, what needs Enterprise has no value.
    pub fn complete(&mut self, kind: Kind, name: &Name, enterprise: bool) {
        for field in kind.spec().fields.iter().filter(|field| enterprise || !field.enterprise) {
            if !self.fields.contains_key(field.name) {
                self.set(field.name, absent(field, kind, name));
            }
        }
    }
}

fn absent(field: &Field, kind: Kind, name: &Name) -> Option<Value> {
    match field.absent {
        Absent::Text(text) if field.form == Form::List => Some(Value::list([text])),
        Absent::Text(text) => Some(Value::text(text)),
        Absent::Number(number) => Some(Value::Number(number)),
        Absent::Flag(flag) => Some(Value::Flag(flag)),
        Absent::EmptyList => Some(Value::List(BTreeSet::new())),
        Absent::EmptyMap => Some(Value::Map(BTreeMap::new())),
        Absent::OwnName if field.form == Form::Upper => Some(Value::Text(name.last().to_uppercase())),
        Absent::OwnName => Some(Value::text(name.last())),
        Absent::Maker => Some(Value::text(kind.spec().maker)),
        Absent::Required | Absent::Unset | Absent::Ignored | Absent::Kept => None,
    }
}

/// Who holds a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grantee {
    Role(Name),
    User(Name),
}

impl Grantee {
    /// A role of the account, or of a database when the name has two parts.
    pub fn role(name: &Name) -> Self {
        Grantee::Role(name.clone())
    }

    pub fn name(&self) -> &Name {
        match self {
            Grantee::Role(name) | Grantee::User(name) => name,
        }
    }

    /// As a statement names it.
    pub fn sql(&self) -> String {
        match self {
            Grantee::Role(name) => format!("{} {name}", role_word(name)),
            Grantee::User(name) => format!("USER {name}"),
        }
    }
}

pub(crate) fn role_word(name: &Name) -> &'static str {
    if name.depth() == 2 { "DATABASE ROLE" } else { "ROLE" }
}

/// What a grant is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Account,
    /// A role, held by another role or by a user.
    Role(Name),
    /// An object, by the word of its type.
    Object(String, Name),
    /// What will be made of a type in a database or a schema.
    Future(String, Name),
    /// What there is of a type in a database or a schema.
    Current(String, Name),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// `USAGE` where the target is a role.
    pub privilege: String,
    pub target: Target,
    pub grantee: Grantee,
}

/// What is known of a grant besides that it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    pub with_option: bool,
    /// Given by the system: it cannot be revoked and is nobody's drift.
    pub implied: bool,
}

/// An account, as it is to be or as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub objects: BTreeMap<(Kind, Name), Object>,
    pub grants: BTreeMap<Grant, Held>,
    /// The tables and views of schemas that grants are given on in bulk: their owners by the word of their type and name.
    pub present: BTreeMap<String, BTreeMap<Name, String>>,
    /// What could not be read, and why: nothing is known of it, so nothing is planned for it.
    pub unread: BTreeSet<String>,
}

impl State {
    pub fn object(&self, kind: Kind, name: &Name) -> Option<&Object> {
        self.objects.get(&(kind, name.clone()))
    }

    pub fn has(&self, kind: Kind, name: &Name) -> bool {
        self.objects.contains_key(&(kind, name.clone()))
    }

    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &Name> {
        self.of(kind).map(|(name, _)| name)
    }

    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&Name, &Object)> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|((_, name), object)| (name, object))
    }

    pub fn has_role(&self, name: &Name) -> bool {
        self.has(if name.depth() == 2 { Kind::DatabaseRole } else { Kind::Role }, name)
    }
}
