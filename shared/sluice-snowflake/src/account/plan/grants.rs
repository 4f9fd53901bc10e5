//! The grants of a plan.
//!
//! A role's grants are its entry's own: what somebody has added to a role of the file, on something that the file names, is
//! taken back. A grant on what the file does not name is told. What the system gives itself is nobody's.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Planner, Sign, Step};
use crate::account::{
    grantable::{Type, is_global},
    kinds::{Kind, SECURITYADMIN},
    name::Name,
    port::PROVISIONER,
    render::{self, Statement},
    state::{Grant, Grantee, Object, State, Target, role_word},
};

pub(super) fn compare(planner: &mut Planner<'_>) {
    let mut wanted: Batches = BTreeMap::new();
    let mut options_lost: Batches = BTreeMap::new();
    for (grant, want) in &planner.desired.state.grants {
        if let Target::Current(word, container) = &grant.target {
            current(planner, grant, word, container);
            continue;
        }
        match planner.actual.grants.get(grant) {
            None => batch(&mut wanted, grant, want.with_option),
            Some(held) if held.implied || held.with_option == want.with_option => {}
            Some(_) if want.with_option => batch(&mut wanted, grant, true),
            Some(_) => batch(&mut options_lost, grant, false),
        }
    }
    for ((target, grantee, with_option), privileges) in wanted {
        let statement = render::grants::give(&privileges, &target, &grantee, with_option);
        add(planner, Sign::Add, &privileges, &target, &grantee, "the file gives it", statement);
    }
    for ((target, grantee, _), privileges) in options_lost {
        let statement = render::grants::take_option(&privileges, &target, &grantee);
        let reason = "the file gives it without the option to grant it on";
        add(planner, Sign::Change, &privileges, &target, &grantee, reason, statement);
    }
    taken(planner);
    silenced(planner);
}

/// Privileges by what they are on, who gets them, and whether they may be granted on.
type Batches = BTreeMap<(Target, Grantee, bool), BTreeSet<String>>;

fn batch(batches: &mut Batches, grant: &Grant, with_option: bool) {
    let key = (grant.target.clone(), grant.grantee.clone(), with_option);
    batches.entry(key).or_default().insert(grant.privilege.clone());
}

/// Objects that are there and lack what all of their type in a container are to give.
fn current(planner: &mut Planner<'_>, grant: &Grant, word: &str, container: &Name) {
    let there = present(planner.actual, &grant.privilege, word, container);
    let mut lacking: Vec<&Name> = match &there {
        Some(there) => {
            let lacks = |name: &&Name| {
                let target = Target::Object(word.to_owned(), (*name).clone());
                !planner.actual.grants.contains_key(&Grant { target, ..grant.clone() })
            };
            there.iter().filter(lacks).collect()
        }
        None => Vec::new(),
    };
    // Schemas are made before there are grants on those to come.
    if word == "SCHEMA" {
        let made = planner.desired.state.names(Kind::Schema).filter(|name| name.is_within(container));
        lacking.extend(made.filter(|name| !planner.actual.has(Kind::Schema, name)));
    }
    // What cannot be listed is granted on once, with the grant on what will come.
    let future = Grant { target: Target::Future(word.to_owned(), container.clone()), ..grant.clone() };
    let is_new = planner.desired.state.grants.contains_key(&future) && !planner.actual.grants.contains_key(&future);
    if lacking.is_empty() && (there.is_some() || !is_new) {
        return;
    }
    let privileges = BTreeSet::from([grant.privilege.clone()]);
    let reason = match lacking.len() {
        0 => "the file gives it on all there are".to_owned(),
        1 => "one lacks it".to_owned(),
        count => format!("{count} lack it"),
    };
    // There is no grant on all pipes.
    if word == "PIPE" {
        for name in lacking {
            let target = Target::Object(word.to_owned(), name.clone());
            let statement = render::grants::give(&privileges, &target, &grant.grantee, false);
            add(planner, Sign::Add, &privileges, &target, &grant.grantee, &reason, statement);
        }
        return;
    }
    let statement = render::grants::give(&privileges, &grant.target, &grant.grantee, false);
    add(planner, Sign::Add, &privileges, &grant.target, &grant.grantee, &reason, statement);
}

