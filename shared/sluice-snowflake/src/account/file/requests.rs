//! The grants of the file, read where they stand: whether what they name is there is judged apart.

use sluice_core::{
    judge::{Fields, Report},
    yaml::{At, Node, Place, Value as Yaml},
};

use super::named;
use crate::account::{
    grantable::{TYPES, Type, is_global},
    name::Name,
    state::{Grantee, Target},
};

/// Somebody is to have something.
pub(super) struct Request {
    pub grantee: Grantee,
    pub about: String,
    pub place: Place,
    pub what: What,
}

pub(super) enum What {
    Role(Name),
    Privileges { privileges: Vec<String>, on: Vec<Target>, with_option: bool },
}

impl Request {
    pub(super) fn role(grantee: Grantee, role: Name, about: &str, place: Place) -> Self {
        Request { grantee, about: about.to_owned(), place, what: What::Role(role) }
    }

    /// What nobody has written.
    pub(super) fn derived(grantee: Grantee, what: What) -> Self {
        Request { grantee, about: "raw".to_owned(), place: Place::default(), what }
    }

    pub(super) fn read(grantee: &Grantee, about: &str, node: &Node, report: &mut Report) -> Option<Self> {
        let about = format!("{about}: grants");
        let mut fields = Fields::of(about.clone(), node, report)?;
        let privileges = fields.list("grant", report).map(|list| list.value);
        if privileges.is_none() {
            report.add(node.place, format!("{about}: `grant` is missing; list the privileges"));
        }
        let on = fields.needed("on", report).map(|on| some(&about, "on", on, report));
        let inside = fields.node("in").map(|inside| some(&about, "in", inside, report));
        let mut flag = |name, fields: &mut Fields<'_>| fields.optional::<bool>(name, report).map(|flag| flag.value);
        let with_option = flag("with_grant_option", &mut fields).unwrap_or(false);
        let current = flag("current", &mut fields).unwrap_or(true);
        let future = flag("future", &mut fields).unwrap_or(true);
        fields.end(report);
        let on = targets(&about, &on?, inside.as_deref(), (current, future), report)?;
        let privileges = privileges?;
        for (privilege, target) in privileges.iter().flat_map(|privilege| on.iter().map(move |on| (privilege, on))) {
            if let Some(problem) = refusal(&privilege.value, target) {
                report.add(privilege.place, format!("{about}: {problem}"));
            }
        }
        let privileges = privileges.into_iter().map(|privilege| privilege.value).collect();
        let what = What::Privileges { privileges, on, with_option };
        Some(Request { grantee: grantee.clone(), about, place: node.place, what })
    }
}

/// One text or a list of them.
fn some(about: &str, setting: &str, node: &Node, report: &mut Report) -> Vec<At<String>> {
    let items = match &node.value {
        Yaml::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut texts = Vec::new();
    for item in items {
        match &item.value {
            Yaml::Text(text) => texts.push(At { value: text.clone(), place: item.place }),
            other => report.add(item.place, format!("{about}: `{setting}` must be a text and is {}", other.kind())),
        }
    }
    texts
}

fn targets(
    about: &str,
    on: &[At<String>],
    inside: Option<&[At<String>]>,
    (current, future): (bool, bool),
    report: &mut Report,
) -> Option<Vec<Target>> {
    let mut found = Vec::new();
    for on in on {
        let words = on.value.to_uppercase();
        match (Type::of_plural(&words), inside) {
            (Some(kind), Some(inside)) => {
                for container in inside {
                    let name = named(about, "in", container, report)?;
                    let most = if kind.word == "SCHEMA" { 1 } else { 2 };
                    if name.depth() > most {
                        let text = format!("{about}: `in`: {name} is no container of {}", kind.plural.to_lowercase());
                        report.add(container.place, text);
                    }
                    found.extend(current.then(|| Target::Current(kind.word.to_owned(), name.clone())));
                    found.extend(future.then(|| Target::Future(kind.word.to_owned(), name)));
                }
            }
            (Some(_), None) => {
                let text = format!("{about}: `in` is missing: say in which databases or schemas");
                report.add(on.place, text);
            }
            (None, Some(_)) => {
                let known: Vec<String> =
                    TYPES.iter().map(|kind| kind.plural.to_lowercase()).filter(|plural| !plural.is_empty()).collect();
                let text = format!(
                    "{about}: '{}' is nothing that lies `in` something; known are {}",
                    on.value,
                    known.join(", ")
                );
                report.add(on.place, text);
            }
            (None, None) => found.push(single(about, on, report)?),
        }
    }
    Some(found)
}

/// `account`, or a type and a name.
fn single(about: &str, on: &At<String>, report: &mut Report) -> Option<Target> {
    if on.value == "account" {
        return Some(Target::Account);
    }
    let rest = |kind: &Type| on.value.strip_prefix(&kind.word.to_lowercase()).and_then(|rest| rest.strip_prefix(' '));
    let found = TYPES.iter().filter_map(|kind| Some((kind, rest(kind)?))).max_by_key(|(kind, _)| kind.word.len());
    let Some((kind, name)) = found else {
        let text = format!(
            "{about}: `on`: '{}' is neither account, nor a type and a name such as 'warehouse LOADING', nor a plural such \
             as tables",
            on.value
        );
        report.add(on.place, text);
        return None;
    };
    let name = named(about, "on", &At { value: name.to_owned(), place: on.place }, report)?;
    if name.depth() != kind.depth() {
        report.add(on.place, format!("{about}: `on`: {name} is no full name of a {}", kind.word.to_lowercase()));
        return None;
    }
    Some(Target::Object(kind.word.to_owned(), name))
}

/// Why a privilege cannot be granted on a target.
fn refusal(privilege: &str, target: &Target) -> Option<String> {
    if matches!(privilege, "ALL" | "ALL PRIVILEGES") {
        return Some("ALL reads back as whatever a release has made of it; name the privileges".to_owned());
    }
    if privilege == "OWNERSHIP" {
        return Some("an object has one owner; name it by `owner` in the object's entry".to_owned());
    }
    let (fits, what, known) = match target {
        Target::Account => (is_global(privilege), "the account", String::new()),
        Target::Role(_) => return None,
        Target::Object(word, _) | Target::Future(word, _) | Target::Current(word, _) => {
            let kind = Type::of_word(word)?;
            (kind.has(privilege), kind.word, format!("; known are {}", kind.privileges.join(", ")))
        }
    };
    (!fits).then(|| format!("{privilege} is no privilege on {what}{known}"))
}
