//! The grants of the file, judged when everything that they name is known.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::{judge::Report, yaml::Place};

use super::{
    entries::Reading,
    requests::{Request, What},
};
use crate::account::{
    graph::Graph,
    kinds::{Kind, SECURITYADMIN, SYSADMIN},
    name::Name,
    render,
    state::{Grant, Grantee, Object, State, Target},
    value::Value,
};

/// Turns what was asked for into grants, and tells of what cannot be.
pub(super) fn resolve(reading: &mut Reading, report: &mut Report) {
    let requests = std::mem::take(&mut reading.requests);
    let mut levels: BTreeMap<(String, Name), Place> = BTreeMap::new();
    for request in &requests {
        let Request { grantee, about, place, what } = request;
        let mut tell = |text: String| report.add(*place, format!("{about}: {text}"));
        match what {
            What::Role(role) => {
                if let Some(problem) = unholdable(&reading.state, grantee, role) {
                    tell(problem);
                }
                add(&mut reading.state, "USAGE", Target::Role(role.clone()), grantee, false);
            }
            What::Privileges { privileges, on, with_option } => {
                for target in on {
                    if let Some(problem) = unreachable(&reading.state, grantee, target) {
                        tell(problem);
                    }
                    if let Target::Future(word, container) = target {
                        let known = levels.entry((word.clone(), container.clone())).or_insert(*place);
                        *known = (*known).max(*place);
                    }
                    for privilege in privileges {
                        add(&mut reading.state, privilege, target.clone(), grantee, *with_option);
                    }
                }
            }
        }
    }
    one_level(&reading.state, &levels, report);
    tree(&mut reading.state, &reading.untied);
    cycles(reading, report);
}

fn add(state: &mut State, privilege: &str, target: Target, grantee: &Grantee, with_option: bool) {
    let grant = Grant { privilege: privilege.to_owned(), target, grantee: grantee.clone() };
    let held = state.grants.entry(grant).or_default();
    held.with_option |= with_option;
}

fn unholdable(state: &State, grantee: &Grantee, role: &Name) -> Option<String> {
    let is_system = render::is_system(role);
    if !is_system && !state.has_role(role) {
        return Some(format!("`roles`: {role} has no entry; add one"));
    }
    match grantee {
        Grantee::User(_) if role.depth() == 2 => {
            Some(format!("`roles`: {role} is a role of a database, and a session cannot take it; grant it to a role"))
        }
        Grantee::Role(holder) if holder.depth() == 2 && role.depth() == 1 => {
            Some(format!("`roles`: a role of a database cannot hold {role}, which is one of the account"))
        }
        Grantee::Role(holder) if holder.depth() == 2 && holder.first() != role.first() => {
            Some(format!("`roles`: {role} is a role of another database"))
        }
        _ => None,
    }
}

fn unreachable(state: &State, grantee: &Grantee, target: &Target) -> Option<String> {
    let (word, name) = match target {
        Target::Account => ("ACCOUNT", &Name::default()),
        Target::Role(_) => return None,
        Target::Object(word, name) => (word.as_str(), name),
        Target::Future(word, container) | Target::Current(word, container) => {
            let kind = if container.depth() == 1 { Kind::Database } else { Kind::Schema };
            if !state.has(kind, container) {
                return Some(format!("`in`: {container} has no entry under `{}`; add one", kind.spec().section));
            }
            (word.as_str(), container)
        }
    };
    if let Grantee::Role(role) = grantee
        && role.depth() == 2
        && role.first() != name.first()
    {
        return Some(format!(
            "a role of the database {} holds grants in it alone; grant this to a role of the account",
            role.first()
        ));
    }
    let Target::Object(..) = target else { return None };
    match Kind::granted_as(word) {
        Some(kind) if !state.has(kind, name) => {
            Some(format!("`on`: the {} {name} has no entry; add one", word.to_lowercase()))
        }
        _ => None,
    }
}

/// A future grant in a schema switches off those in its database for the same type, also for other roles. So who has one in
/// the database has the same one in each such schema, too.
fn one_level(state: &State, levels: &BTreeMap<(String, Name), Place>, report: &mut Report) {
    let future = |word: &str, container: &Name| Target::Future(word.to_owned(), container.clone());
    for ((word, schema), place) in levels.iter().filter(|((_, container), _)| container.depth() == 2) {
        let database = schema.up_to(1);
        let Some(other) = levels.get(&(word.clone(), database.clone())) else { continue };
        let of_database = state.grants.keys().filter(|grant| grant.target == future(word, &database));
        let silenced =
            |grant: &&Grant| !state.grants.contains_key(&Grant { target: future(word, schema), ..(*grant).clone() });
        for lost in of_database.filter(silenced) {
            let text = format!(
                "future grants on a {} of the schema {schema} switch off those of the database {database} in line {} there, \
                 for every role; grant {} to {} in {schema} as well, or at one level only",
                word.to_lowercase(),
                place.min(other).line,
                lost.privilege,
                lost.grantee.name(),
            );
            report.add(*place.max(other), text);
        }
    }
}

/// Every role is SYSADMIN's too, unless its entry says otherwise; SYSADMIN may use integrations for its stages, and
/// SECURITYADMIN the rules that its policies name.
fn tree(state: &mut State, untied: &BTreeSet<Name>) {
    let sysadmin = Grantee::role(&Name::of([SYSADMIN]));
    let roles: Vec<Name> = state.names(Kind::Role).chain(state.names(Kind::DatabaseRole)).cloned().collect();
    for role in roles.into_iter().filter(|role| !untied.contains(role)) {
        add(state, "USAGE", Target::Role(role), &sysadmin, false);
    }
    let integrations: Vec<Name> = state.names(Kind::StorageIntegration).cloned().collect();
    for integration in integrations {
        add(state, "USAGE", Target::Object("INTEGRATION".to_owned(), integration), &sysadmin, false);
    }
    let securityadmin = Grantee::role(&Name::of([SECURITYADMIN]));
    let named = |policy: &Object| -> Vec<Name> {
        let lists = ["allowed_rules", "blocked_rules"].into_iter().filter_map(|field| policy.get(field));
        lists.flat_map(Value::items).filter_map(Name::parse).collect()
    };
    let rules: BTreeSet<Name> = state.of(Kind::NetworkPolicy).flat_map(|(_, policy)| named(policy)).collect();
    for rule in rules.into_iter().filter(|rule| rule.depth() == 3) {
        for (depth, word) in [(1, "DATABASE"), (2, "SCHEMA"), (3, "NETWORK RULE")] {
            add(state, "USAGE", Target::Object(word.to_owned(), rule.up_to(depth)), &securityadmin, false);
        }
    }
}

fn cycles(reading: &Reading, report: &mut Report) {
    let graph = Graph::of(&[&reading.state]);
    for kind in [Kind::Role, Kind::DatabaseRole] {
        for role in reading.state.names(kind) {
            if graph.paths(&Grantee::role(role)).contains_key(role) {
                let place = reading.places.get(&(kind, role.clone())).copied().unwrap_or_default();
                report.add(place, format!("{}: {role}: holds itself through its `roles`", kind.spec().section));
            }
        }
    }
}
