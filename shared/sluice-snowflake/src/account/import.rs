//! The file of an account that is there: what `sources.yaml` does not say of it, with each role's grants folded into grants
//! on all of a type where they amount to that. What no file may say is a comment, with the reason, and so is left alone.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::Sources;

mod refused;

use super::{
    file::{Settings, derived},
    grantable::Type,
    kinds::{Absent, Field, Form, Kind, SYSADMIN},
    name::Name,
    plan::present,
    render::is_system,
    state::{Grant, Grantee, State, Target},
    value::Value,
};
use crate::sql::ddl::STORAGE_INTEGRATION;

/// What the lake's stage needs, in an account that does not have it yet.
const LAKE: &str = "  SLUICE_LAKE:
    role_arn: ${lake_role_arn}
    external_id: ${lake_external_id}
    allowed_locations: [\"s3://${lake_bucket}/\"]
";

/// Writes the file. `state` was read whole.
pub fn import(state: &State, enterprise: bool, settings: &Settings, sources: &Sources) -> String {
    let owner = owner_of_raw(state, sources);
    let known = derived(settings, sources, owner.as_ref(), enterprise);
    let importing = Importing { state, known, enterprise };
    let edition = if enterprise { "enterprise" } else { "standard" };
    let mut text = format!("edition: {edition}\nenvironments:\n  {}: {{}}\n", scalar(&settings.environment));
    if let Some(owner) = owner {
        text.push_str(&format!("raw:\n  owner: {}\n", scalar(&owner.to_string())));
    }
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.spec().section.is_empty()) {
        let mut entries: String = match kind {
            Kind::Account => importing.fields(kind, &Name::default(), "  "),
            _ => state.of(kind).map(|(name, _)| importing.entry(kind, name)).collect(),
        };
        if kind == Kind::StorageIntegration && !state.has(kind, &Name::of([STORAGE_INTEGRATION])) {
            entries.push_str(LAKE);
        }
        if !entries.is_empty() {
            text.push_str(&format!("{}:\n{entries}", kind.spec().section));
        }
    }
    refused::left_out(text, settings, sources)
}

/// The role that loads: the one that owns a raw table.
fn owner_of_raw(state: &State, sources: &Sources) -> Option<Name> {
    let mut owners = sources.tables.iter().filter_map(|table| {
        let id = &table.table;
        let name = Name::of([&id.database, &id.schema, &id.table]);
        let owner = state.present.get("TABLE")?.get(&name)?;
        Name::parse(owner).filter(|owner| !is_system(owner))
    });
    owners.next()
}

struct Importing<'i> {
    state: &'i State,
    /// What is there without an entry.
    known: State,
    enterprise: bool,
}

