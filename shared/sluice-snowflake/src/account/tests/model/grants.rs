//! Grants in the account in memory.

use sluice_core::{Kind as ErrorKind, Result, port::Row};

use super::{Grant, Model, missing, refused, status, words::Words};
use crate::account::Name;

pub(crate) fn change(model: &Model, role: &str, statement: &str) -> Result<Vec<Row>> {
    // Roles of Snowflake's own database are in every account, and ACCOUNTADMIN's to give.
    let is_shared = statement.contains(" DATABASE ROLE SNOWFLAKE.");
    if role != if is_shared { "ACCOUNTADMIN" } else { "SECURITYADMIN" } {
        return refused(ErrorKind::Auth, format!("{role} may not grant: {statement}"));
    }
    let mut words = Words::of(statement);
    let gives = words.word() == "GRANT";
    let option_only = words.eat("GRANT OPTION FOR");
    if words.eat("OWNERSHIP ON") {
        return own(model, words);
    }
    let is_role = words.eat("ROLE") || words.eat("DATABASE ROLE");
    let mut privileges = Vec::new();
    let (on, name, bulk);
    if is_role {
        let held = words.name();
        on = if held.depth() == 2 { "DATABASE ROLE" } else { "ROLE" }.to_owned();
        if !is_shared {
            model.has(&on, &held)?;
        }
        (name, bulk) = (held, None);
        privileges.push("USAGE".to_owned());
    } else {
        let mut privilege = String::new();
        loop {
            if words.eat("ON") {
                privileges.push(privilege.trim().to_owned());
                break;
            }
            if words.eat(",") {
                privileges.push(std::mem::take(&mut privilege).trim().to_owned());
                continue;
            }
            privilege = format!("{privilege} {}", words.word());
        }
        if words.eat("ACCOUNT") {
            (on, name, bulk) = ("ACCOUNT".to_owned(), Name::default(), None);
        } else if words.eat("FUTURE") || words.eat("ALL") {
            let is_future = statement.contains(" ON FUTURE ");
            let mut plural = words.word();
            while !words.eat("IN") {
                plural = format!("{plural} {}", words.word());
            }
            let container = if words.eat("DATABASE") {
                "DATABASE"
            } else {
                words.eat("SCHEMA");
                "SCHEMA"
            };
            let within = words.name();
            model.has(container, &within)?;
            (on, name, bulk) = (plural.trim_end_matches('S').to_owned(), within, Some(is_future));
        } else {
            let word = if words.eat("INTEGRATION") { "INTEGRATION".to_owned() } else { words.kind() };
            let object = words.name();
            model.has(if word == "INTEGRATION" { "STORAGE INTEGRATION" } else { &word }, &object)?;
            (on, name, bulk) = (word, object, None);
        }
    }
    assert!(words.eat(if gives { "TO" } else { "FROM" }), "{statement}");
    let to = if words.eat("DATABASE ROLE") {
        "DATABASE ROLE"
    } else if words.eat("USER") {
        "USER"
    } else {
        words.eat("ROLE");
        "ROLE"
    };
    let grantee = words.name();
    if to == "DATABASE ROLE"
        && (on == "ACCOUNT"
            || on == "WAREHOUSE"
            || on == "INTEGRATION"
            || on == "ROLE"
            || name.first() != grantee.first())
    {
        return refused(ErrorKind::Internal, format!("a database role cannot hold that: {statement}"));
    }
    model.has(to, &grantee)?;
    if on == "DATABASE ROLE" && to == "USER" {
        return refused(ErrorKind::Internal, "a user cannot take a database role");
    }
    let with_option = words.eat("WITH GRANT OPTION");
    assert!(words.is_done(), "{statement}");
    if on.ends_with("ROLE") && to != "USER" && gives && model.reach(&name).contains(&grantee) {
        return refused(ErrorKind::Internal, "a role cannot hold itself");
    }
    for privilege in privileges {
        let grant = |name: Name| Grant {
            privilege: privilege.clone(),
            on: on.clone(),
            name,
            to: to.to_owned(),
            grantee: grantee.clone(),
        };
        let mut world = model.world.borrow_mut();
        match bulk {
            Some(true) => set(&mut world.future, grant(name.clone()), gives, option_only, with_option),
            Some(false) => {
                let there: Vec<Name> = world
                    .objects
                    .iter()
                    .filter(|((word, object), _)| *word == on && object.is_within(&name))
                    // USAGE is for stages with a URL, READ and WRITE for those without.
                    .filter(|(_, made)| on != "STAGE" || (privilege == "USAGE") == made.contains_key("URL"))
                    .map(|((_, object), _)| object.clone())
                    .collect();
                for object in there {
                    set(&mut world.grants, grant(object), gives, option_only, with_option);
                }
            }
            None => set(&mut world.grants, grant(name.clone()), gives, option_only, with_option),
        }
    }
    Ok(status("Statement executed successfully."))
}

fn set(
    grants: &mut std::collections::BTreeMap<Grant, bool>,
    grant: Grant,
    gives: bool,
    option_only: bool,
    with_option: bool,
) {
    match (gives, option_only) {
        (true, _) => {
            let held = grants.entry(grant).or_insert(false);
            *held |= with_option;
        }
        (false, true) => drop(grants.insert(grant, false)),
        (false, false) => drop(grants.remove(&grant)),
    }
}

fn own(model: &Model, mut words: Words) -> Result<Vec<Row>> {
    let word = words.kind();
    let name = words.name();
    model.has(&word, &name)?;
    assert!(words.eat("TO"));
    let to = if words.eat("DATABASE ROLE") {
        "DATABASE ROLE"
    } else {
        words.eat("ROLE");
        "ROLE"
    };
    let owner = words.name();
    model.has(to, &owner)?;
    assert!(words.eat("COPY CURRENT GRANTS") && words.is_done(), "grants of {name} would be in the way");
    let is_paused = || {
        model.world.borrow().objects[&(word.clone(), name.clone())]
            .get("PIPE_EXECUTION_PAUSED")
            .is_some_and(|v| v == "TRUE")
    };
    if word == "PIPE" && !is_paused() {
        return refused(ErrorKind::Internal, "pause the pipe first");
    }
    if name == owner {
        return missing(&word, &name);
    }
    model.property(&word, &name, "owner", owner.last());
    if to == "DATABASE ROLE" {
        model.property(&word, &name, "owner", &owner.to_string());
    }
    Ok(status("Statement executed successfully."))
}

/// A new object gets what was granted on it before: by its schema, or else by its database.
pub(crate) fn created(model: &Model, word: &str, name: &Name) {
    let mut world = model.world.borrow_mut();
    let at = |depth: usize| {
        let container = name.up_to(depth);
        let found = world.future.iter().filter(move |(grant, _)| grant.on == word && grant.name == container);
        found.map(|(grant, option)| (Grant { name: name.clone(), ..grant.clone() }, *option)).collect::<Vec<_>>()
    };
    let of_schema = if name.depth() == 3 { at(2) } else { Vec::new() };
    let found = match of_schema.is_empty() {
        true if name.depth() > 1 => at(1),
        _ => of_schema,
    };
    world.grants.extend(found);
}

/// A database's role may use its database, and nobody gave it that.
pub(crate) fn implied(model: &Model, role: &Name) {
    let grant = Grant {
        privilege: "USAGE".into(),
        on: "DATABASE".into(),
        name: role.up_to(1),
        to: "DATABASE ROLE".into(),
        grantee: role.clone(),
    };
    model.world.borrow_mut().grants.insert(grant, false);
}
