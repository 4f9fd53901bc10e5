//! From the entries of the file to objects, and to grants that are still to be resolved.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::{
    judge::{Fields, Report},
    yaml::{At, Node, Place, Value as Yaml},
};

use super::{named, requests::Request};
use crate::account::{
    kinds::{Absent, Field, Form, Kind},
    name::Name,
    normal,
    state::{Grantee, Object, State},
    value::Value,
};

/// What has been read so far.
pub(super) struct Reading {
    pub state: State,
    pub enterprise: bool,
    /// Where an object's entry stands.
    pub places: BTreeMap<(Kind, Name), Place>,
    /// Where a field of it stands.
    pub field_places: BTreeMap<(Kind, Name, &'static str), Place>,
    pub requests: Vec<Request>,
    /// Roles that SYSADMIN does not get.
    pub untied: BTreeSet<Name>,
}

impl Reading {
    pub(super) fn new(enterprise: bool) -> Self {
        Reading {
            state: State::default(),
            enterprise,
            places: BTreeMap::new(),
            field_places: BTreeMap::new(),
            requests: Vec::new(),
            untied: BTreeSet::new(),
        }
    }

    /// Reads one entry.
    pub(super) fn entry(&mut self, kind: Kind, name: Name, about: &str, node: &Node, report: &mut Report) {
        let Some(mut fields) = Fields::of(about.to_owned(), node, report) else { return };
        self.places.insert((kind, name.clone()), node.place);
        let mut object = Object::default();
        for field in kind.spec().fields {
            let found = match field.absent {
                Absent::Required => fields.needed(field.name, report),
                _ => fields.node(field.name),
            };
            let Some(found) = found else { continue };
            self.field_places.insert((kind, name.clone(), field.name), found.place);
            match value(field, found) {
                Ok(value) => {
                    if field.form == Form::Key
                        && let Yaml::Text(key) = &found.value
                    {
                        object.texts.insert(field.name, normal::body(key));
                    }
                    object.set(field.name, Some(value));
                }
                Err(problem) => {
                    let what = field.about.trim_end_matches('.');
                    report.add(found.place, format!("{about}: `{}` ({what}): {problem}", field.name));
                }
            }
        }
        self.held(kind, &name, about, &mut fields, report);
        fields.end(report);
        object.complete(kind, &name, self.enterprise);
        self.state.objects.insert((kind, name), object);
    }

    /// The roles and grants of who can hold them.
    fn held(&mut self, kind: Kind, name: &Name, about: &str, fields: &mut Fields<'_>, report: &mut Report) {
        let grantee = match kind {
            Kind::Role | Kind::DatabaseRole => Grantee::role(name),
            Kind::User => Grantee::User(name.clone()),
            _ => return,
        };
        for role in fields.list("roles", report).map(|list| list.value).unwrap_or_default() {
            if let Some(role_name) = named(about, "roles", &role, report) {
                self.requests.push(Request::role(grantee.clone(), role_name, about, role.place));
            }
        }
        if kind == Kind::User {
            return;
        }
        let tied: Option<At<bool>> = fields.optional("under_sysadmin", report);
        if tied.is_some_and(|tied| !tied.value) {
            self.untied.insert(name.clone());
        }
        let Some(node) = fields.node("grants") else { return };
        let Yaml::List(items) = &node.value else {
            report.add(node.place, format!("{about}: `grants` must be a list and is {}", node.value.kind()));
            return;
        };
        for item in items {
            self.requests.extend(Request::read(&grantee, about, item, report));
        }
    }