impl Importing<'_> {
    fn entry(&self, kind: Kind, name: &Name) -> String {
        let Some(object) = self.state.object(kind, name) else { return String::new() };
        let is_internal = kind == Kind::Stage && object.text("url").is_empty();
        // Every database has a schema PUBLIC; it says something only where raw tables lie in it.
        let is_public = kind == Kind::Schema && name.last() == "PUBLIC" && !self.known.has(kind, name);
        if is_internal || is_public {
            return String::new();
        }
        let mut fields = self.fields(kind, name, "    ");
        fields.push_str(&self.held(kind, name));
        match (fields.is_empty(), self.known.has(kind, name)) {
            (true, true) => String::new(),
            (true, false) => format!("  {}:\n", scalar(&name.to_string())),
            _ => format!("  {}:\n{fields}", scalar(&name.to_string())),
        }
    }

    /// The fields that are not what their absence means.
    fn fields(&self, kind: Kind, name: &Name, indent: &str) -> String {
        let Some(object) = self.state.object(kind, name) else { return String::new() };
        let mut usual = self.known.object(kind, name).cloned().unwrap_or_default();
        usual.complete(kind, name, self.enterprise);
        let is_said = |field: &&Field| {
            let value = object.get(field.name).filter(|value| !value.is_empty());
            if field.absent == Absent::Kept {
                return value.is_some_and(|value| field.guards(value)) && !object.unknown.contains(field.name);
            }
            // Of options only those that the file names are compared.
            let is_usual = field.form == Form::Options
                && usual.get(field.name).is_some_and(|usual| {
                    usual.entries().all(|option| value.is_some_and(|held| held.entries().any(|held| held == option)))
                });
            let is_compared = !object.unknown.contains(field.name) && field.form != Form::Key && !is_usual;
            is_compared && value != usual.get(field.name).filter(|value| !value.is_empty())
                || is_compared && field.absent == Absent::Required && !self.known.has(kind, name)
        };
        let said = kind.spec().fields.iter().filter(is_said);
        said.filter_map(|field| {
            let value = object.get(field.name).cloned().or_else(|| empty(field))?;
            Some(format!("{indent}{}: {}\n", field.name, written(field, &value)))
        })
        .collect()
    }

    /// The roles and grants of who can hold them.
    fn held(&self, kind: Kind, name: &Name) -> String {
        let grantee = match kind {
            Kind::Role | Kind::DatabaseRole => Grantee::role(name),
            Kind::User => Grantee::User(name.clone()),
            _ => return String::new(),
        };
        let mut text = String::new();
        let own: Vec<&Grant> = self
            .state
            .grants
            .iter()
            .filter(|(grant, held)| {
                grant.grantee == grantee && !held.implied && !self.known.grants.contains_key(*grant)
            })
            .map(|(grant, _)| grant)
            .collect();
        let roles: Vec<String> = own
            .iter()
            .filter_map(|grant| match &grant.target {
                Target::Role(role) if self.state.has_role(role) || is_system(role) => Some(scalar(&role.to_string())),
                _ => None,
            })
            .collect();
        if !roles.is_empty() {
            text.push_str("    roles:\n");
            text.extend(roles.iter().map(|role| format!("      - {role}\n")));
        }
        // Nobody is above SYSADMIN's tree but where it says so.
        let sysadmin = Grantee::role(&Name::of([SYSADMIN]));
        let tied = Grant { privilege: "USAGE".to_owned(), target: Target::Role(name.clone()), grantee: sysadmin };
        if kind != Kind::User && !self.state.grants.contains_key(&tied) {
            text.push_str("    under_sysadmin: false\n");
        }
        let grants = if kind == Kind::User { Vec::new() } else { self.folded(&grantee, &own) };
        if !grants.is_empty() {
            text.push_str(&format!("    grants:\n{}", grants.concat()));
        }
        text
    }

    /// A line for each thing that privileges are held on.
    fn folded(&self, grantee: &Grantee, own: &[&Grant]) -> Vec<String> {
        let mut lines: BTreeMap<(String, bool), BTreeSet<String>> = BTreeMap::new();
        let mut covered: BTreeSet<Grant> = BTreeSet::new();
        let has = |target: Target, privilege: &str| {
            let grant = Grant { privilege: privilege.to_owned(), target, grantee: grantee.clone() };
            self.state.grants.contains_key(&grant)
        };
        for grant in own {
            let Target::Future(word, container) = &grant.target else { continue };
            let there = present(self.state, &grant.privilege, word, container).unwrap_or_default();
            let is_whole = there.iter().all(|name| has(Target::Object(word.clone(), name.clone()), &grant.privilege));
            let only = if is_whole { "" } else { ", current: false" };
            let plural = Type::of_word(word).map_or(word.as_str(), |kind| kind.plural).to_lowercase();
            let on = format!("on: {plural}, in: {}{only}", scalar(&container.to_string()));
            lines.entry((on, self.option(grant))).or_default().insert(grant.privilege.clone());
            if is_whole {
                let objects = there.into_iter().map(|name| Target::Object(word.clone(), name));
                covered.extend(objects.map(|target| Grant { target, ..(*grant).clone() }));
            }
        }
        for grant in own.iter().filter(|grant| !covered.contains(**grant)) {
            let on = match &grant.target {
                Target::Account => "on: account".to_owned(),
                Target::Object(word, name) if self.is_known(word, name) => {
                    let on = format!("{} {name}", word.to_lowercase());
                    format!("on: {}", if name.to_string().contains('"') { scalar(&on) } else { on })
                }
                _ => continue,
            };
            lines.entry((on, self.option(grant))).or_default().insert(grant.privilege.clone());
        }
        let line = |((on, option), privileges): ((String, bool), BTreeSet<String>)| {
            let option = if option { ", with_grant_option: true" } else { "" };
            let privileges = privileges.into_iter().collect::<Vec<_>>().join(", ");
            format!("      - {{ grant: [{privileges}], {on}{option} }}\n")
        };
        lines.into_iter().map(line).collect()
    }

    fn option(&self, grant: &Grant) -> bool {
        self.state.grants.get(grant).is_some_and(|held| held.with_option)
    }

    /// Whether the file may name it: as an entry, or as something that no entry is needed for.
    fn is_known(&self, word: &str, name: &Name) -> bool {
        let Some(kind) = Type::of_word(word) else { return false };
        let is_there = match Kind::granted_as(word) {
            Some(Kind::Table) => self.known.has(Kind::Table, name),
            Some(Kind::Schema) if name.last() == "PUBLIC" => self.known.has(Kind::Schema, name),
            Some(kind) => self.state.has(kind, name),
            None => true,
        };
        is_there && kind.depth() == name.depth()
    }
}

fn empty(field: &Field) -> Option<Value> {
    match field.form {
        Form::List | Form::Names(_) | Form::Percents => Some(Value::List(BTreeSet::new())),
        Form::Text => Some(Value::text("")),
        _ => None,
    }
}

fn written(field: &Field, value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => scalar(text),
        Value::List(items) => {
            let is_number = field.form == Form::Percents;
            let item = |item: &String| if is_number { item.clone() } else { scalar(item) };
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", scalar(key), scalar(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// A text as YAML takes it back: as it is where nothing in it means anything, in double quotes everywhere else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$'))
        && !["true", "false", "null"].contains(&text.to_ascii_lowercase().as_str());
    // Braces after a dollar would be a value of the environment.
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