/// What there is of a type in a container; `None` where that is not read.
pub(crate) fn present(state: &State, privilege: &str, word: &str, container: &Name) -> Option<Vec<Name>> {
    let of_kind = |kind: Kind| state.names(kind).filter(|name| name.is_within(container)).cloned().collect();
    // USAGE lands on stages that have a URL, READ and WRITE on those that have none.
    let is_meant = |stage: &Object| (privilege == "USAGE") != stage.text("url").is_empty();
    match word {
        "SCHEMA" => Some(of_kind(Kind::Schema)),
        "STAGE" => {
            let stages = state.of(Kind::Stage).filter(|(name, stage)| name.is_within(container) && is_meant(stage));
            Some(stages.map(|(name, _)| name.clone()).collect())
        }
        "FILE FORMAT" => Some(of_kind(Kind::FileFormat)),
        "PIPE" => Some(of_kind(Kind::Pipe)),
        "TABLE" | "VIEW" | "MATERIALIZED VIEW" => {
            let listed = state.present.get(word);
            Some(
                listed
                    .into_iter()
                    .flat_map(|list| list.keys())
                    .filter(|name| name.is_within(container))
                    .cloned()
                    .collect(),
            )
        }
        _ => None,
    }
}

/// What is held and the file does not say.
fn taken(planner: &mut Planner<'_>) {
    let mut batches: Batches = BTreeMap::new();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (grant, held) in &planner.actual.grants {
        let desired = &planner.desired.state;
        if held.implied || is_wanted(desired, grant) {
            continue;
        }
        let is_ours = match &grant.grantee {
            Grantee::Role(role) => desired.has_role(role),
            Grantee::User(user) => desired.has(Kind::User, user),
        };
        match (is_ours, is_named(desired, grant) && is_sayable(grant)) {
            (true, true) => batch(&mut batches, grant, false),
            (false, _) if !is_watched(desired, grant) => {}
            _ => *told.entry(described(grant)).or_default() += 1,
        }
    }
    for ((target, grantee, _), privileges) in batches {
        let statement = render::grants::take(&privileges, &target, &grantee);
        add(planner, Sign::Remove, &privileges, &target, &grantee, "the file does not give it", statement);
    }
    planner.plan.unnamed.extend(told.into_iter().map(|(what, count)| match count {
        1 => what,
        _ => format!("{what} ({count} times)"),
    }));
}

/// Whether the file says it, by itself or as one of all.
fn is_wanted(desired: &State, grant: &Grant) -> bool {
    if desired.grants.contains_key(grant) {
        return true;
    }
    let Target::Object(word, name) = &grant.target else { return false };
    (1..name.depth()).map(|depth| name.up_to(depth)).any(|container| {
        let of = |target: Target| Grant { target, ..grant.clone() };
        desired.grants.contains_key(&of(Target::Current(word.clone(), container.clone())))
            || desired.grants.contains_key(&of(Target::Future(word.clone(), container)))
    })
}

/// Whether the file names what the grant is on.
fn is_named(desired: &State, grant: &Grant) -> bool {
    match &grant.target {
        Target::Account => matches!(grant.grantee, Grantee::Role(_)),
        Target::Role(role) => desired.has_role(role) || render::is_system(role),
        Target::Object(..) if matches!(grant.grantee, Grantee::User(_)) => false,
        Target::Object(word, name) => Kind::granted_as(word).is_some_and(|kind| desired.has(kind, name)),
        Target::Future(_, container) | Target::Current(_, container) => {
            desired.has(Kind::Database, &container.up_to(1))
        }
    }
}

/// Whether a file can say it. What a release has brought is no entry's and no drift.
fn is_sayable(grant: &Grant) -> bool {
    match &grant.target {
        Target::Account => is_global(&grant.privilege),
        Target::Role(_) => true,
        Target::Object(word, _) | Target::Future(word, _) | Target::Current(word, _) => {
            Type::of_word(word).is_some_and(|kind| kind.has(&grant.privilege))
        }
    }
}