    /// Adds an object that nobody has written an entry for.
    pub(super) fn derive(&mut self, kind: Kind, name: Name, object: Object) {
        let mut object = object;
        object.complete(kind, &name, self.enterprise);
        self.state.objects.entry((kind, name)).or_insert(object);
    }
}

/// A field's value from its node, or what is wrong with it.
fn value(field: &Field, node: &Node) -> Result<Value, String> {
    let text = || match &node.value {
        Yaml::Text(text) => Ok(text.as_str()),
        Yaml::Number(_) | Yaml::Boolean(_) => {
            Err(format!("must be a text and is {}; put it in quotes", node.value.kind()))
        }
        other => Err(format!("must be a text and is {}", other.kind())),
    };
    Ok(match field.form {
        Form::Text => Value::text(text()?),
        Form::Upper => Value::Text(text()?.to_uppercase()),
        Form::Type => Value::Text(normal::data_type(text()?)),
        Form::Code => Value::Text(normal::code(text()?)),
        Form::Word(words) => {
            let word = text()?;
            let known = words.contains(&word);
            known.then(|| Value::text(word)).ok_or_else(|| format!("'{word}' is none of {}", words.join(", ")))?
        }
        Form::Size => {
            let size = text()?;
            let known = normal::SIZES.contains(&size);
            let problem = || format!("'{size}' is no size; known are {}", normal::SIZES.join(", "));
            known.then(|| Value::text(size)).ok_or_else(problem)?
        }
        Form::Number(least, most) => number(node, least, most)?,
        Form::Percent => number(node, 1, 1_000)?,
        Form::Percents => {
            let numbers = items(node)?.iter().map(|item| number(item, 1, 1_000)).collect::<Result<Vec<_>, _>>()?;
            Value::list(numbers.iter().map(Value::to_string))
        }
        Form::Flag | Form::AllOrNone => match &node.value {
            Yaml::Boolean(flag) => Value::Flag(*flag),
            Yaml::Text(text) if text == "true" || text == "false" => Value::Flag(text == "true"),
            other => return Err(format!("must be true or false and is {}", other.kind())),
        },
        Form::List => Value::list(texts(node)?),
        Form::Name(kind) => {
            // A namespace may also be a database.
            let depths = if kind == Kind::Schema { 1..=2 } else { kind.spec().depth..=kind.spec().depth };
            name(text()?, depths)?
        }
        Form::Role => name(text()?, 1..=2)?,
        Form::Names(kind) => {
            let depth = kind.spec().depth;
            let names = texts(node)?.iter().map(|text| name(text, depth..=depth)).collect::<Result<Vec<_>, _>>()?;
            Value::list(names.iter().map(Value::to_string))
        }
        Form::Options | Form::Tags => Value::Map(map(field, node)?),
        Form::Key => {
            let fingerprint = normal::fingerprint(text()?);
            Value::Text(fingerprint.ok_or("is no public key; give it in PEM form, or without its first and last line")?)
        }
        Form::Columns | Form::Masks => return Err("is derived from platform/sources.yaml; leave it out".to_owned()),
    })
}

fn number(node: &Node, least: i64, most: i64) -> Result<Value, String> {
    let text = match &node.value {
        Yaml::Number(text) | Yaml::Text(text) => text,
        other => return Err(format!("must be a whole number and is {}", other.kind())),
    };
    let number: i64 = text.parse().map_err(|_| format!("must be a whole number and is '{text}'"))?;
    if !(least..=most).contains(&number) {
        return Err(format!("must be from {least} to {most} and is {number}"));
    }
    Ok(Value::Number(number))
}

fn items(node: &Node) -> Result<&[Node], String> {
    match &node.value {
        Yaml::List(items) => Ok(items),
        other => Err(format!("must be a list and is {}", other.kind())),
    }
}

fn texts(node: &Node) -> Result<Vec<String>, String> {
    let text = |item: &Node| match &item.value {
        Yaml::Text(text) if !text.trim().is_empty() => Ok(text.clone()),
        Yaml::Text(_) => Err("must be a list of texts, and one of them is empty".to_owned()),
        other => Err(format!("must be a list of texts and holds {}", other.kind())),
    };
    items(node)?.iter().map(text).collect()
}

fn name(text: &str, depths: std::ops::RangeInclusive<usize>) -> Result<Value, String> {
    let name = Name::parse(text).filter(|name| name.to_string() == text && depths.contains(&name.depth()));
    let form = Name::form(*depths.end());
    Ok(Value::Text(name.ok_or_else(|| format!("'{text}' is no name of the form {form} in upper case"))?.to_string()))
}

fn map(field: &Field, node: &Node) -> Result<BTreeMap<String, String>, String> {
    let Yaml::Mapping(fields) = &node.value else {
        return Err(format!("must be a mapping from names to values and is {}", node.value.kind()));
    };
    let entry = |(key, node): &(At<String>, Node)| {
        let value = match &node.value {
            Yaml::Text(text) | Yaml::Number(text) => text.clone(),
            Yaml::Boolean(flag) => flag.to_string(),
            other => return Err(format!("`{}` must be one value and is {}", key.value, other.kind())),
        };
        match field.form {
            Form::Tags => Ok((name(&key.value, 3..=3)?.to_string(), value)),
            _ if key.value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
                Ok((key.value.clone(), normal::word(&value)))
            }
            _ => Err(format!("`{}` is no option; write it as Snowflake does, in upper case", key.value)),
        }
    };
    fields.iter().map(entry).collect()
}