/// Whether somebody whom the file does not name has what it should know of: one of its roles or one of the system's, and
/// what everybody has on what it names.
fn is_watched(desired: &State, grant: &Grant) -> bool {
    match (&grant.target, &grant.grantee) {
        (_, Grantee::Role(role)) if role.first() == "PUBLIC" => is_named(desired, grant),
        (Target::Role(role), Grantee::Role(holder)) => desired.has_role(role) && !render::is_system(holder),
        (Target::Role(role), Grantee::User(user)) => {
            (desired.has_role(role) || render::is_system(role)) && user.first() != PROVISIONER
        }
        _ => false,
    }
}

fn described(grant: &Grant) -> String {
    let what = match &grant.target {
        Target::Object(word, name) if name.depth() == 3 => format!("{} in {}", word.to_lowercase(), name.up_to(2)),
        target => described_target(target),
    };
    let grantee = described_grantee(&grant.grantee);
    match &grant.target {
        Target::Role(_) => format!("{what} of {grantee}"),
        _ => format!("{} on {what} of {grantee}", grant.privilege.to_lowercase()),
    }
}

fn described_grantee(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Role(role) => format!("{} {role}", role_word(role).to_lowercase()),
        Grantee::User(user) => format!("user {user}"),
    }
}

pub(crate) fn described_target(target: &Target) -> String {
    let plural = |word: &str| Type::of_word(word).map_or(word, |kind| kind.plural).to_lowercase();
    match target {
        Target::Account => "the account".to_owned(),
        Target::Role(role) => format!("{} {role}", role_word(role).to_lowercase()),
        Target::Object(word, name) => format!("{} {name}", word.to_lowercase()),
        Target::Future(word, container) => format!("future {} in {container}", plural(word)),
        Target::Current(word, container) => format!("all {} in {container}", plural(word)),
    }
}

/// Future grants in a schema by which those of the file in its database have no effect there.
fn silenced(planner: &mut Planner<'_>) {
    let mut warnings = BTreeSet::new();
    let desired = &planner.desired.state.grants;
    for grant in desired.keys() {
        let Target::Future(word, database) = &grant.target else { continue };
        if database.depth() != 1 {
            continue;
        }
        for other in planner.actual.grants.keys() {
            match &other.target {
                Target::Future(of, schema)
                    if of == word
                        && schema.depth() == 2
                        && schema.is_within(database)
                        && !desired.contains_key(&Grant { target: other.target.clone(), ..grant.clone() }) =>
                {
                    warnings.insert(format!(
                        "the future grants on {} in schema {schema}, one of them to {}, switch off those of database \
                         {database} there",
                        described_target(&other.target).split(' ').nth(1).unwrap_or_default(),
                        described_grantee(&other.grantee),
                    ));
                }
                _ => {}
            }
        }
    }
    planner.plan.warnings.extend(warnings);
}

fn add(
    planner: &mut Planner<'_>,
    sign: Sign,
    privileges: &BTreeSet<String>,
    target: &Target,
    grantee: &Grantee,
    reason: &str,
    statement: Statement,
) {
    let list = privileges.iter().map(|privilege| privilege.to_lowercase()).collect::<Vec<_>>().join(", ");
    let what = match target {
        Target::Role(_) => described_target(target),
        _ => format!("{list} on {}", described_target(target)),
    };
    planner.plan.changes.push(Change {
        sign,
        what: format!("{what} to {}", described_grantee(grantee)),
        fields: Vec::new(),
        reason: reason.to_owned(),
        affects: planner.affected.by_grantee(grantee),
        loses: None,
        statements: vec![statement],
        step: step(sign, target, grantee),
        object: None,
    });
}

fn step(sign: Sign, target: &Target, grantee: &Grantee) -> Step {
    match (sign, target, grantee) {
        (Sign::Remove, Target::Role(_), _) => Step::TakeRoles,
        (Sign::Remove, ..) => Step::TakeGrants,
        (_, Target::Role(_), Grantee::User(_)) => Step::UserRoles,
        (_, Target::Role(role), _) if role.depth() == 1 => Step::RoleTree,
        (_, Target::Role(_), _) => Step::DatabaseRoleTree,
        (_, Target::Future(..), _) => Step::FutureGrants,
        (_, Target::Object(word, _), _) if word == "INTEGRATION" => Step::IntegrationGrants,
        // On a rule and on the way to it.
        (_, Target::Object(..), Grantee::Role(role)) if role.first() == SECURITYADMIN => Step::RuleGrants,
        _ => Step::Grants,
    }
}
